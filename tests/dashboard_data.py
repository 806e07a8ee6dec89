"""A small sector with known truth, as the Datasets that figures and pages take."""

from __future__ import annotations

import numpy as np
import xarray as xr
from validated_ccd import make_tables

from tasoc_kit.provenance import Record, stamp
from tasoc_kit.validation import validation
from tasoc_kit.vocabulary import KitQuality, Status, TessQuality

FIRST_ROW, FIRST_COLUMN = 100, 300
FIRST_TIC = 261136600
FIRST_VARIABLE = FIRST_TIC + 1000
"""TIC number of the first of the variable stars, which no other product knows."""
ATTRS = {"sector": 1, "camera": 1, "ccd": 2, "field": "", "exposure": 1425.6, "cadence": 1800}
DUMP = slice(5, 8)
BRIGHT_SKY = 10


def _stamped(dataset: xr.Dataset, product: str, *parents: xr.Dataset, **attrs: object) -> xr.Dataset:
    record = Record(f"make_{product}", 1, {}, [parent.attrs["provenance_id"] for parent in parents])
    return stamp(dataset.assign_attrs(ATTRS | {"product": product} | attrs), record, parents)


def _cadences(frames: int) -> dict[str, tuple[str, np.ndarray]]:
    quality, ours = np.zeros(frames, np.int32), np.zeros(frames, np.int32)
    quality[DUMP] = TessQuality.DESAT
    ours[BRIGHT_SKY] = KitQuality.HIGH_SKY
    return {
        "time": ("time", 1325.3 + np.arange(frames) / 48),
        "cadenceno": ("time", np.arange(4697, 4697 + frames, dtype=np.int32)),
        "quality": ("time", quality),
        "frame_quality": ("time", ours),
    }


def make_cube(frames: int = 24, rows: int = 64, columns: int = 80) -> xr.Dataset:
    """Frames whose pixel (r, c) of frame t is 1000·t + r + c/1000: every value names its place."""
    r, c = FIRST_ROW + np.arange(rows), FIRST_COLUMN + np.arange(columns)
    flux = 1000.0 * np.arange(frames)[:, None, None] + r[None, :, None] + c[None, None, :] / 1000
    cube = xr.Dataset(
        {"flux": (("time", "row", "column"), flux.astype(np.float32))},
        coords={"row": r.astype(np.int32), "column": c.astype(np.int32)} | _cadences(frames),
    )
    return _stamped(cube.chunk({"time": 1, "row": -1, "column": -1}), "cube")


def make_stars(stars: int, rows: int = 64, columns: int = 80) -> dict[str, tuple[str, np.ndarray]]:
    """Stars on a jittered grid, faintest last."""
    rng = np.random.default_rng(7)
    return {
        "tic": ("star", FIRST_TIC + np.arange(stars, dtype=np.int64)),
        "ra": ("star", rng.uniform(80, 90, stars)),
        "dec": ("star", rng.uniform(-60, -50, stars)),
        "tmag": ("star", np.sort(rng.uniform(7.0, 15.0, stars)).astype(np.float32)),
        "star_row": ("star", rng.uniform(FIRST_ROW + 4, FIRST_ROW + rows - 5, stars)),
        "star_column": ("star", rng.uniform(FIRST_COLUMN + 4, FIRST_COLUMN + columns - 5, stars)),
    }


def make_reference(cube: xr.Dataset, stars: int = 12) -> xr.Dataset:
    """An image with one round star per catalogue star."""
    table = make_stars(stars, cube.sizes["row"], cube.sizes["column"])
    row, column = np.meshgrid(cube["row"].values, cube["column"].values, indexing="ij")
    image = np.random.default_rng(3).normal(0, 1, row.shape)
    for star in range(stars):
        distance2 = (row - table["star_row"][1][star]) ** 2 + (column - table["star_column"][1][star]) ** 2
        image += 10 ** (-0.4 * (table["tmag"][1][star] - 20.45)) / 8 * np.exp(-distance2 / 2)
    place = {"row": cube["row"].values, "column": cube["column"].values}
    reference = xr.Dataset(
        {
            "reference": (("row", "column"), image.astype(np.float32)),
            "star_mask": (("row", "column"), image > 10),
            "saturated": (("row", "column"), image > 5e4),
        },
        coords=place,
    )
    return _stamped(reference, "reference", cube)


