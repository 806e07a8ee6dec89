"""Apertures: the pixels whose sum is the light curve of a star.

Two ways to grow them on the reference image: ``k2p2`` finds the threshold on a stamp around each
star, as TASOC does; ``tile`` takes it from a map of the whole frame and divides the frame once,
which is much faster and gives neighbouring stars the same threshold. The result is ragged (the CF
contiguous representation): ``row_size`` says how many entries of ``aperture_pixel`` each star has.
Every star keeps its place in the catalogue; one without pixels says why in ``status``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from scipy import sparse

from tasoc_kit.config import settings
from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import is_strap
from tasoc_kit.photometry.masks import k2p2, tiles
from tasoc_kit.photometry.masks.claims import Claims
from tasoc_kit.photometry.masks.contamination import catalogue_share, prf_share
from tasoc_kit.photometry.masks.methods import choose_methods
from tasoc_kit.photometry.masks.ragged import Masks, add_minimum_masks, star_of_pixel
from tasoc_kit.photometry.masks.scene import Scene, make_scene
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import ApertureFlag, EdgeSide, Status

__all__ = ["aperture_matrix", "make_apertures"]

BATCH = 2048
"""Stars grown together, from bright to faint; those inside an aperture of an earlier batch cost nothing."""
CONTAMINATED = 0.1


@dataclass(frozen=True)
class _Places:
    """The catalogue on the grid of the image; all arrays (star)."""

    row: np.ndarray
    column: np.ndarray
    tmag: np.ndarray
    pixel: np.ndarray
    """(star, 2): indices of the pixel each star lies in, clipped to the frame."""
    on_frame: np.ndarray
    bright_first: np.ndarray
    """Positions in the catalogue of the stars on the frame, from bright to faint."""
    wanted: np.ndarray
    """The stars that are targets; the others divide the light and keep no aperture."""


def _place_stars(stars: xr.Dataset, reference: xr.Dataset, faintest: float) -> _Places:
    """Put the stars on the grid of the reference; those fainter than ``faintest`` are not in the order."""
    corner = [int(reference[name].values[0]) for name in ("row", "column")]
    shape = np.array([reference.sizes["row"], reference.sizes["column"]])
    position = np.column_stack([stars["star_row"].values, stars["star_column"].values]) - corner
    nearest = np.rint(np.nan_to_num(position, nan=-1.0)).astype(np.int64)
    on_frame = ((nearest >= 0) & (nearest < shape)).all(axis=1)
    tmag = stars["tmag"].values.astype(np.float64)
    order = np.argsort(np.where(np.isnan(tmag), np.inf, tmag), kind="stable")
    return _Places(
        position[:, 0],
        position[:, 1],
        tmag,
        np.clip(nearest, 0, shape - 1),
        on_frame,
        order[on_frame[order] & ~(tmag[order] > faintest)],
        stars["priority"].values > 0 if "priority" in stars else np.ones(tmag.size, dtype=bool),
    )


def _check_grid(reference: xr.Dataset) -> None:
    for name in ("row", "column"):
        if (np.diff(reference[name].values) != 1).any():
            raise StepInputError(
                f"make_apertures: reference has gaps in its {name} labels; expected neighbouring pixels, "
                "for masks are grown over them. Select a block of rows and columns without a step."
            )


def _check_stars(places: _Places, stars: xr.Dataset, reference: xr.Dataset) -> None:
    if places.on_frame.any():
        return
    spans = [
        f"{name}s {reference[name].values[0]}–{reference[name].values[-1]}" for name in ("row", "column")
    ]
    raise StepInputError(
        f"make_apertures: none of the {stars.sizes['star']} stars lies on the frame; expected some on "
        f"{' and '.join(spans)}. Check the star catalogue and the WCS of the frames."
    )


def _grow_and_claim(
    image: np.ndarray, places: _Places, grow: Callable[[np.ndarray], Masks]
) -> tuple[Masks, np.ndarray]:
    """Grow the masks of stars from bright to faint; return them and ``skipped_by``."""
    count = places.tmag.size
    centre = np.ravel_multi_index(tuple(places.pixel.T), image.shape)
    claims = Claims.open(image.size, centre, places.bright_first, count)
    parts, owners = [], []
    for start in range(0, max(places.bright_first.size, 1), BATCH):
        batch = claims.free(places.bright_first[start : start + BATCH])
        masks = add_minimum_masks(grow(batch), image, places.row[batch], places.column[batch])
        keep = claims.claim(batch, masks.row_size, np.ravel_multi_index(masks.pixels, image.shape))
        # All have claimed before those that nobody wants are let go: an aperture is the same for any list.
        keep &= places.wanted[batch]
        parts.append(masks.take(keep))
        owners.append(batch[keep])
    return Masks.in_catalogue_order(parts, owners, count), claims.skipped_by


def _edge_sides(masks: Masks, box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the bits of the sides on which each mask reaches the outermost pixels that hold data."""
    star, (row, column) = star_of_pixel(masks.row_size), masks.pixels
    reached = {
        EdgeSide.FIRST_ROW: row == box[0],
        EdgeSide.LAST_ROW: row == box[1] - 1,
        EdgeSide.FIRST_COLUMN: column == box[2],
        EdgeSide.LAST_COLUMN: column == box[3] - 1,
    }
    sides = np.zeros(masks.row_size.size, dtype=np.int8)
    for side, pixels in reached.items():
        sides[star[pixels]] |= int(side)
    return sides


