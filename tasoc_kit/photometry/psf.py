"""The effective PSF of a CCD, and the stars that PSF photometry serves with it.

The fluxes of these stars on the reference are solved for together; they say how far the light of
each must be followed, and what two stars that no PSF can tell apart have of their common source.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import xarray as xr
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.effective_psf import EffectivePsf, collocate, from_samples
from tasoc_kit.numerics.prf import components, pixel_response
from tasoc_kit.numerics.psf_sums import SIDE
from tasoc_kit.photometry.psfs.psf_regions import Places, find_shift, fit_regions
from tasoc_kit.photometry.psfs.psf_scene import Scene, make_scene
from tasoc_kit.step import Parameter, step

__all__ = ["fit_psf"]

NODES = 5


@step(
    version=4,
    product="psf",
    needs={
        "reference": ("reference", "reference_sky", "saturated", "noise_floor", "noise_slope"),
        "apertures": ("tmag", "star_row", "star_column"),
        "official": ("prf", "sample_row", "sample_column"),
    },
    gives=("psf_coefficient", "psf_row", "psf_column", "psf_flux", "psf_source"),
    libraries=("numpy", "scipy", "numba"),
)
def fit_psf(
    reference: xr.Dataset,
    apertures: xr.Dataset,
    official: xr.Dataset | None = None,
    *,
    shape: Annotated[
        Literal["fitted", "nominal"], Parameter("as the stars show it, or as the mission expects it")
    ] = "fitted",
    faintest: Annotated[float, Parameter("faintest star that gets PSF photometry", unit="mag")] = 16.0,
    width: Annotated[float, Parameter("factor on the width of the nominal PRF's core", gt=0)] = 1.0,
    merge: Annotated[float, Parameter("distance below which stars are one source", unit="pix", ge=0)] = 0.5,
) -> xr.Dataset:
    """
    Choose the PSF of a CCD, and solve for the fluxes of its stars on the reference.

    Parameters
    ----------
    reference
        Star image, sky and noise model.
    apertures
        Stars, with their places on the reference.
    official
        PRFs that the mission published for this CCD; they are then taken as they are.
    shape
        ``fitted``: as bright stars of the reference show it. ``nominal``: the mission's.
    faintest
        Faintest star that gets PSF photometry; fainter ones stay part of the sky.
    width
        Factor on the width of the core of the nominal PRF.
    merge
        Distance in pixels below which stars are one source, whose flux they share by magnitude.

    Returns
    -------
    ``psf_coefficient`` (node_row, node_column, spline_row, spline_column) of
    ``tasoc_kit.numerics.effective_psf``; ``psf_row``, ``psf_column``, ``psf_flux`` and
    ``psf_source`` of every star, NaN and −1 for those left out.

    Raises
    ------
    StepInputError
        If the official PRFs are those of another CCD.
    """
    rows, columns = reference["row"].values, reference["column"].values
    first = _nominal_psf(reference, width) if official is None else _official_psf(official, reference)
    row, column = apertures["star_row"].values, apertures["star_column"].values
    tmag = apertures["tmag"].values.astype(float)
    on_frame = (np.rint(row) >= rows[0]) & (np.rint(row) <= rows[-1])
    on_frame &= (np.rint(column) >= columns[0]) & (np.rint(column) <= columns[-1])
    # A cutout smaller than a stamp, or a camera with no known PRF, is left to apertures.
    served = min(reference["reference"].shape) >= SIDE and "camera" in reference.attrs
    source = _merge(row, column, tmag, on_frame & (tmag <= faintest) & served, merge)
    places = Places(row, column, 10 ** (-0.4 * (tmag - ZERO_POINT)), source)
    if not served:
        return _product(first, places, np.full(row.size, np.nan), apertures)
    places = find_shift(first, reference, places)
    fit = shape == "fitted" and official is None
    psf = fit_regions(first, reference, places) if fit else first
    scene = make_scene(psf, reference, *places)
    solved = scene.fluxes(reference["reference"].values)
    made = _product(psf, places, _share_out(scene, solved, row.size), apertures)
    return made.assign_attrs(
        shape="official" if official is not None else "nominal" if psf is first else "fitted"
    )


def _product(psf: EffectivePsf, places: Places, flux: np.ndarray, apertures: xr.Dataset) -> xr.Dataset:
    dims = ("node_row", "node_column", "spline_row", "spline_column")
    return xr.Dataset(
        {
            "psf_coefficient": (dims, psf.coefficients.astype(np.float32)),
            "psf_row": ("star", places.row),
            "psf_column": ("star", places.column),
            "psf_flux": ("star", flux),
            "psf_source": ("star", places.source.astype(np.int32)),
        },
        coords={"node_row": psf.row, "node_column": psf.column, "tic": apertures["tic"].variable},
    )


def _official_psf(official: xr.Dataset, reference: xr.Dataset) -> EffectivePsf:
    """Return published PRFs as splines, each centred on its light: a position means the same for all."""
    own, theirs = (
        tuple(part.attrs.get(name) for name in ("camera", "ccd")) for part in (reference, official)
    )
    if own != theirs:
        raise StepInputError(
            f"fit_psf: official PRFs of (camera, CCD) {theirs}, reference of {own}; expected the same. "
            "Read the PRFs of this CCD."
        )
    offsets = [official[f"sample_{axis}"].values for axis in ("row", "column")]
    values = official["prf"].values
    tables = []
    for one in values.reshape(-1, *values.shape[2:]):
        centre = (one.sum(axis=1) @ offsets[0] / one.sum(), one.sum(axis=0) @ offsets[1] / one.sum())
        tables.append(from_samples(one, *(offset - c for offset, c in zip(offsets, centre, strict=True))))
    nodes = (official[name].values.astype(float) for name in ("node_row", "node_column"))
    return EffectivePsf(*nodes, np.reshape(tables, (*values.shape[:2], *tables[0].shape)))


def _nominal_psf(reference: xr.Dataset, width: float) -> EffectivePsf:
    """Return the mission's nominal PRF on a grid of nodes over the frame."""
    labels = [reference[name].values for name in ("row", "column")]
    nodes = [np.linspace(label[0], label[-1], NODES) for label in labels]
    places = [place.ravel() for place in np.meshgrid(*nodes, indexing="ij")]
    camera, ccd = int(reference.attrs.get("camera", 1)), int(reference.attrs.get("ccd", 1))
    parts = components(*places, camera=camera, ccd=ccd, width=width)
    tables = [collocate(lambda y, x, p=part: pixel_response(y, x, p)) for part in parts]
    return EffectivePsf(*nodes, np.reshape(tables, (NODES, NODES, *tables[0].shape)))


def _share_out(scene: Scene, flux: np.ndarray, stars: int) -> np.ndarray:
    """Return the flux of every star from those of the unknowns; NaN for stars left out."""
    out = np.full(stars, np.nan)
    out[scene.member] = flux[scene.sources.unknown] * scene.sources.share
    return out


def _merge(
    row: np.ndarray, column: np.ndarray, tmag: np.ndarray, fit: np.ndarray, distance: float
) -> np.ndarray:
    """Return the brightest star of the source each star belongs to; −1 for stars left out."""
    (chosen,) = np.nonzero(fit)
    pairs = cKDTree(np.column_stack([row[chosen], column[chosen]])).query_pairs(
        distance, output_type="ndarray"
    )
    ties = coo_array((np.ones(len(pairs)), pairs.T), shape=(chosen.size, chosen.size))
    _, group = connected_components(ties, directed=False)
    order = np.lexsort((tmag[chosen], group))
    first = np.concatenate([[True], np.diff(group[order]) != 0]) if order.size else np.zeros(0, bool)
    brightest = chosen[order[first]]
    source = np.full(row.size, -1)
    source[chosen] = brightest[group]
    return source
