"""Light curves of every star: algebra on the tables of the stream, no pixel is read.

``flux = A·D − A·B − (A·Φ + scale · A·G·Φ)·c − N·κ`` with the aperture matrix A, the sky of the
reference B, the surface Φ·c, the strap gains G, and the pixels N of each aperture in each
column with its offset κ. Centroids are the first moments without those of the sky; those of
bright stars say how far each frame is displaced, and what that changes is taken out of the fluxes.
Errors follow from the noise model and the raw sum, which holds the sky of its own frame:

``var = a·n + b·A·D + n²·(σ_sky² + σ_structure²) + Σ_column n²·σ_κ²``
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any

import dask
import dask.array as da
import numpy as np
import xarray as xr
from scipy.sparse import csr_matrix

from tasoc_kit.errors import StepInputError
from tasoc_kit.numerics.splines import star_matrix
from tasoc_kit.photometry.motion import MotionTable, flux_change, make_motion_table, measure_motion
from tasoc_kit.photometry.sky import sky_ladder
from tasoc_kit.step import Parameter, step
from tasoc_kit.vocabulary import KitQuality

__all__ = ["make_light_curves"]

SERIES = {
    "flux": np.float32,
    "flux_err": np.float32,
    "background": np.float32,
    "centroid_row": np.float64,
    "centroid_column": np.float64,
    "centroid_row_err": np.float32,
    "centroid_column_err": np.float32,
    "pixel_quality": np.int32,
}
MOTION = ("motion_row", "motion_column")
_STAR = ("tic", "ra", "dec", "tmag", "star_row", "star_column", "status", "contamination", "row_size",
         "aperture_flags", "skipped_by", "edge_flux")  # fmt: skip


@step(
    version=1,
    product="light_curves",
    needs={
        "stream": ("aperture_sum", "moment_row", "moment_column"),
        "sky": ("coefficient", "sky_level", "strap_gain", "strap_scale", "column_noise", "frame_quality"),
        "apertures": ("row_size", "pixel_row", "pixel_column", "star_row", "star_column"),
        "reference": ("reference", "reference_sky", "noise_floor", "noise_slope"),
        "quality": ("quality",),
    },
    gives=tuple(SERIES),
    libraries=("numpy", "scipy"),
)
def make_light_curves(
    stream: xr.Dataset,
    sky: xr.Dataset,
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
    Make flux, error, background and centroids of every star in every cadence.

    Parameters
    ----------
    stream
        Raw aperture sums and first moments.
    sky
        Sky model of every frame.
    apertures
        Pixels of every star.
    reference
        Sky and noise model of the reference.
    quality
        Bits of the mission.
    steady
        Take the motion of the stars out of the fluxes; needs at least eight bright, lone stars.
    systematic
        Error added in quadrature, as a share of the flux.

    Returns
    -------
    Lazy (star, time) series with the star table of the apertures; a star without pixels and a
    cadence without data are NaN. ``motion_row`` and ``motion_column`` (time) are the measured
    displacements at the middle of the stars, NaN where too few stars could tell.

    Raises
    ------
    StepInputError
        If the apertures are not those of the stream.
    """
    if apertures.sizes["star"] != stream.sizes["star"]:
        raise StepInputError(
            f"make_light_curves: {apertures.sizes['star']} apertures, sums of {stream.sizes['star']} stars; "
            "expected the apertures the stream was made with. Open both by the ids in one lineage."
        )
    with ThreadPoolExecutor(2) as threads:
        matrices = threads.submit(_Matrices.of, sky, apertures, reference)
        table = make_motion_table(apertures, reference) if steady else None
        shared = dask.delayed((matrices.result(), table))
    noise = float(reference["noise_floor"]), float(reference["noise_slope"])
    measure, finish = dask.delayed(_measure_block), dask.delayed(_finish)
    size, stars = int(stream.attrs.get("block", 64)), apertures.sizes["star"]
    pieces: dict[str, list[da.Array]] = {name: [] for name in (*SERIES, *MOTION)}
    for start in range(0, stream.sizes["time"], size):
        part = slice(start, min(start + size, stream.sizes["time"]))
        tables = [
            stream[name].isel(time=part).data for name in ("aperture_sum", "moment_row", "moment_column")
        ]
        rows = {name: sky[name].isel(time=part).data for name in _SKY}
        frames = part.stop - part.start
        motion = measure(shared, tables, rows, noise, systematic)
        some = [slice(i, min(i + STARS_PER_TASK, stars)) for i in range(0, max(stars, 1), STARS_PER_TASK)]
        made = [finish(shared, tables, rows, noise, systematic, motion, s) for s in some]
        for name, dtype in SERIES.items():
            shapes = [(s.stop - s.start, frames) for s in some]
            parts = [da.from_delayed(m[name], shape, dtype) for m, shape in zip(made, shapes, strict=True)]
            pieces[name].append(da.concatenate(parts, axis=0))
        for axis, name in enumerate(MOTION):
            pieces[name].append(da.from_delayed(motion[:, axis, 0], (frames,), np.float64))
    dims = dict.fromkeys(SERIES, ("star", "time")) | dict.fromkeys(MOTION, ("time",))
    variables = {name: (dims[name], da.concatenate(p, axis=-1)) for name, p in pieces.items()}
    parts = ((apertures, _STAR), (stream, ("time", "cadenceno")), (quality, ("quality",)))
    coords = {name: part[name].variable for part, names in parts for name in names if name in part.variables}
    coords |= {"frame_quality": sky["frame_quality"].variable}
    return xr.Dataset(variables, coords=coords, attrs={"block": size})


