"""Which stars a person wants, and in what order: a list of targets matched with the stars of the frame.

Who is a target changes nothing about the stars: all of them divide the light, and an aperture is the same
whoever else is wanted. A target that no catalogue star is becomes a star of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.ndimage import map_coordinates, uniform_filter
from scipy.spatial import cKDTree

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.geometry import sky_to_pixel
from tasoc_kit.vocabulary import Fate

__all__ = ["Match", "match_targets"]

FAINTEST_LIGHT = 1e-3
"""Electron/s that the faintest star is given, so that it has a magnitude."""


@dataclass(frozen=True)
class Match:
    """What became of a list of targets."""

    stars: xr.Dataset
    """The stars, and behind them those targets that are none of them."""
    star: np.ndarray
    """Index of each target's star; −1 where it has none."""
    fate: np.ndarray
    """``Fate`` of each target."""

    @classmethod
    def none(cls, stars: xr.Dataset) -> Match:
        """Return the stars without any target."""
        return cls(stars, np.zeros(0, np.int32), np.zeros(0, np.int8))

    def named(self) -> np.ndarray:
        """Return True for the stars that the list asks for."""
        named = np.zeros(self.stars.sizes["star"], bool)
        named[self.star[np.isin(self.fate, (Fate.FOUND, Fate.REPEATED))]] = True
        return named

    def take(self, order: np.ndarray) -> Match:
        """Return these stars in this order; a target whose star is not among them has none."""
        place = np.full(self.stars.sizes["star"] + 1, -1, np.int32)
        place[order] = np.arange(order.size)
        return Match(self.stars.isel(star=order), place[self.star], self.fate)

    def rank(self, wanted: np.ndarray, targets: xr.Dataset | None) -> np.ndarray:
        """
        Return the priority of every star: 1 for the first, 0 for those that are not wanted.

        The targets with the lowest given priority come first, then the other targets, then the other
        stars; among equals the brighter one (as TASOC's todo list does; Handberg+ 2021).
        """
        place = np.full(self.stars.sizes["star"], np.inf)
        if targets is not None:
            there = self.star >= 0
            np.fmin.at(place, self.star[there], targets["target_priority"].values[there])
        chosen = np.flatnonzero(wanted)
        tmag, unlisted = self.stars["tmag"].values[chosen], ~self.named()[chosen]
        sequence = chosen[np.lexsort([tmag, unlisted, np.where(unlisted, np.inf, place[chosen])])]
        priority = np.zeros(self.stars.sizes["star"], np.int32)
        priority[sequence] = np.arange(1, sequence.size + 1)
        return priority


def match_targets(
    stars: xr.Dataset, targets: xr.Dataset, reference: xr.Dataset, reach: float, exclude: np.ndarray
) -> Match:
    """
    Find the star of every target, and add those that are not there.

    Parameters
    ----------
    stars
        Stars of the frame with ``tic``, ``tmag``, ``star_row`` and ``star_column``.
    targets
        List as ``read_targets`` returns it.
    reference
        Star image with the plate solution that places positions.
    reach
        Pixels within which a target without a TIC number is the nearest star.
    exclude
        TIC numbers that are no targets.
    """
    tic = targets["target_tic"].values
    row, column = _place(targets, reference)
    placed = np.isfinite(row)
    star, fate = _find(stars, tic, row, column, reach)
    fate[(star < 0) & ~placed] = np.where(tic[(star < 0) & ~placed] > 0, Fate.NOT_IN_CATALOGUE, Fate.NO_PLACE)
    rows, columns = reference["row"].values, reference["column"].values
    on_frame = (row >= rows[0] - 0.5) & (row < rows[-1] + 0.5)
    on_frame &= (column >= columns[0] - 0.5) & (column < columns[-1] + 0.5)
    fate[(star < 0) & placed & ~on_frame] = Fate.OFF_FRAME
    known = np.append(stars["tic"].values, 0)[star]
    fate[np.isin(np.where(known > 0, known, tic), exclude[exclude > 0])] = Fate.EXCLUDED
    alone = np.flatnonzero((star < 0) & on_frame & (fate == Fate.FOUND))
    first = _first_at_place(tic[alone], row[alone], column[alone], reach)
    new, number = np.unique(first, return_inverse=True)
    star[alone] = stars.sizes["star"] + number
    by_place = (star >= 0) & (star < stars.sizes["star"]) & (tic > 0)
    numbers = stars["tic"].values.copy()
    numbers[star[by_place]] = tic[by_place]
    added = _as_stars(targets.isel(target=alone[new]), row[alone[new]], column[alone[new]], reference)
    return Match(_joined(stars.assign(tic=("star", numbers)), added), star, _mark_repeated(star, fate))


