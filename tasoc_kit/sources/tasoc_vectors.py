"""Co-trending vectors as TASOC made them: an HDF5 file for each area of a CCD (Lund+ 2021, ApJS 257 53).

They are read as they are, so a light curve corrected with them can be held against TASOC's. HDF5 is an
extra, ``hdf5``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import xarray as xr

from tasoc_kit.errors import SourceError, install_line
from tasoc_kit.provenance import with_content_id
from tasoc_kit.sources.byte_source import list_files, read_all
from tasoc_kit.vocabulary import label

__all__ = ["open_tasoc_vectors"]

ENDINGS = (".hdf5",)
_EXPECTED = "Expected cbv-ffi-AREA.hdf5 of TASOC; name one, or fetch it again."
UNIT = ("sector", "camera", "ccd", "cadence")


class _Area(NamedTuple):
    """One file."""

    unit: dict[str, int]
    area: int
    cadenceno: np.ndarray
    time: np.ndarray
    slow: np.ndarray
    """(vector, time)"""
    spikes: np.ndarray


def open_tasoc_vectors(where: str | os.PathLike[str] | Iterable[str]) -> xr.Dataset:
    """
    Open TASOC's vectors as the product ``cbvs``.

    Parameters
    ----------
    where
        A file, or a folder, glob or list of those of one CCD: each has an area.

    Returns
    -------
    ``cbv`` and ``spike_cbv`` (area, vector, time), whose sum has unit scatter; ``cbv_snr`` (area, vector), of
    the slow part, dB. ``time`` is that of the file, ``cadenceno`` its numbers. It knows no stars:
    ``star_area`` (star) is empty, and a light curve is corrected with the vectors of its ring or the next.

    Raises
    ------
    SourceError
        If nothing is there, a file is not of TASOC's vectors, or they are of several CCDs.
    """
    files = list_files(where, ENDINGS)
    if not files:
        raise SourceError(f"vectors: no files at {where}; expected TASOC's. {_EXPECTED}")
    areas = sorted((_read(file) for file in files), key=lambda one: one.area)
    first = areas[0]
    alike = all(one.unit == first.unit for one in areas)
    if not alike or len({one.area for one in areas}) < len(areas):
        raise SourceError(
            f"vectors: {len(areas)} files of areas {[one.area for one in areas]} at {where}; expected each "
            "area of one CCD, sector and cadence once. Name one version of one CCD."
        )
    number = max(len(one.slow) for one in areas)
    cadences = np.unique(np.concatenate([one.cadenceno for one in areas]))
    time, shape = np.full(cadences.size, np.nan), (len(areas), number, cadences.size)
    slow, spikes = np.full((2, *shape), np.nan, np.float32)
    snr = np.full(shape[:2], np.nan, np.float32)
    for k, one in enumerate(areas):
        place, count = np.searchsorted(cadences, one.cadenceno), len(one.slow)
        time[place] = one.time
        scale = (one.slow + one.spikes).std(axis=1, keepdims=True)
        for target, values in ((slow, one.slow), (spikes, one.spikes)):
            target[k][:, place] = 0.0
            target[k][:count, place] = values / np.where(scale > 0, scale, 1.0)
        steps = np.diff(one.slow, axis=1).var(axis=1)
        snr[k, :count] = 10 * np.log10(one.slow.var(axis=1) / np.maximum(steps, 1e-300))
    dims = ("area", "vector", "time")
    made = xr.Dataset(
        {
            "cbv": (dims, slow),
            "spike_cbv": (dims, spikes),
            "cbv_snr": (dims[:2], snr),
            "star_area": ("star", np.empty(0, np.int32)),
        },
        coords={
            "area": np.array([one.area for one in areas], np.int32),
            "time": time,
            "cadenceno": ("time", cadences.astype(np.int32)),
        },
        attrs=first.unit | {"product": "cbvs", "field": ""},
    )
    return with_content_id(label(made), "cbvs")


def _read(file: str) -> _Area:
    try:
        import h5py
    except ImportError:
        raise SourceError.for_file(
            file, "HDF5, for which h5py is not installed", f"Install it: {install_line('hdf5')}."
        ) from None
    try:
        with h5py.File(io.BytesIO(read_all(file)), "r") as opened:
            slow, spikes = (opened[name][:].T for name in ("cbv-single-scale", "cbv-spike"))
            unit, area = {name: int(opened.attrs[name]) for name in UNIT}, int(opened.attrs["cbv_area"])
            one = _Area(unit, area, opened["cadenceno"][:].astype(np.int64), opened["time"][:], slow, spikes)
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise SourceError.for_file(file, f"not TASOC's vectors ({reason})", _EXPECTED) from None
    known = np.isfinite(one.slow).all(axis=0) & np.isfinite(one.spikes).all(axis=0)
    if not known.any() or one.slow.shape != one.spikes.shape:
        raise SourceError.for_file(
            file, f"vectors of shape {one.slow.shape}, {known.sum()} cadences known", _EXPECTED
        )
    return one._replace(
        cadenceno=one.cadenceno[known],
        time=one.time[known],
        slow=one.slow[:, known],
        spikes=one.spikes[:, known],
    )