def make_apertures(reference: xr.Dataset, stars: int = 12) -> xr.Dataset:
    """Masks of 3 × 3 pixels about each star; the last star is skipped and has none."""
    table = make_stars(stars, reference.sizes["row"], reference.sizes["column"])
    row_size = np.full(stars, 9, np.int32)
    row_size[-1] = 0
    steps = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    centre = np.round(np.column_stack([table["star_row"][1], table["star_column"][1]]))[:-1]
    pixels = (centre[:, None, :] + steps[None]).reshape(-1, 2).astype(np.int16)
    status = np.full(stars, int(Status.OK), np.int8)
    status[-1], status[2] = int(Status.SKIPPED), int(Status.WARNING)
    apertures = xr.Dataset(
        {
            "row_size": ("star", row_size),
            "pixel_row": ("aperture_pixel", pixels[:, 0]),
            "pixel_column": ("aperture_pixel", pixels[:, 1]),
            "status": ("star", status),
            "aperture_flags": ("star", np.zeros(stars, np.int32)),
            "contamination": ("star", np.linspace(0, 0.4, stars).astype(np.float32)),
        },
        coords=table,
    )
    return _stamped(apertures, "apertures", reference, mode="k2p2")


def make_light_curves(apertures: xr.Dataset, frames: int = 96) -> xr.Dataset:
    """White photon noise about the catalogue flux; a 1 % dip in star 0; NaN for a star without pixels."""
    stars = apertures.sizes["star"]
    rng = np.random.default_rng(11)
    level = 10 ** (-0.4 * (apertures["tmag"].values.astype(float) - 20.451))
    error = np.sqrt(level / 1425.6)
    flux = level[:, None] + rng.normal(0, 1, (stars, frames)) * error[:, None]
    flux[0, 40:46] *= 0.99
    flux[apertures["row_size"].values == 0] = np.nan
    pixel_quality = np.zeros((stars, frames), np.int32)
    pixel_quality[1, 50] = KitQuality.COSMIC_RAY
    series = ("star", "time")
    names = ("status", "contamination", "row_size", "aperture_flags")
    light_curves = xr.Dataset(
        {
            "flux": (series, flux.astype(np.float32)),
            "flux_err": (series, np.repeat(error[:, None], frames, 1).astype(np.float32)),
            "background": (series, rng.normal(900, 3, (stars, frames)).astype(np.float32)),
            "centroid_row": (
                series,
                apertures["star_row"].values[:, None] + rng.normal(0, 1e-3, (stars, frames)),
            ),
            "centroid_column": (
                series,
                apertures["star_column"].values[:, None] + rng.normal(0, 1e-3, (stars, frames)),
            ),
            "pixel_quality": (series, pixel_quality),
        }
        | {name: ("star", apertures[name].values) for name in names},
        coords={name: apertures[name] for name in ("tic", "ra", "dec", "tmag", "star_row", "star_column")}
        | _cadences(frames),
    )
    return _stamped(light_curves, "light_curves", apertures)


def make_psf_light_curves(light_curves: xr.Dataset, apertures: xr.Dataset) -> xr.Dataset:
    """Twice the flux of apertures, for all but the last two stars, and no centroids."""
    twice = light_curves.assign(flux=2 * light_curves["flux"]).isel(star=slice(0, -2))
    twice = twice.drop_vars(["centroid_row", "centroid_column", "row_size"])
    return _stamped(twice, "psf_light_curves", apertures)


def make_validation(light_curves: xr.Dataset) -> xr.Dataset:
    """The validation of stars with 1.1 times the noise of the model."""
    tables = make_tables(light_curves)
    product = validation.make_validation(light_curves, tables.diagnostics, tables.corrections)
    return _stamped(product, "validation", light_curves)