_SKY = (
    "coefficient", "sky_level", "strap_scale", "column_noise", "column_noise_err", "sky_err",
    "sky_systematic", "frame_quality",
)  # fmt: skip


STARS_PER_TASK = 8192
STARS_AT_ONCE = 1024
"""Stars whose series are made together: few enough for their tables to stay in the cache."""


@dataclass(frozen=True)
class _Matrices:
    """What the sky brings into each aperture, as sparse matrices that are made once."""

    count: np.ndarray
    column_square: np.ndarray
    reference_sky: np.ndarray
    reference_moments: np.ndarray
    second_moments: np.ndarray
    offset_sums: np.ndarray
    centre: np.ndarray
    columns: csr_matrix
    column_moments: tuple[csr_matrix, csr_matrix]
    surfaces: dict[int, tuple[csr_matrix, ...]]

    @classmethod
    def of(cls, sky: xr.Dataset, apertures: xr.Dataset, reference: xr.Dataset) -> _Matrices:
        """Make the matrices of these apertures for the levels this sky uses."""
        size = apertures["row_size"].values.astype(np.int64)
        stars = np.repeat(np.arange(size.size), size)
        row = apertures["pixel_row"].values.astype(np.int64) - int(reference["row"].values[0])
        column = apertures["pixel_column"].values.astype(np.int64) - int(reference["column"].values[0])
        centre = np.stack([np.rint(apertures[name].values) for name in ("star_row", "star_column")])
        offset_row = apertures["pixel_row"].values - centre[0][stars]
        offset_column = apertures["pixel_column"].values - centre[1][stars]
        weights = (np.ones(stars.size), offset_row, offset_column)

        def sums(values: np.ndarray) -> np.ndarray:
            return np.bincount(stars, values, minlength=size.size)

        def per_column(values: np.ndarray) -> csr_matrix:
            shape = (size.size, reference.sizes["column"])
            return csr_matrix((values, (stars, column)), shape=shape)

        background = reference["reference_sky"].values[row, column].astype(float)
        star_light = np.maximum(np.nan_to_num(reference["reference"].values[row, column].astype(float)), 0.0)
        ladder, gain = sky_ladder(sky), sky["strap_gain"].values[column].astype(float)
        surfaces = {}
        for level in np.unique(sky["sky_level"].values):
            surface = ladder.surfaces[int(level)]
            plain = [star_matrix(surface, size, row, column, w) for w in weights]
            strapped = [star_matrix(surface, size, row, column, w * gain) for w in weights]
            for matrix in strapped:
                matrix.eliminate_zeros()
            surfaces[int(level)] = (*plain, *strapped)
        columns = per_column(weights[0])
        return cls(
            count=size.astype(float),
            column_square=np.asarray(columns.multiply(columns).sum(axis=1)).ravel(),
            reference_sky=sums(background),
            reference_moments=np.stack([sums(background * w) for w in weights[1:]]),
            second_moments=np.stack([sums(star_light * w**2) for w in weights[1:]]),
            offset_sums=np.stack([[sums(w), sums(w**2)] for w in weights[1:]]),
            centre=centre,
            columns=columns,
            column_moments=(per_column(offset_row), per_column(offset_column)),
            surfaces=surfaces,
        )

    def part(self, stars: slice | np.ndarray) -> _Matrices:
        """Return the matrices of some of the stars."""
        return _Matrices(
            self.count[stars],
            self.column_square[stars],
            self.reference_sky[stars],
            self.reference_moments[:, stars],
            self.second_moments[:, stars],
            self.offset_sums[:, :, stars],
            self.centre[:, stars],
            self.columns[stars],
            (self.column_moments[0][stars], self.column_moments[1][stars]),
            {level: tuple(one[stars] for one in matrices) for level, matrices in self.surfaces.items()},
        )

    def sky_of(self, sky: dict[str, Any]) -> np.ndarray:
        """Return sum and first moments (3, star, time) of the skies over that of the reference."""
        levels, by_column = sky["sky_level"], (self.columns, *self.column_moments)
        over = np.empty((3, self.count.size, levels.size))
        for level in np.unique(levels):
            matrices, frames = self.surfaces[int(level)], np.flatnonzero(levels == level)
            coefficients = sky["coefficient"][frames, : matrices[0].shape[1]].astype(float).T
            columns = sky["column_noise"][frames].astype(float).T
            scaled = coefficients * sky["strap_scale"][frames].astype(float)
            for k, (plain, strapped, offset) in enumerate(
                zip(matrices[:3], matrices[3:], by_column, strict=True)
            ):
                over[k][:, frames] = plain @ coefficients + strapped @ scaled + offset @ columns
        return over


