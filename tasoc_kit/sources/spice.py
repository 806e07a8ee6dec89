"""A SPICE kernel of the spacecraft's positions (SPK), as the mission's archive has them.

SPICE itself (Acton 1996, Planet. Space Sci. 44 65) is an extra, ``spice``: a table of JPL Horizons tells
the same without it.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from tasoc_kit.errors import SourceError, install_line

__all__ = ["is_kernel", "read_kernel"]

TESS, EARTH, BARYCENTRE = -95, 399, 0
J2000 = 2451545.0
STEP = 900.0
"""Seconds between the places that are taken from a kernel."""
_EXPECTED = f"Expected a binary kernel with places of TESS ({TESS}) from the Earth or the barycentre."


def is_kernel(data: bytes) -> bool:
    """Tell whether some bytes are a binary kernel of places."""
    return data.startswith(b"DAF/SPK")


def read_kernel(name: str, data: bytes) -> tuple[np.ndarray, str]:
    """
    Return where the spacecraft was, every quarter of an hour that a kernel covers.

    Parameters
    ----------
    name
        What the kernel is called in errors.
    data
        The kernel.

    Returns
    -------
    (row, 4) JD (TDB) and position, km, ICRF; and ``earth`` or ``barycentre``, what it starts from.

    Raises
    ------
    SourceError
        If SPICE is not installed, cannot read the kernel, or finds no places of TESS in it.
    """
    try:
        import spiceypy
    except ImportError:
        raise SourceError.for_file(
            name,
            "a SPICE kernel, for which spiceypy is not installed",
            f"Install it: {install_line('spice')}; or take vectors of JPL Horizons.",
        ) from None
    with tempfile.NamedTemporaryFile(suffix=".bsp") as file:
        file.write(data)
        file.flush()
        try:
            spiceypy.furnsh(file.name)
            try:
                rows, origin = _places(spiceypy, file.name)
            finally:
                spiceypy.unload(file.name)
        except spiceypy.utils.exceptions.SpiceyError as error:
            raise SourceError.for_file(
                name,
                f"a kernel that SPICE does not read ({error.short or type(error).__name__})",
                _EXPECTED,
            ) from None
    if not len(rows):
        raise SourceError.for_file(name, "a kernel without places of TESS", _EXPECTED)
    return rows, origin


def _places(spice: Any, path: str) -> tuple[np.ndarray, str]:
    covered = spice.spkcov(path, TESS)
    spans = [spice.wnfetd(covered, k) for k in range(spice.wncard(covered))]
    times = np.concatenate([[], *(np.append(np.arange(a, b, STEP), b) for a, b in spans)])
    centre = EARTH if EARTH in _centres(spice, path) else BARYCENTRE
    place = [spice.spkgps(TESS, time, "J2000", centre)[0] for time in times]
    rows = np.column_stack([J2000 + times / 86400.0, np.reshape(place, (-1, 3))])
    return rows, "earth" if centre == EARTH else "barycentre"


def _centres(spice: Any, path: str) -> set[int]:
    """Return the bodies that the places of the spacecraft start from."""
    handle = spice.dafopr(path)
    centres = set()
    try:
        spice.dafbfs(handle)
        while spice.daffna():
            _, numbers = spice.dafus(spice.dafgs(), 2, 6)
            if numbers[0] == TESS:
                centres.add(int(numbers[1]))
    finally:
        spice.dafcls(handle)
    return centres