def make_corrections(light_curves: xr.Dataset) -> list[xr.Dataset]:
    """
    What the corrections make of light curves, and all that is made on the way, the choice last.

    Vectors serve even stars best and neighbours odd ones; the flux of the last star is left as it is.
    """
    stars, cadences = light_curves.sizes["star"], light_curves.sizes["time"]
    before = np.geomspace(1e-4, 1e-2, stars)
    measures = {"rms_hour": before, "ptp": before, "variance": before**2}
    table = {name: light_curves[name].variable for name in ("tic", "tmag", "star_row", "star_column")}
    diagnostics = _stamped(
        xr.Dataset({name: ("star", values) for name, values in measures.items()}, table),
        "diagnostics", light_curves,
    )  # fmt: skip
    vectors = np.cumsum(np.random.default_rng(2).normal(size=(1, 2, cadences)), axis=2)
    cbvs = xr.Dataset(
        {
            "cbv": (("area", "vector", "time"), vectors),
            "spike_cbv": (("area", "vector", "time"), 0 * vectors),
            "cbv_snr": (("area", "vector"), [[20.0, 10.0]]),
            "star_area": ("star", np.full(stars, 120, np.int32)),
        },
        coords={"area": [120], "time": light_curves["time"].variable} | table,
    )
    made = [diagnostics, _stamped(cbvs, "cbvs", light_curves)]
    for name, factor in (("cbv", 1.0), ("ensemble", 1.1), ("filtered", 0.9)):
        corrected = {
            "flux_corr": factor * light_curves["flux"],
            "flux_corr_err": factor * light_curves["flux_err"],
            "pixel_quality": light_curves["pixel_quality"],
        }
        extra = {"cbv_number": ("star", np.full(stars, 2, np.int8))} if name == "cbv" else {}
        made.append(_stamped(xr.Dataset(corrected | extra), f"{name}_light_curves", light_curves))
    best = np.where(np.arange(stars) % 2, 2, 1).astype(np.int8)
    best[-1] = 0
    scale = np.array([0.5, 0.7, 0.4])[:, None]
    both = ("correction", "star")
    choice = xr.Dataset(
        {f"{name}_corr": (both, scale * values) for name, values in measures.items()}
        | {
            "underfit": (both, np.where(np.arange(stars) % 2, [[0.2], [0.1], [0.0]], [[0.1], [0.2], [0.0]])),
            "overfit": (both, np.full((3, stars), 0.01)),
            "shared": ("star", np.full(stars, 0.6)),
            "best_correction": ("star", best),
        },
        coords={"correction": np.array([1, 2, 3], np.int8)} | table,
    )
    return [*made, _stamped(choice, "corrections", *made, light_curves)]


def make_giants(stars: int = 3) -> list[xr.Dataset]:
    """Spectra and oscillations of giants of sector 2; the last star has none, and its flux is noise."""
    from giants import simulate_giants

    from tasoc_kit.seismology.oscillations import measure_oscillations
    from tasoc_kit.seismology.spectra import make_spectra

    made = simulate_giants(stars - 1, seed=5, days=54.0, span=(60.0, 120.0))
    cadences = made.time.size
    noise = np.random.default_rng(1).normal(0, 200, (1, cadences))
    flux = 1e4 * (1 + 1e-6 * np.concatenate([made.flux, noise]))
    nothing = np.zeros(cadences, np.int32)
    curves = xr.Dataset(
        {
            "flux": (("star", "time"), flux.astype(np.float32)),
            "pixel_quality": (("star", "time"), np.zeros(flux.shape, np.int32)),
        },
        coords={
            "time": made.time,
            "cadenceno": ("time", np.rint((made.time - made.time[0]) / made.cadence).astype(np.int32)),
            "quality": ("time", nothing),
            "frame_quality": ("time", nothing),
            "tic": ("star", FIRST_TIC + np.arange(stars)),
            "tmag": ("star", np.linspace(8, 10, stars, dtype=np.float32)),
            "teff": ("star", np.full(stars, 4800, np.float32)),
        },
    )
    spectra = make_spectra(_stamped(curves, "light_curves", sector=2))
    return [spectra, measure_oscillations(spectra)]


def make_variables() -> list[xr.Dataset]:
    """Light curves of sector 3, two stars of each of three classes, with their rotation and classes."""
    from variable_stars import as_light_curves, variable_stars

    from tasoc_kit.seismology.rotation import measure_rotation
    from tasoc_kit.seismology.variability import classify_stars
    from tasoc_kit.vocabulary import VariabilityClass

    kinds = (VariabilityClass.DSCT_BCEP, VariabilityClass.ECLIPSE, VariabilityClass.CONSTANT)
    made = variable_stars(2, seed=3, kinds=kinds)
    curves = as_light_curves(made.time, made.flux, made.error)
    stars = curves.sizes["star"]
    curves = curves.assign_coords(
        tic=("star", FIRST_VARIABLE + np.arange(stars)), tmag=("star", made.tmag.astype(np.float32))
    )
    curves = _stamped(curves, "light_curves", sector=3)
    return [curves, measure_rotation(curves), classify_stars(curves)]


def make_sky(frames: int = 96) -> xr.Dataset:
    """A scattered-light ramp over the reference sky."""
    ramp = 40 * np.exp(-np.arange(frames) / 12)
    return _stamped(
        xr.Dataset({"sky_median": ("time", ramp.astype(np.float32))}, coords=_cadences(frames)), "sky"
    )


def make_pointing(frames: int = 96) -> xr.Dataset:
    """A slow drift along rows."""
    drift = np.linspace(0, 0.2, frames)
    motion = {"motion_row": ("time", drift), "motion_column": ("time", -0.3 * drift)}
    return _stamped(xr.Dataset(motion, coords=_cadences(frames)), "pointing")