def _place(targets: xr.Dataset, reference: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    ra, dec = targets["target_ra"].values, targets["target_dec"].values
    if not np.isfinite(ra).any():
        return np.full((2, ra.size), np.nan)
    wcs = str(reference.attrs.get("wcs", ""))
    if not wcs:
        raise StepInputError(
            f"locate_stars: {int(np.isfinite(ra).sum())} targets have positions, but reference has no plate "
            "solution; expected WCS cards in at least one frame. List the targets by TIC number."
        )
    return sky_to_pixel(wcs, ra, dec)


def _find(
    stars: xr.Dataset, tic: np.ndarray, row: np.ndarray, column: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the star of each target by its number, else where it has none, or no star has, by its place."""
    star, fate = np.full(tic.size, -1, np.int32), np.full(tic.size, Fate.FOUND, np.int8)
    numbers = stars["tic"].values
    if not numbers.size:
        return star, fate
    order = np.argsort(numbers, kind="stable")
    at = np.minimum(np.searchsorted(numbers, tic, sorter=order), numbers.size - 1)
    by_number = (numbers[order[at]] == tic) & (tic > 0)
    star[by_number] = order[at[by_number]]
    # A detected star has no number that could be another one's.
    free = (star < 0) & np.isfinite(row) & ((tic == 0) | ~numbers.any())
    places = np.column_stack([stars["star_row"].values, stars["star_column"].values])
    away, nearest = cKDTree(places).query(np.column_stack([row, column])[free], distance_upper_bound=reach)
    star[np.flatnonzero(free)[np.isfinite(away)]] = nearest[np.isfinite(away)]
    return star, fate


def _first_at_place(tic: np.ndarray, row: np.ndarray, column: np.ndarray, reach: float) -> np.ndarray:
    """Return for each target the first one that is the same star."""
    first = np.arange(tic.size)
    if tic.size:
        for one, other in sorted(cKDTree(np.column_stack([row, column])).query_pairs(reach)):
            if tic[one] == tic[other]:
                first[other] = min(first[other], first[one])
    return first


def _mark_repeated(star: np.ndarray, fate: np.ndarray) -> np.ndarray:
    served = np.flatnonzero((star >= 0) & (fate == Fate.FOUND))
    _, first = np.unique(star[served], return_index=True)
    fate[np.delete(served, first)] = Fate.REPEATED
    return fate


def _estimate_tmag(reference: xr.Dataset, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the magnitude of the light in the 3 × 3 pixels about each place (labels) of the star image."""
    image = np.clip(np.nan_to_num(reference["reference"].values.astype(float)), 0, None)
    light = 9.0 * uniform_filter(image, 3, mode="constant")
    at = np.stack([row - float(reference["row"][0]), column - float(reference["column"][0])])
    flux = map_coordinates(light, np.rint(at), order=0, mode="nearest")
    return ZERO_POINT - 2.5 * np.log10(np.maximum(flux, FAINTEST_LIGHT))


def _as_stars(targets: xr.Dataset, row: np.ndarray, column: np.ndarray, reference: xr.Dataset) -> xr.Dataset:
    given = targets["target_tmag"].values
    tmag = np.where(np.isfinite(given), given, _estimate_tmag(reference, row, column))
    values = {
        "tic": targets["target_tic"].values,
        "ra": targets["target_ra"].values,
        "dec": targets["target_dec"].values,
        "tmag": tmag.astype(np.float32),
        "star_row": row,
        "star_column": column,
    }
    estimated = int((~np.isfinite(given)).sum())
    return xr.Dataset(
        {name: ("star", value) for name, value in values.items()}, attrs={"estimated": estimated}
    )


def _joined(stars: xr.Dataset, added: xr.Dataset) -> xr.Dataset:
    """Return the stars and behind them the added ones, with 0 or NaN for what is not known of these."""
    count = added.sizes["star"]
    joined = {}
    for name, known in stars.variables.items():
        missing = np.nan if known.dtype.kind == "f" else 0
        new = added[name].values if name in added else np.full(count, missing, known.dtype)
        joined[str(name)] = ("star", np.concatenate([known.values, new]).astype(known.dtype))
    return xr.Dataset(joined, attrs={**stars.attrs, "estimated_tmag": added.attrs["estimated"]})