def _flags(
    masks: Masks,
    places: _Places,
    skipped_by: np.ndarray,
    share: np.ndarray,
    sides: np.ndarray,
    scene: Scene,
    straps: np.ndarray,
) -> np.ndarray:
    """Return the bits of every star; ``straps`` is True for mask pixels in a strapped column."""
    star, pixels = star_of_pixel(masks.row_size), masks.pixels

    def any_pixel(is_set: np.ndarray) -> np.ndarray:
        return np.bincount(star[is_set], minlength=masks.row_size.size) > 0

    bits = {
        ApertureFlag.MINIMUM: masks.minimal,
        ApertureFlag.EDGE: (sides > 0) | (masks.edge_flux > 0),
        ApertureFlag.SATURATED: masks.bleeds | any_pixel(scene.saturated[pixels]),
        ApertureFlag.HOLES_FILLED: masks.filled,
        ApertureFlag.OUTSIDE: ~places.on_frame,
        ApertureFlag.INSIDE_BRIGHTER: skipped_by >= 0,
        ApertureFlag.STRAP: any_pixel(straps),
        ApertureFlag.CONTAMINATED: share > CONTAMINATED,
    }
    tried = np.zeros(places.tmag.size, dtype=bool)
    tried[places.bright_first] = places.wanted[places.bright_first]
    bits[ApertureFlag.NO_SIGNAL] = tried & (masks.row_size == 0) & (skipped_by < 0)
    return sum((np.where(is_set, int(bit), 0) for bit, is_set in bits.items()), np.int32(0)).astype(np.int32)


def _status(flags: np.ndarray, row_size: np.ndarray) -> np.ndarray:
    """Return TASOC's code for what became of every star."""
    lost = flags & int(ApertureFlag.OUTSIDE | ApertureFlag.NO_SIGNAL) > 0
    doubtful = flags & int(ApertureFlag.MINIMUM | ApertureFlag.EDGE) > 0
    return np.select(
        [lost, row_size == 0, doubtful],
        [int(Status.ERROR), int(Status.SKIPPED), int(Status.WARNING)],
        int(Status.OK),
    ).astype(np.int8)


@step(
    version=7,
    product="apertures",
    needs={
        "reference": ("reference", "saturated"),
        "stars": ("tmag", "star_row", "star_column"),
        "overrides": ("override_tic", "override_method"),
    },
    gives=(
        "row_size",
        "pixel_row",
        "pixel_column",
        "status",
        "aperture_flags",
        "contamination",
        "skipped_by",
        "edge_flux",
        "edge_sides",
        "stamp_height",
        "stamp_width",
        "stamp_resizes",
        "method",
    ),
    libraries=("numba", "numpy", "scipy"),
)
def make_apertures(
    reference: xr.Dataset,
    stars: xr.Dataset,
    overrides: xr.Dataset | None = None,
    *,
    mode: Annotated[
        Literal["k2p2", "tile"], Parameter("threshold of each star's stamp, or of a map of the frame")
    ] = "k2p2",
    threshold: Annotated[float, Parameter("scaled MADs above the mode at which a pixel is lit", ge=0)] = 0.8,
    minimum_pixels: Annotated[int, Parameter("smaller masks give way to the minimum aperture", ge=1)] = 4,
    faintest: Annotated[
        float, Parameter("fainter stars divide the light but get no aperture", unit="mag")
    ] = 20.0,
    contamination: Annotated[
        Literal["catalogue", "prf"],
        Parameter("light of a star counts where its centre is, or as the PRF spreads it"),
    ] = "catalogue",
    crowded: Annotated[
        float, Parameter("contamination beyond which the PSF serves a star better", ge=0)
    ] = 0.5,
) -> xr.Dataset:
    """
    Choose the pixels of every star's aperture on the reference image.

    In both modes lit pixels form clusters (DBSCAN), which a watershed with markers from the star
    catalogue divides; single-pixel holes are filled and saturated columns followed. A star that
    stands out too little has the pixels within one pixel of it and status WARNING. A star inside the
    aperture of a brighter one, or whose aperture would hold one, has none and status SKIPPED.

    Parameters
    ----------
    reference
        Star image without sky (row, column) in electron/s, and its saturated pixels.
    stars
        Catalogue with ``tmag``, ``star_row`` and ``star_column``; also of stars too faint for an
        aperture, for they divide and contaminate.
    overrides
        Stars whose method was chosen by hand, as ``read_overrides`` returns them.
    mode, threshold, minimum_pixels, faintest, contamination, crowded
        See ``tasoc parameters photometry``.

    Returns
    -------
    Ragged apertures: ``pixel_row`` and ``pixel_column`` (aperture_pixel), labels of the full frame, in
    raster order star after star; ``row_size``, ``status``, ``aperture_flags``, ``contamination``,
    ``skipped_by``, ``edge_flux``, ``edge_sides`` and ``method`` (star), in the order of the catalogue;
    ``stamp_height``, ``stamp_width`` and ``stamp_resizes`` (star), 0 where no stamp was made.

    Raises
    ------
    StepInputError
        If no star lies on the frame, the frame has gaps, or it does not say which PRF is its own.

    References
    ----------
    Lund+ 2015, ApJ 806 30; Handberg+ 2021, AJ 162 170, section 4.
    """
    _check_grid(reference)
    places = _place_stars(stars, reference, faintest)
    _check_stars(places, stars, reference)
    saturated = reference["saturated"].values.astype(bool)
    scene = make_scene(reference["reference"].values, saturated, places.row, places.column, places.tmag)
    options = {"threshold": threshold, "minimum_pixels": minimum_pixels}
    if mode == "k2p2":
        grow = k2p2.grower(scene, places.pixel, places.tmag, threads=settings().threads, **options)
    else:
        grow = tiles.grower(scene, places.pixel, **options)
    masks, skipped_by = _grow_and_claim(scene.image, places, grow)
    if contamination == "prf":
        share = prf_share(stars, reference, masks.row_size, masks.rows, masks.columns)
    else:
        share = catalogue_share(places.tmag, masks.row_size, scene.light[masks.pixels])
    made = _as_dataset(masks, skipped_by, share, scene, places, reference, stars)
    method = choose_methods(made, crowded=crowded, overrides=overrides)
    return made.assign(method=("star", method)).assign_attrs(mode=mode)


