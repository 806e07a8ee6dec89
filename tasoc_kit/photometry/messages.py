"""Messages: why a star was skipped, failed or is doubtful, in words that name what it was.

They say no more than the tables do: status, flags and the numbers beside them. TASOC keeps such a text for
every star in its table of diagnostics (Handberg+ 2021, AJ 162 170).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from tasoc_kit.vocabulary import ApertureFlag, EdgeSide, Status, flag_names

__all__ = ["MADE_OF", "star_messages"]

MADE_OF = (
    "tic",
    "tmag",
    "star_row",
    "star_column",
    "status",
    "aperture_flags",
    "row_size",
    "contamination",
    "priority",
    "skipped_by",
    "edge_flux",
    "edge_sides",
    "stamp_height",
    "stamp_width",
    "stamp_resizes",
)
"""What messages say of stars and apertures."""
_NO_FLUX = "no finite flux in a good cadence"
_OF_PSF = ("neighbour", "psf_correlation")


def star_messages(stars: xr.Dataset, catalogue: xr.Dataset | None = None) -> np.ndarray:
    """
    Return what is to be said of every star, text (star); empty where there is nothing.

    Parameters
    ----------
    stars
        ``status``, ``aperture_flags`` and what else of ``MADE_OF`` is known of some stars; with
        ``psf_correlation`` and ``neighbour`` the status is that of PSF photometry.
    catalogue
        All stars, which ``skipped_by`` and ``neighbour`` count: those in ``stars`` by default.
    """
    named = stars if catalogue is None else catalogue

    def beside(star: Mapping[str, Any], other: int) -> str:
        tic, tmag, row, column = (
            named[name].values[other] for name in ("tic", "tmag", "star_row", "star_column")
        )
        away = np.hypot(star["star_row"] - row, star["star_column"] - column)
        return f"{f'TIC {tic}' if tic else f'star {other}'} (Tmag {tmag:.2f}), {away:.1f} pixels away"

    known = {n: stars[n].values for n in (*MADE_OF, *_OF_PSF) if n in stars.variables}
    tell = _tell_psf if "psf_correlation" in known else _tell_aperture
    rows = (dict(zip(known, values, strict=True)) for values in zip(*known.values(), strict=True))
    return np.array(["; ".join(tell(star, beside)) for star in rows], dtype=np.str_)


def _place(star: Mapping[str, Any]) -> str:
    return f"row {star['star_row']:.1f}, column {star['star_column']:.1f}"


def _tell_aperture(star: Mapping[str, Any], beside: Callable[..., str]) -> list[str]:
    """Return what is to be said of a star and its aperture; ``beside`` names another star."""
    flags, status = ApertureFlag(int(star["aperture_flags"])), int(star["status"])
    if ApertureFlag.OUTSIDE in flags:
        return [
            f"off the frame, at {_place(star)}" if np.isfinite(star["star_row"]) else "without a position"
        ]
    if ApertureFlag.NO_SIGNAL in flags:
        return [f"no pixel with a value about {_place(star)}"]
    if ApertureFlag.INSIDE_BRIGHTER in flags:
        other = int(star.get("skipped_by", -1))
        return [f"in one aperture with {beside(star, other) if other >= 0 else 'a brighter star'}"]
    if status == Status.SKIPPED:
        return ["too faint for an aperture" if star.get("priority", 1) else "no target"]
    told = [_NO_FLUX] if status == Status.ERROR else []
    if ApertureFlag.MINIMUM in flags:
        told.append(f"stands out too little for a mask: the {star['row_size']} pixels within 1 pixel of it")
    if ApertureFlag.EDGE in flags:
        told.append(f"its aperture ends at {_edge(star)}, with {star['edge_flux']:,.1f} electron/s there")
    if ApertureFlag.SATURATED in flags:
        told.append("saturated")
    if ApertureFlag.CONTAMINATED in flags:
        told.append(f"{100 * star['contamination']:.0f} % of the light is of other stars")
    return told


def _edge(star: Mapping[str, Any]) -> str:
    """Return what an aperture ends at: sides of the data, or the border of the largest stamp."""
    sides = flag_names(int(star.get("edge_sides", 0)), EdgeSide)
    if sides:
        return f"the {' and the '.join(side.replace('_', ' ').lower() for side in sides)} of the data"
    if star.get("stamp_resizes", 0):
        size = f"{star['stamp_height']}×{star['stamp_width']} pixels, enlarged {star['stamp_resizes']} times"
        return f"the border of its stamp of {size}"
    return "an edge"


def _tell_psf(star: Mapping[str, Any], beside: Callable[..., str]) -> list[str]:
    """Return what is to be said of the PSF flux of a star."""
    status, other = int(star["status"]), int(star["neighbour"][0])
    if status == Status.SKIPPED:
        return ["no PSF flux: off the frame, or too faint"]
    if status == Status.ERROR:
        return [_NO_FLUX]
    if status == Status.WARNING and other >= 0:
        correlation = f"{star['psf_correlation'][0]:+.2f}"
        return [f"hard to tell from {beside(star, other)}: their errors correlate by {correlation}"]
    return ["one source with a star too close to tell apart"] if status == Status.WARNING else []
