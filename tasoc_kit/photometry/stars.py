"""Which stars are in the field: a catalogue brought onto the pixels, or what the image shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter
from skimage.feature import peak_local_max

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.geometry import pixel_to_sky, sky_to_pixel
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.photometry.targets import Match, match_targets
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import Fate

__all__ = ["locate_stars"]

MARGIN = 5.0
"""Pixels beyond the frame from which a star still sends light into it."""
SMOOTHING = 0.7
REACH, DETECTED_REACH = 0.2, 1.0
"""Pixels within which a target without TIC number is the nearest star of a catalogue, or a detected one."""
LISTED = ("target_tic", "target_ra", "target_dec", "target_tmag", "target_priority")
KEPT = ("tic", "gaia", "ra", "dec", "tmag", "pmra", "pmdec", "teff")


@step(
    version=2,
    product="stars",
    needs={
        "reference": ("reference", "star_mask"),
        "catalogue": ("tic", "ra", "dec", "tmag"),
        "targets": LISTED,
    },
    gives=("tic", "ra", "dec", "tmag", "star_row", "star_column", "priority"),
    libraries=("numpy", "scipy", "scikit-image"),
)
def locate_stars(
    reference: xr.Dataset,
    catalogue: xr.Dataset | None = None,
    targets: xr.Dataset | None = None,
    *,
    faintest: Annotated[float, Parameter("faintest magnitude to keep", unit="mag")] = 16.0,
    brightest: Annotated[
        float | None, Parameter("brighter stars divide the light but are no targets", unit="mag")
    ] = None,
    exclude: Annotated[
        list[int] | None, Parameter("TIC numbers of stars that divide the light but are no targets")
    ] = None,
    only_targets: Annotated[
        bool, Parameter("stars that are not on the list of targets only divide the light")
    ] = False,
    threshold: Annotated[
        float, Parameter("height of a peak over the noise, where there is no catalogue", gt=1)
    ] = 5.0,
) -> xr.Dataset:
    """
    Place catalogue stars on the pixels of the reference, or detect stars where there is no catalogue.

    Stars up to 5 pixels beyond the frame stay, for they send light into it, but are no targets. Nothing goes
    unsaid: attrs ``left_out`` counts the stars that are not there and ``no_targets`` those of priority 0,
    each by its reason; every target of a list has its fate.

    Parameters
    ----------
    reference
        Star image, with the plate solution of its best frame.
    catalogue
        Stars with ``tic``, ``ra``, ``dec``, ``tmag``; None detects peaks of the image.
    targets
        A person's list, as ``read_targets`` returns it. Its stars are kept whatever their magnitude; a
        position that is no star of the catalogue becomes one, with ``tic`` 0 and the magnitude of the list,
        or else of its light.
    faintest
        Faintest TESS magnitude to keep.
    brightest, exclude, only_targets
        Who is no target; a star on the list is one however bright.
    threshold
        Height of a peak, in sigma of the image without stars; used only without a catalogue.

    Returns
    -------
    Stars in order of magnitude, with ``star_row`` and ``star_column`` (labels; pixel centres are integers)
    and ``priority``. A detected star has ``tic`` 0 and a magnitude from its peak. With a list also
    ``target_star`` and ``target_fate`` (target) beside the list itself.

    Raises
    ------
    StepInputError
        If there is a catalogue or a position but no plate solution.
    """
    if catalogue is None:
        placed, unusable, reach = _detect(reference, threshold), {}, DETECTED_REACH
    else:
        (placed, unusable), reach = _project(reference, catalogue), REACH
    excluded = np.asarray(exclude or [], dtype=np.int64)
    match = (
        Match.none(placed) if targets is None else match_targets(placed, targets, reference, reach, excluded)
    )
    stars = match.stars
    seen, tmag = _on_frame(stars, reference, 0.5), stars["tmag"].values
    match.fate[(match.fate == Fate.FOUND) & ~np.append(seen, False)[match.star]] = Fate.OFF_FRAME
    named = match.named()
    left_out, lost = _tally(
        {
            "beyond the frame": ~_on_frame(stars, reference, MARGIN),
            f"fainter than {faintest:g} mag": (tmag > faintest) & ~named,
        }
    )
    no_targets, unwanted = _tally(
        {
            "beside the frame": ~seen,
            "excluded": np.isin(stars["tic"].values, excluded) & (stars["tic"].values > 0),
            "too bright": (tmag < (-np.inf if brightest is None else brightest)) & ~named,
            "not on the list": np.full(named.size, only_targets) & ~named,
        },
        ~lost,
    )
    order = np.argsort(tmag, kind="stable")
    order = order[~lost[order]]
    ordered = match.take(order)
    result = ordered.stars.assign(
        priority=("star", ordered.rank(~unwanted[order], targets)),
    )
    if targets is not None:
        result = result.assign({name: targets[name].variable for name in LISTED}).assign(
            target_star=("target", ordered.star), target_fate=("target", ordered.fate)
        )
    return result.assign_attrs(
        method="detected" if catalogue is None else "catalogue",
        left_out={
            reason: unusable.get(reason, 0) + left_out.get(reason, 0) for reason in unusable | left_out
        },
        no_targets=no_targets,
    )


def _tally(
    reasons: Mapping[str, np.ndarray], among: np.ndarray | None = None
) -> tuple[dict[str, int], np.ndarray]:
    """Count stars under the first reason that holds for them, none of them 0; and return which these are."""
    counts, hit = {}, np.zeros(next(iter(reasons.values())).size, bool)
    for reason, holds in reasons.items():
        new = holds & ~hit
        number = int((new if among is None else new & among).sum())
        counts |= {reason: number} if number else {}
        hit |= new
    return counts, hit


def _on_frame(stars: xr.Dataset, reference: xr.Dataset, margin: float) -> np.ndarray:
    """Return the stars on the pixels of the reference, or within a margin of their centres."""
    inside = np.ones(stars.sizes["star"], bool)
    for name in ("row", "column"):
        place, labels = stars[f"star_{name}"].values, reference[name].values
        inside &= (place >= labels[0] - margin) & (place <= labels[-1] + margin)
    return inside


def _project(reference: xr.Dataset, catalogue: xr.Dataset) -> tuple[xr.Dataset, dict[str, int]]:
    """Return the catalogue with its places on the pixels, and how many rows are no star there."""
    wcs = str(reference.attrs.get("wcs", ""))
    if not wcs:
        raise StepInputError(
            "locate_stars: reference has no plate solution, so catalogue stars have no place on it; "
            "expected WCS cards in at least one frame. Leave the catalogue out to detect stars instead."
        )
    kept = catalogue[[name for name in KEPT if name in catalogue.variables]].reset_coords()
    ra, dec, tic = (kept[name].values for name in ("ra", "dec", "tic"))
    row, column = sky_to_pixel(wcs, ra, dec)
    first = np.zeros(tic.size, bool)
    first[np.unique(tic, return_index=True)[1]] = True
    counts, lost = _tally(
        {
            "no position or magnitude": ~(
                np.isfinite(ra) & np.isfinite(dec) & np.isfinite(kept["tmag"].values)
            ),
            "beyond the frame": ~(np.isfinite(row) & np.isfinite(column)),
            "listed twice in the catalogue": ~first & (tic > 0),
        }
    )
    # What read_stars left out is one number; stars that were located before say it by reason.
    before = catalogue.attrs.get("left_out", 0)
    counts |= {"unusable in the catalogue": before} if before and isinstance(before, int) else {}
    placed = kept.assign(star_row=("star", row), star_column=("star", column))
    return placed.isel(star=np.flatnonzero(~lost)), counts


def _detect(reference: xr.Dataset, threshold: float) -> xr.Dataset:
    image = np.nan_to_num(reference["reference"].values.astype(float))
    smooth = gaussian_filter(image, SMOOTHING)
    dark = smooth[~reference["star_mask"].values]
    below = dark[dark <= np.median(dark)] if dark.size else smooth.ravel()
    noise = max(MAD_TO_SIGMA * float(np.median(np.median(below) - below)), 1e-3)
    peaks = peak_local_max(smooth, min_distance=1, threshold_abs=threshold * noise, exclude_border=False)
    padded = np.pad(image, 1)
    row, column, flux = np.empty((3, len(peaks)))
    for k, (r, c) in enumerate(peaks):
        box = np.clip(padded[r : r + 3, c : c + 3], 0, None)
        flux[k] = max(box.sum(), 1e-3)
        row[k] = r + (box.sum(axis=1) * (-1, 0, 1)).sum() / flux[k]
        column[k] = c + (box.sum(axis=0) * (-1, 0, 1)).sum() / flux[k]
    row += float(reference["row"].values[0])
    column += float(reference["column"].values[0])
    wcs = str(reference.attrs.get("wcs", ""))
    ra, dec = pixel_to_sky(wcs, row, column) if wcs else np.full((2, row.size), np.nan)
    return xr.Dataset(
        {
            "tic": ("star", np.zeros(row.size, np.int64)),
            "ra": ("star", ra),
            "dec": ("star", dec),
            "tmag": ("star", (ZERO_POINT - 2.5 * np.log10(flux)).astype(np.float32)),
            "star_row": ("star", row),
            "star_column": ("star", column),
        }
    )