def _as_dataset(
    masks: Masks,
    skipped_by: np.ndarray,
    share: np.ndarray,
    scene: Scene,
    places: _Places,
    reference: xr.Dataset,
    stars: xr.Dataset,
) -> xr.Dataset:
    """Return the masks with labels, status and flags."""
    pixels = masks.pixels
    columns = reference["column"].values[pixels[1]]
    straps = is_strap(reference["column"].values)[pixels[1]]
    sides = _edge_sides(masks, scene.box)
    flags = _flags(masks, places, skipped_by, share, sides, scene, straps)
    return xr.Dataset(
        {
            "row_size": ("star", masks.row_size.astype(np.int32)),
            "pixel_row": ("aperture_pixel", reference["row"].values[pixels[0]].astype(np.int16)),
            "pixel_column": ("aperture_pixel", columns.astype(np.int16)),
            "status": ("star", _status(flags, masks.row_size)),
            "aperture_flags": ("star", flags),
            "contamination": ("star", share.astype(np.float32)),
            "skipped_by": ("star", skipped_by.astype(np.int32)),
            "edge_flux": ("star", masks.edge_flux.astype(np.float32)),
            "edge_sides": ("star", sides),
            "stamp_height": ("star", masks.stamp[:, 0]),
            "stamp_width": ("star", masks.stamp[:, 1]),
            "stamp_resizes": ("star", masks.stamp[:, 2]),
        },
        coords={name: known.compute() for name, known in stars.variables.items() if known.dims == ("star",)},
    )


def aperture_matrix(apertures: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> sparse.csr_array:
    """
    Return the matrix whose product with a flattened frame is the flux of every star.

    Parameters
    ----------
    apertures
        Product of ``make_apertures``.
    rows, columns
        Labels of the frame that will be multiplied, each a run without gaps.

    Returns
    -------
    Matrix of ones (star, row × column), float32, the pixels of each star in raster order.

    Raises
    ------
    StepInputError
        If an aperture has a pixel outside the frame.
    """
    row = apertures["pixel_row"].values.astype(np.int64) - int(rows[0])
    column = apertures["pixel_column"].values.astype(np.int64) - int(columns[0])
    outside = (row < 0) | (row >= len(rows)) | (column < 0) | (column >= len(columns))
    if outside.any():
        raise StepInputError(
            f"aperture_matrix: {int(outside.sum())} aperture pixels lie outside the frame of rows "
            f"{rows[0]}–{rows[-1]}, columns {columns[0]}–{columns[-1]}; expected none. "
            "Pass the frame that the apertures were made on."
        )
    size = apertures["row_size"].values
    pointers = np.concatenate([[0], np.cumsum(size, dtype=np.int64)])
    pixel = row * len(columns) + column
    shape = (size.size, len(rows) * len(columns))
    matrix = sparse.csr_array((np.ones(pixel.size, dtype=np.float32), pixel, pointers), shape=shape)
    matrix.sort_indices()
    return matrix
