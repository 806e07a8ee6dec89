"""Light curves by PSF photometry: the fluxes of all stars of a frame, solved for together.

``F = N⁻¹ (S·D − S·sky) − motion`` with the stamps of weights S = W·P of all stars and what their
light brings into each other's stamps, ``N = S·P``. W is the same for all frames, so N is
factorised once. The errors are those that these weights really have in a frame, whether or not
they are the best for it (a sandwich):

``var = G²·(a + b·star(t)) + b·G²·sky(t) + (ΣG)²·σ²_sky + Σ_column (ΣG)²·σ²_κ``

with the error of the sky at the star (see ``light_curves``) and ``G = N⁻¹ S``, the pixels' weights in a
flux once the neighbours are taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from numba import njit

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.overlaps import Inverse, local_inverse, stamp_response, stamp_sums
from tasoc_kit.numerics.psf_sky import StampSurface, add_columns, add_surface, stamp_surface
from tasoc_kit.photometry.curves.guides import Guides, guide_motion, make_guides
from tasoc_kit.photometry.curves.motion import HALF, Steadiness, flux_change, make_motion_table
from tasoc_kit.photometry.curves.series import (
    SKY_NEEDS,
    SKY_TABLES,
    STAR_SUMS,
    SkySeries,
    check_stars,
    sky_series,
    some_frames,
)
from tasoc_kit.photometry.psfs.psf_scene import Scene, scene_of, shown_stars
from tasoc_kit.photometry.quality import carry_quality
from tasoc_kit.photometry.skies.anomalies import carry_anomalies
from tasoc_kit.photometry.skies.cell_noise import cell_excess_at
from tasoc_kit.photometry.skies.sky_images import sky_ladder
from tasoc_kit.photometry.stream import aperture_runs
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import KitQuality, Status

__all__ = ["make_psf_light_curves"]

SERIES = {"flux": np.float32, "flux_err": np.float32, "background": np.float32, "pixel_quality": np.int32}
NEIGHBOURS = 4
CORRELATED = 0.7
"""Correlation with a neighbour from which on a flux is doubtful."""
_STAR = ("tic", "ra", "dec", "tmag", "star_row", "star_column")


@dataclass(frozen=True)
class _Tables:
    """What every block of frames needs; (unknown) arrays belong to the fluxes that are solved for."""

    scene: Scene
    reference_sky: np.ndarray
    """(unknown) sky of the reference in the stamps."""
    uniform: np.ndarray
    """(unknown) sum of the weights of a stamp."""
    columns: np.ndarray
    """(unknown, SIDE) the same by column."""
    surfaces: dict[int, StampSurface]
    variance: np.ndarray
    """(5, unknown), from :func:`stamp_response`; the first is that of a frame like the reference."""
    sky_excess: np.ndarray
    """(unknown) variance of the cells about a star over that of usual ones, less 1."""
    steadiness: Steadiness | None
    stars: int


@step(
    version=5,
    product="psf_light_curves",
    needs={
        "stream": ("psf_sum", *STAR_SUMS),
        "sky": (*SKY_NEEDS, *SKY_TABLES, "sky_anomaly"),
        "psf": ("psf_coefficient", "psf_row", "psf_column", "psf_flux", "psf_source"),
        "apertures": ("row_size", "pixel_row", "pixel_column", "star_row", "star_column"),
        "reference": ("reference", "reference_sky", "noise_floor", "noise_slope"),
        "quality": ("quality",),
    },
    gives=(*SERIES, "status", "neighbour", "psf_correlation"),
    libraries=("numpy", "scipy", "numba"),
)
def make_psf_light_curves(
    stream: xr.Dataset,
    sky: xr.Dataset,
    psf: xr.Dataset,
    apertures: xr.Dataset,
    reference: xr.Dataset,
    quality: xr.Dataset,
    *,
    steady: Annotated[bool, Parameter("take the motion of the stars out of the fluxes")] = True,
    systematic: Annotated[
        float, Parameter("error added in quadrature, as a share of the flux", unit="", ge=0)
    ] = 0.0,
) -> xr.Dataset:
    """
    Make flux, error and background of every star by PSF photometry.

    Parameters
    ----------
    stream
        Sums of every frame, made with the same ``psf``.
    sky
        Sky model of every frame.
    psf
        The PSF and its stars.
    apertures
        Pixels of the guide stars that tell the motion.
    reference
        Star image, sky and noise model.
    quality
        Bits of the mission.
    steady
        Take the motion of the stars out of the fluxes; needs at least eight bright, lone stars.
    systematic
        Error added in quadrature, as a share of the flux.

    Returns
    -------
    Lazy (star, time) series. ``status`` says what became of a star: ERROR where too few pixels
    count, WARNING where it shares its source with a star that no PSF can tell from it, or
    depends strongly on a neighbour. ``neighbour`` and ``psf_correlation`` (star, neighbour) name
    the stars that its error depends on most.

    Raises
    ------
    StepInputError
        If the stream was not made with this PSF, or either with other apertures.
    """
    check_stars("make_psf_light_curves", apertures, stream=stream, psf=psf)
    scene = scene_of(psf, reference)
    if stream.sizes["psf_star"] != scene.star.size:
        raise StepInputError(
            f"make_psf_light_curves: the stream has PSF sums of {stream.sizes['psf_star']} sources, the psf "
            f"has {scene.star.size}; expected the same. Pass this psf to stream_frames first."
        )
    inverse = local_inverse(scene.matrix)
    tables, guides = _tables(scene, inverse, psf, sky, apertures, reference, steady)
    made = _series(
        dask.delayed(tables, traverse=False), guides, stream, sky, systematic, apertures.sizes["star"]
    )
    coords = {name: apertures[name].variable for name in _STAR if name in apertures.variables}
    coords |= {name: stream[name].variable for name in ("time", "cadenceno")}
    coords |= {"frame_quality": sky["frame_quality"].variable}
    series = xr.Dataset(made, coords, {"block": int(stream.attrs.get("block", 64))})
    series = carry_anomalies(carry_quality(series, quality, apertures), sky, apertures)
    return series.assign(_judge(scene, inverse, apertures.sizes["star"]))


def _series(
    tables: Any, guides: Guides | None, stream: xr.Dataset, sky: xr.Dataset, systematic: float, stars: int
) -> dict[str, tuple[tuple[str, ...], da.Array]]:
    """Return the lazy series, a task for every block of frames."""
    measure, make, prepare = map(dask.delayed, (guide_motion, _make_block, sky_series))
    held = dask.delayed(guides, traverse=False)
    size = int(stream.attrs.get("block", 64))
    pieces: dict[str, list[da.Array]] = {name: [] for name in SERIES}
    for start in range(0, stream.sizes["time"], size):
        part = slice(start, min(start + size, stream.sizes["time"]))
        sums = dask.delayed(tuple)([some_frames(stream[name], part) for name in STAR_SUMS])
        below = prepare({name: some_frames(sky[name], part) for name in SKY_NEEDS})
        motion = measure(held, sums, below, systematic)
        made = make(tables, some_frames(stream["psf_sum"], part), below, motion, systematic)
        for name, dtype in SERIES.items():
            pieces[name].append(da.from_delayed(made[name], (stars, part.stop - part.start), dtype))
    return {name: (("star", "time"), da.concatenate(arrays, axis=1)) for name, arrays in pieces.items()}


def _tables(
    scene: Scene,
    inverse: Inverse,
    psf: xr.Dataset,
    sky: xr.Dataset,
    apertures: xr.Dataset,
    reference: xr.Dataset,
    steady: bool,
) -> tuple[_Tables, Guides | None]:
    stamps = scene.weight, scene.top, scene.left
    background = reference["reference_sky"].values
    gain = sky["strap_gain"].values.astype(float)
    ladder = sky_ladder(sky)
    floor, slope = (reference[name].values.astype(float) for name in ("noise_floor", "noise_slope"))
    light = np.maximum(np.nan_to_num(reference["reference"].values + background), 0.0)
    runs = aperture_runs(apertures, reference["row"].values, reference["column"].values)
    column = np.clip(runs.centre_column, 0, reference.sizes["column"] - 1)
    motion = make_motion_table(apertures, reference, runs, shown_stars(psf, apertures)) if steady else None
    tables = _Tables(
        scene,
        stamp_sums(background, *stamps),
        scene.weight.sum(axis=(1, 2), dtype=float),
        scene.weight.sum(axis=1, dtype=float),
        {
            int(level): stamp_surface(ladder.surfaces[int(level)], *stamps, gain)
            for level in np.unique(sky["sky_level"].values)
        },
        stamp_response(*stamps, inverse.near, inverse.value, floor + slope * light, slope, scene.scale),
        cell_excess_at(sky, *(psf[f"psf_{axis}"].values[scene.star] for axis in ("row", "column"))),
        _steadiness(scene, reference, (runs.centre_row, runs.centre_column)) if motion else None,
        apertures.sizes["star"],
    )
    return tables, make_guides(motion, sky, reference, runs, (floor[column], slope[column]))


def _steadiness(scene: Scene, reference: xr.Dataset, centre: tuple[np.ndarray, np.ndarray]) -> Steadiness:
    """Return how the fluxes answer to motion: what the derivatives of all light do in the solution."""
    images = scene.draw_expansion(scene.expected, reference["reference"].shape)
    sums = np.stack([stamp_sums(image, scene.weight, scene.top, scene.left) for image in images[1:]], axis=1)
    place = np.stack(centre).astype(float)
    own = place[:, scene.star]
    field = [(c - m) / HALF for c, m in zip(own, place.mean(axis=1), strict=True)]
    field = np.stack([np.ones(scene.star.size), *field], axis=1)
    return Steadiness(scene.solve(np.where(scene.held[:, None], 0.0, sums)), field)


def _make_block(
    tables: _Tables, sums: np.ndarray, sky: SkySeries, motion: np.ndarray, systematic: float
) -> dict[str, np.ndarray]:
    """Return the series of all stars in one block of frames; the task that Dask runs."""
    scene = tables.scene
    above = np.zeros((scene.star.size, sky.no_data.size))
    for level, (plain, scaled) in sky.coefficients.items():
        add_surface(above, tables.surfaces[level], plain, scaled)
    add_columns(above, tables.columns, scene.left, sky.columns)
    net = sums.T - tables.reference_sky[:, None] - above
    lost = ~np.isfinite(net) | scene.held[:, None]
    # What is not known in one frame stays as on the reference, so that the neighbours do not suffer.
    usual = np.where(scene.held, scene.expected, scene.matrix @ scene.expected)
    flux = scene.solve(np.where(lost, usual[:, None], net))
    if tables.steadiness is not None:
        _take_motion_out(flux, tables.steadiness, np.nan_to_num(motion))
    uniform = np.maximum(tables.uniform, 1e-9)[:, None]
    own, by_sky, total, column, by_star = (values[:, None] for values in tables.variance)
    photons = own + by_sky * above / uniform + by_star * (flux - scene.expected[:, None])
    variance = np.maximum(photons, 0.1 * own) + (systematic * flux) ** 2
    under = sky.variance[0] + tables.sky_excess[:, None] * sky.variance[2]
    variance += total**2 * under + column * sky.variance[1]
    flux[lost] = np.nan
    bits = np.where(lost & ~scene.held[:, None] & ~sky.no_data, int(KitQuality.NONFINITE_PIXELS), 0)
    error = np.where(lost, np.nan, np.sqrt(variance))
    background = np.where(lost, np.nan, tables.reference_sky[:, None] + above)
    share, unknown = scene.sources.share[:, None], scene.sources.unknown
    out = {}
    for name, values in (("flux", flux), ("flux_err", error), ("background", background)):
        out[name] = np.full((tables.stars, sky.no_data.size), np.nan, np.float32)
        out[name][scene.member] = share * values[unknown]
    out["pixel_quality"] = np.zeros((tables.stars, sky.no_data.size), np.int32)
    out["pixel_quality"][scene.member] = bits[unknown]
    return out


@njit(nogil=True, cache=True)
def _take_motion_out(flux, steadiness, motion):
    for s in range(flux.shape[0]):
        for t in range(flux.shape[1]):
            flux[s, t] -= flux_change(steadiness, s, motion[t])


def _judge(scene: Scene, inverse: Inverse, stars: int) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Return status, the neighbours that a star depends on most, and the correlation with each."""
    near, value = inverse.near[:, 1:], inverse.value[:, 1:]
    # Stamps are scaled, so the inverse is not symmetric: each row holds its own scale.
    norm = scene.scale
    correlation = value * np.sqrt(norm[:, None] / norm[near])
    correlation /= np.sqrt(inverse.flux[:, None] * inverse.flux[near])
    correlation[near < 0] = 0.0
    order = np.argsort(-np.abs(correlation), axis=1, kind="stable")[:, :NEIGHBOURS]
    best, strength = (np.take_along_axis(x, order, axis=1) for x in (near, correlation))
    names = np.where((best >= 0) & (strength != 0), scene.star[best], -1)
    neighbour = np.full((stars, NEIGHBOURS), -1, np.int32)
    shown = np.zeros((stars, NEIGHBOURS), np.float32)
    status = np.full(stars, int(Status.SKIPPED), np.int8)
    unknown = scene.sources.unknown
    shared = np.bincount(unknown, minlength=scene.star.size) > 1
    doubtful = shared | (np.abs(strength).max(axis=1, initial=0.0) > CORRELATED)
    verdict = np.select([scene.held, doubtful], [int(Status.ERROR), int(Status.WARNING)], int(Status.OK))
    neighbour[scene.member], shown[scene.member] = names[unknown], strength[unknown]
    status[scene.member] = verdict[unknown]
    return {
        "status": (("star",), status),
        "neighbour": (("star", "neighbour"), neighbour),
        "psf_correlation": (("star", "neighbour"), shown),
    }