def _measure_block(
    shared: tuple[_Matrices, MotionTable | None],
    tables: list[np.ndarray],
    sky: dict[str, Any],
    noise: tuple[float, float],
    systematic: float,
) -> np.ndarray:
    """Return the motion of one block of frames, (time, axis, 3); NaN where no guides tell it."""
    m, table = shared
    if table is None:
        return np.full((len(sky["sky_level"]), 2, 3), np.nan)
    guides = replace(table, guides=np.arange(table.guides.size), field=table.field[table.guides])
    seen = _series(m.part(table.guides), [t[:, table.guides] for t in tables], sky, noise, systematic)
    places, errors = (
        np.stack([seen[f"centroid_{axis}{end}"] for axis in ("row", "column")]) for end in ("", "_err")
    )
    return measure_motion(guides, places, errors)


def _finish(
    shared: tuple[_Matrices, MotionTable | None],
    tables: list[np.ndarray],
    sky: dict[str, Any],
    noise: tuple[float, float],
    systematic: float,
    motion: np.ndarray,
    stars: slice,
) -> dict[str, np.ndarray]:
    """Turn the sums of some stars in one block of frames into series; the task that Dask runs."""
    m, table = shared
    shape = (stars.stop - stars.start, len(sky["sky_level"]))
    series = {name: np.empty(shape, dtype) for name, dtype in SERIES.items()}
    for start in range(stars.start, stars.stop, STARS_AT_ONCE):
        some = slice(start, min(start + STARS_AT_ONCE, stars.stop))
        made = _series(m.part(some), [t[:, some] for t in tables], sky, noise, systematic)
        if table is not None:
            part = replace(table, flux=table.flux[some], field=table.field[some])
            made["flux"] -= flux_change(part, motion)
        for name, values in made.items():
            series[name][start - stars.start : some.stop - stars.start] = values
    return series


def _series(
    m: _Matrices,
    tables: list[np.ndarray],
    sky: dict[str, Any],
    noise: tuple[float, float],
    systematic: float,
) -> dict[str, np.ndarray]:
    """Return the series of some stars, their motion left in."""
    sums, *moments = (sums_of.T.astype(float, order="C") for sums_of in tables)
    over = m.sky_of(sky)
    background = m.reference_sky[:, None] + over[0]
    flux = sums - background
    count = m.count[:, None]
    variance = noise[0] * count + noise[1] * np.maximum(sums, 0.0)
    variance += count**2 * (sky["sky_err"].astype(float) ** 2 + sky["sky_systematic"].astype(float) ** 2)
    variance += m.column_square[:, None] * sky["column_noise_err"].astype(float) ** 2
    variance += (systematic * flux) ** 2
    lost = ~np.isfinite(flux) | (count == 0)
    made = {"flux": flux, "flux_err": np.sqrt(variance), "background": background}
    made |= _centroids(m, moments, over, background, flux, noise)
    for values in made.values():
        values[lost] = np.nan
    no_data = (sky["frame_quality"] & KitQuality.NO_DATA) != 0
    made["pixel_quality"] = np.where(lost & ~no_data & (count > 0), int(KitQuality.NONFINITE_PIXELS), 0)
    return made


def _centroids(
    m: _Matrices,
    moments: list[np.ndarray],
    over: np.ndarray,
    background: np.ndarray,
    flux: np.ndarray,
    noise: tuple[float, float],
) -> dict[str, np.ndarray]:
    """Return flux-weighted means of row and column with errors; NaN where there is no net flux."""
    made = {}
    positive = np.where(flux > 0, flux, np.nan)
    level = np.divide(background, m.count[:, None], out=np.zeros_like(background), where=m.count[:, None] > 0)
    for axis, name in enumerate(("row", "column")):
        star = moments[axis] - m.reference_moments[axis][:, None] - over[1 + axis]
        mean = star / positive
        first, square = m.offset_sums[axis][:, :, None]
        # Σ (x − c)² over the pixels, and the same weighted by the light of star and sky.
        spread = square - 2 * mean * first + mean**2 * m.count[:, None]
        light = m.second_moments[axis][:, None] - mean**2 * positive + level * spread
        variance = noise[0] * spread + noise[1] * np.maximum(light, 0.0)
        made[f"centroid_{name}"] = m.centre[axis][:, None] + mean
        made[f"centroid_{name}_err"] = np.sqrt(np.maximum(variance, 0.0)) / positive
    return made
