"""The one table of names: every dimension, coordinate, variable and flag bit.

A name has one meaning, one unit and one type wherever it appears. Units are strings that
``astropy.units`` parses; an empty unit means dimensionless. Missing values are NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import xarray as xr

__all__ = [
    "DEFAULT_BAD_BITS",
    "DEFAULT_BAD_KIT_BITS",
    "DIMENSIONS",
    "SPACECRAFT",
    "VARIABLES",
    "ApertureFlag",
    "Correction",
    "EdgeSide",
    "Fate",
    "KitQuality",
    "Method",
    "OscillationFlag",
    "RotationFlag",
    "Status",
    "TessQuality",
    "VariabilityClass",
    "Variable",
    "flag_names",
    "label",
]


@dataclass(frozen=True)
class Variable:
    """One row of the vocabulary."""

    name: str
    dims: tuple[str, ...]
    dtype: str
    unit: str
    meaning: str


DIMENSIONS: dict[str, str] = {
    "time": "cadences of one sector, in order of time",
    "row": "CCD rows, 0-based on the full 2078×2136 frame",
    "column": "CCD columns, 0-based on the full 2078×2136 frame",
    "star": "stars of one CCD, in the order of the star catalogue",
    "target": "rows of a person's list of targets, in its order",
    "override": "stars whose photometry a person chose",
    "aperture_pixel": "pixels of all apertures, star after star",
    "stamp_pixel": "pixels about the stars that halo photometry serves, star after star",
    "segment": "parts of a sector that weights of halo photometry hold for",
    "cell_row": "sky cells down the frame",
    "cell_column": "sky cells along the frame",
    "band": "bands of rows in which columns are averaged",
    "block": "blocks of cadences that were processed together",
    "coefficient": "coefficients of the sky model of one frame",
    "plan_frame": "frames that the reference was made from",
    "axis": "row, then column",
    "region": "parts of the frame that are excluded in some cadences",
    "edge": "first, then last",
    "term": "terms of a low-order expansion",
    "node_row": "nodes of the PSF down the frame",
    "node_column": "nodes of the PSF along the frame",
    "spline_row": "splines of the PSF along rows",
    "spline_column": "splines of the PSF along columns",
    "sample_row": "samples of a published PRF along rows",
    "sample_column": "samples of a published PRF along columns",
    "psf_star": "sources of PSF photometry: single stars, or those that no PSF tells apart",
    "area": "rings of a CCD about the optical axis, whose stars share their systematics",
    "correction": "ways in which a light curve is corrected",
    "rank": "frequencies of a star, in the order in which they were found",
    "class": "classes of variability",
    "feature": "numbers of a light curve that classes are told by",
    "vector": "co-trending vectors of an area, the strongest first",
    "neighbour": "stars that the PSF flux of a star depends on most",
    "frequency": "frequencies of a power density spectrum",
    "offset": "distances from a frequency, in a spectral window",
    "part": "parts of the model of a power density spectrum",
}


def _table(*rows: tuple[str, tuple[str, ...], str, str, str]) -> dict[str, Variable]:
    return {row[0]: Variable(*row) for row in rows}


def _interval(name: str, dtype: str, unit: str, meaning: str) -> tuple[tuple[Any, ...], ...]:
    """Return the rows of a star's value and of the ends of its 68 % interval."""
    ends = (("", ""), ("_low", "lower end of the 68 % interval of "), ("_high", "upper end of that of "))
    return tuple((name + end, _S, dtype, unit, say + (name if end else meaning)) for end, say in ends)


_T, _S, _P, _L = ("time",), ("star",), ("row", "column"), ("target",)
_C = ("correction", "star")
_PSD = "1e-12 / uHz"  # ppm²/µHz, as astropy reads it
_CUBE, _SERIES = ("time", "row", "column"), ("star", "time")
_CELLS, _COLUMNS = ("time", "cell_row", "cell_column"), ("time", "band", "column")
_R = ("star", "rank")

VARIABLES: dict[str, Variable] = _table(
    ("time", _T, "float64", "d", "mid-exposure at the CCD centre, BTJD = BJD − 2457000, TDB"),
    ("time_start", _T, "float64", "d", "start of the exposure, BTJD"),
    ("time_stop", _T, "float64", "d", "end of the exposure, BTJD"),
    ("timecorr", _T, "float64", "d", "barycentric correction at the CCD centre"),
    ("spacecraft_x", _T, "float64", "km", "x of the spacecraft from the barycentre, ICRS"),
    ("spacecraft_y", _T, "float64", "km", "y of the spacecraft"),
    ("spacecraft_z", _T, "float64", "km", "z of the spacecraft"),
    ("cadenceno", _T, "int32", "", "cadence number"),
    ("quality", _T, "int32", "", "TESS quality bits of the frame"),
    ("frame_quality", _T, "int32", "", "tasoc_kit quality bits of the frame"),
    ("row", ("row",), "int32", "pix", "CCD row, 0-based on the full frame"),
    ("column", ("column",), "int32", "pix", "CCD column, 0-based on the full frame"),
    ("flux", _CUBE, "float32", "electron / s", "calibrated flux of a pixel, or of a star's aperture"),
    ("flux_err", _CUBE, "float32", "electron / s", "1-sigma uncertainty of flux"),
    ("region_cadenceno", ("region", "edge"), "int32", "", "cadences in which the region is excluded"),
    ("region_row", ("region", "edge"), "int32", "pix", "rows of the region"),
    ("region_column", ("region", "edge"), "int32", "pix", "columns of the region"),
    ("file", _T, "str", "", "path or URL of the frame"),
    ("file_offset", _T, "int64", "byte", "first byte of the image in its file; −1 where it has none"),
    ("err_offset", _T, "int64", "byte", "first byte of the uncertainty; −1 where there is none"),
    ("file_rows", _T, "int32", "pix", "rows stored in the file"),
    ("file_columns", _T, "int32", "pix", "columns stored in the file"),
    ("err_rows", _T, "int32", "pix", "rows of the uncertainty in the file"),
    ("err_columns", _T, "int32", "pix", "columns of the uncertainty in the file"),
    ("wcs", _T, "str", "", "WCS cards of the frame; empty where there is no usable solution"),
    ("pos_corr_row", _T, "float64", "pix", "target motion along rows as given by the source file"),
    ("pos_corr_column", _T, "float64", "pix", "target motion along columns as given by the source file"),
    ("tic", _S, "int64", "", "TESS Input Catalog number; 0 where the star has none"),
    ("gaia", _S, "int64", "", "Gaia DR3 source number; 0 where the star has none"),
    ("ra", _S, "float64", "deg", "right ascension, ICRS, at the epoch of the sector"),
    ("dec", _S, "float64", "deg", "declination, ICRS, at the epoch of the sector"),
    ("pmra", _S, "float64", "mas / yr", "proper motion in right ascension × cos dec"),
    ("pmdec", _S, "float64", "mas / yr", "proper motion in declination"),
    ("tmag", _S, "float32", "mag", "TESS magnitude"),
    ("teff", _S, "float32", "K", "effective temperature"),
    ("priority", _S, "int32", "", "order in which stars are wanted, 1 first; 0 where one is no target"),
    ("target_tic", _L, "int64", "", "TESS Input Catalog number on a list of targets; 0 where there is none"),
    ("target_ra", _L, "float64", "deg", "right ascension on a list of targets, ICRS"),
    ("target_dec", _L, "float64", "deg", "declination on a list of targets, ICRS"),
    ("target_tmag", _L, "float32", "mag", "TESS magnitude on a list of targets"),
    ("target_priority", _L, "float64", "", "place on a list of targets, the lowest first"),
    ("target_star", _L, "int32", "", "index of the target's star; −1 where it has none"),
    ("target_fate", _L, "int8", "", "what became of a target: 0 its star is there, else why not"),
    ("star_row", _S, "float64", "pix", "row of the star on the reference frame; pixel centres are integers"),
    ("star_column", _S, "float64", "pix", "column of the star on the reference frame"),
    ("motion_row", _T, "float64", "pix", "pointing offset of the frame along rows, at the CCD centre"),
    ("motion_column", _T, "float64", "pix", "pointing offset of the frame along columns, at the CCD centre"),
    ("motion_matrix", ("time", "axis", "term"), "float64", "", "linear change of the offset over the CCD"),
    ("reference", _P, "float32", "electron / s", "star image of the sector, without sky"),
    ("reference_sky", _P, "float32", "electron / s", "sky that was under the reference"),
    ("star_mask", _P, "bool", "", "pixels with star light above the sky noise"),
    ("saturated", _P, "bool", "", "pixels that reached full well in a plan frame"),
    ("noise_floor", ("column",), "float64", "electron2 / s2", "a of var = a + b · flux in a column"),
    ("noise_slope", ("column",), "float64", "electron / s", "b of var = a + b · flux in a column"),
    ("plan_cadenceno", ("plan_frame",), "int32", "", "cadence numbers the reference was made from"),
    ("plan_time", ("plan_frame",), "float64", "d", "times of the frames the reference was made from"),
    ("plan_sky", ("plan_frame",), "float32", "electron / s", "median sky of those frames over the lowest"),
    ("row_size", _S, "int32", "pix", "pixels in the aperture; 0 where the star has none"),
    ("pixel_row", ("aperture_pixel",), "int16", "pix", "row of an aperture pixel"),
    ("pixel_column", ("aperture_pixel",), "int16", "pix", "column of an aperture pixel"),
    ("status", _S, "int8", "", "what became of the star: 1 OK, 2 ERROR, 3 WARNING, 5 SKIPPED"),
    ("method", _S, "int8", "", "photometry that serves the star best: 1 aperture, 2 PSF, 3 halo"),
    ("override_tic", ("override",), "int64", "", "TESS Input Catalog number of such a star"),
    ("override_method", ("override",), "int8", "", "its photometry: 0 none, 1 aperture, 2 PSF, 3 halo"),
    ("aperture_flags", _S, "int32", "", "bits that say how the aperture was made"),
    ("contamination", _S, "float32", "", "share of the light in the aperture from other stars"),
    ("skipped_by", _S, "int32", "", "index of the star whose aperture holds this one; −1 where none does"),
    ("edge_flux", _S, "float32", "electron / s", "flux of the aperture on the outermost pixels it may use"),
    ("edge_sides", _S, "int8", "", "bits of the sides on which the aperture reaches the end of the data"),
    ("stamp_height", _S, "int16", "pix", "rows of the stamp the aperture was grown on; 0 where none was"),
    ("stamp_width", _S, "int16", "pix", "columns of the stamp the aperture was grown on; 0 where none was"),
    ("stamp_resizes", _S, "int16", "", "times the stamp was enlarged because the aperture met its border"),
    ("node_row", ("node_row",), "float64", "pix", "row of a node of the PSF"),
    ("node_column", ("node_column",), "float64", "pix", "column of a node of the PSF"),
    (
        "psf_coefficient",
        ("node_row", "node_column", "spline_row", "spline_column"),
        "float32",
        "",
        "share of a star's light in a pixel, as coefficients of splines",
    ),
    (
        "prf",
        ("node_row", "node_column", "sample_row", "sample_column"),
        "float64",
        "",
        "share of a star's light in a pixel, as the mission published it",
    ),
    ("sample_row", ("sample_row",), "float64", "pix", "row of a pixel − row of the star"),
    ("sample_column", ("sample_column",), "float64", "pix", "column of a pixel − column of the star"),
    ("psf_row", _S, "float64", "pix", "row of the star as PSF photometry has it"),
    ("psf_column", _S, "float64", "pix", "column of the star as PSF photometry has it"),
    ("psf_flux", _S, "float64", "electron / s", "PSF flux of the star on the reference"),
    (
        "psf_source",
        _S,
        "int32",
        "",
        "brightest star of the source that a star belongs to; −1 without PSF flux",
    ),
    ("cells", _CELLS, "float32", "electron / s", "clipped mean of frame − reference in a sky cell"),
    ("cell_used", _CELLS, "uint16", "", "pixels in that mean"),
    ("cell_variance", _CELLS, "float32", "electron2 / s2", "variance of the pixels in that mean"),
    ("column_cells", _COLUMNS, "float32", "electron / s", "the same in one column of one band of rows"),
    ("column_used", _COLUMNS, "uint16", "", "pixels in that mean"),
    ("aperture_sum", ("time", "star"), "float32", "electron / s", "sum of the raw pixels in the aperture"),
    ("moment_row", ("time", "star"), "float32", "electron pix / s", "sum of flux × row offset"),
    ("moment_column", ("time", "star"), "float32", "electron pix / s", "sum of flux × column offset"),
    ("area", ("area",), "int32", "", "area of a CCD: camera · 100 + CCD · 10 + ring"),
    (
        "cbv",
        ("area", "vector", "time"),
        "float32",
        "",
        "co-trending vector without its spikes; 0 where an area has none",
    ),
    ("spike_cbv", ("area", "vector", "time"), "float32", "", "spikes of a co-trending vector"),
    ("cbv_snr", ("area", "vector"), "float32", "dB", "variance of a vector over that of its differences"),
    (
        "cbv_variance",
        ("area", "vector"),
        "float32",
        "",
        "share of the variance of its stars that a vector has",
    ),
    (
        "cbv_entropy",
        ("area", "vector"),
        "float32",
        "",
        "entropy of the scores of its stars over that of normal numbers",
    ),
    ("star_area", _S, "int32", "", "area whose vectors a star is corrected with; 0 for none"),
    ("cbv_star", _S, "bool", "", "True for the stars that vectors are made of"),
    ("cbv_coefficient", ("star", "vector"), "float32", "", "coefficient of a vector"),
    ("spike_coefficient", ("star", "vector"), "float32", "", "coefficient of the spikes of a vector"),
    ("cbv_number", _S, "int8", "", "vectors that the information criterion takes"),
    ("flux_corr", _SERIES, "float32", "electron / s", "flux without what is shared with other stars"),
    ("flux_corr_err", _SERIES, "float32", "electron / s", "1-sigma uncertainty of flux_corr"),
    ("ensemble_size", _S, "int16", "", "neighbours whose median a star is divided by; 0 for none"),
    ("correction", ("correction",), "int8", "", "1 vectors, 2 ensemble, 3 filter"),
    ("variance_corr", _C, "float32", "", "variance of flux_corr over its median"),
    ("rms_hour_corr", _C, "float32", "", "robust scatter of the hourly means of flux_corr over its median"),
    ("ptp_corr", _C, "float32", "", "median difference of neighbouring cadences of flux_corr"),
    ("underfit", _C, "float32", "", "correlation with neighbours that is left; 0 is none"),
    ("overfit", _C, "float32", "", "rise of the scatter from cadence to cadence; 0 is none"),
    ("shared", _S, "float32", "", "correlation with neighbours before any correction"),
    ("best_correction", _S, "int8", "", "correction that serves a star best: 0 none, 1 vectors, 2 ensemble"),
    ("relative_flux", _SERIES, "float64", "1e-6", "flux about its median, ppm"),
    ("peak_frequency", _R, "float64", "uHz", "frequency of a wave in the flux"),
    ("peak_frequency_err", _R, "float64", "uHz", "1-sigma uncertainty of peak_frequency"),
    ("peak_amplitude", _R, "float32", "1e-6", "amplitude of the wave, ppm"),
    ("peak_amplitude_err", _R, "float32", "1e-6", "1-sigma uncertainty of peak_amplitude"),
    ("peak_phase", _R, "float32", "rad", "phase of the sine at phase_time"),
    ("peak_phase_err", _R, "float32", "rad", "1-sigma uncertainty of peak_phase"),
    ("peak_snr", _R, "float32", "", "amplitude over the mean amplitude about it in what is left"),
    ("peak_number", _S, "int16", "", "frequencies of the star that stand out of the noise"),
    ("residual_scatter", _S, "float32", "1e-6", "scatter of the flux without its waves, ppm"),
    ("phase_time", _S, "float64", "d", "BTJD at which phases hold"),
    ("rotation_period", _S, "float32", "d", "period of rotation"),
    ("rotation_period_err", _S, "float32", "d", "1-sigma uncertainty of rotation_period"),
    ("acf_period", _S, "float32", "d", "period of the autocorrelation"),
    ("acf_height", _S, "float32", "", "its peak over the troughs beside it"),
    ("spectrum_period", _S, "float32", "d", "period at which the spectrum is highest"),
    ("spectrum_period_err", _S, "float32", "d", "half width of that peak at half its height"),
    ("variation_range", _S, "float32", "1e-6", "range from the 5th to the 95th percentile of the flux, ppm"),
    ("photometric_activity", _S, "float32", "1e-6", "mean scatter of the flux over five rotations, ppm"),
    ("rotation_flags", _S, "int32", "", "bits that say what limits rotation_period"),
    ("class", ("class",), "int8", "", "class of variability, as in VariabilityClass"),
    ("variability_class", _S, "int8", "", "most probable class of variability; 0 where none is probable"),
    ("class_probability", ("star", "class"), "float32", "", "probability of a class of variability"),
    ("feature_name", ("feature",), "str", "", "name of a number that classes are told by"),
    ("features", ("star", "feature"), "float32", "", "numbers of a light curve that classes are told by"),
    ("mean_flux", _S, "float32", "electron / s", "median flux of the star in good cadences"),
    ("variance", _S, "float32", "", "variance of the flux over its median"),
    ("variability", _S, "float32", "", "scatter about a cubic polynomial over the median error"),
    ("rms_hour", _S, "float32", "", "robust scatter of hourly means of the flux over its median"),
    ("ptp", _S, "float32", "", "median change of the flux over its median from cadence to cadence"),
    ("message", _S, "str", "", "why the star was skipped, failed or is doubtful, in words; or empty"),
    ("stamp_flux", ("time", "stamp_pixel"), "float32", "electron / s", "raw pixels about the halo stars"),
    ("stamp_star", ("stamp_pixel",), "int32", "", "index along ``star`` of the star a stamp pixel is of"),
    ("stamp_row", ("stamp_pixel",), "int16", "pix", "row of a stamp pixel"),
    ("stamp_column", ("stamp_pixel",), "int16", "pix", "column of a stamp pixel"),
    ("psf_sum", ("time", "psf_star"), "float32", "electron / s", "sum of raw pixels weighted with the PSF"),
    ("halo_weight", ("segment", "stamp_pixel"), "float32", "", "weight of a pixel's flux over its mean"),
    ("segment_start", ("segment",), "float64", "d", "BTJD of the first cadence of a segment"),
    ("finite_pixels", _T, "int32", "", "pixels of the frame with a finite value"),
    ("zero_pixels", _T, "int32", "", "pixels of the frame that are exactly zero"),
    ("block_image", ("block", "row", "column"), "float32", "electron / s", "mean of a block's frames"),
    ("block_frames", ("block",), "int32", "", "frames in that mean"),
    ("coefficient", ("time", "coefficient"), "float32", "electron / s", "sky model over the reference sky"),
    (
        "sky_level",
        _T,
        "int8",
        "",
        "segments of the sky basis: 0 constant, 1 plane, else index of sky_segments",
    ),
    ("sky_median", _T, "float32", "electron / s", "median of the sky over the reference sky"),
    ("sky_residual", _T, "float32", "", "scatter of the cells about the model ÷ their white noise"),
    ("sky_err", _T, "float32", "electron / s", "error of the smooth sky in a typical cell"),
    ("sky_cell_err", _T, "float32", "electron / s", "error of the sky from the noise of its own cell"),
    ("cell_excess", _CELLS[1:], "float32", "", "variance of a cell over a typical one's, less 1"),
    ("sky_systematic", _T, "float32", "electron / s", "structure that the model leaves, per pixel"),
    ("strap_scale", _T, "float32", "", "answer of the straps to the sky of this frame"),
    ("strap_gain", ("column",), "float32", "", "extra response of a column to scattered light"),
    ("column_noise", ("time", "column"), "float32", "electron / s", "offset of a whole column"),
    ("column_noise_err", _T, "float32", "electron / s", "error of that offset"),
    ("sky_anomaly", _CELLS, "int8", "", "sigma by which an anomalous cell is off its sky, else 0"),
    ("sky", _CUBE, "float32", "electron / s", "sky in a pixel, evaluated from its model"),
    ("background", _SERIES, "float32", "electron / s", "sky in the aperture, already subtracted"),
    ("centroid_row", _SERIES, "float64", "pix", "flux-weighted mean row in the aperture"),
    ("centroid_column", _SERIES, "float64", "pix", "flux-weighted mean column in the aperture"),
    ("centroid_row_err", _SERIES, "float32", "pix", "1-sigma uncertainty of centroid_row"),
    ("centroid_column_err", _SERIES, "float32", "pix", "1-sigma uncertainty of centroid_column"),
    ("pixel_quality", _SERIES, "int32", "", "tasoc_kit quality bits of the star in this frame"),
    ("neighbour", ("star", "neighbour"), "int32", "", "star that the PSF flux depends on; −1 for none"),
    ("psf_correlation", ("star", "neighbour"), "float32", "", "correlation of the errors of the two fluxes"),
    ("object", _S, "str", "", "name of the star in the file that its light curve is from"),
    ("source_quality", _SERIES, "int32", "", "quality bits of the star as its file has them"),
    ("jitter_response", ("star", "term"), "float32", "electron / s", "flux change with the pointing offset"),
    ("frequency", ("frequency",), "float64", "uHz", "frequency of a power density spectrum"),
    ("power", ("star", "frequency"), "float32", _PSD, "power density of the flux, ppm²/µHz"),
    ("offset", ("offset",), "float64", "uHz", "distance from a frequency"),
    ("spectral_window", ("offset",), "float64", "", "power that a wave of unit power has there"),
    ("noise_level", _S, "float32", _PSD, "mean power density of the upper tenth of the frequencies"),
    ("known_cadences", _S, "int32", "", "cadences that a spectrum is made of"),
    (
        "spectrum_correction",
        _S,
        "int8",
        "",
        "correction that the flux of a spectrum has had; 0 none",
    ),
    *_interval("numax", "float32", "uHz", "frequency of maximum power of solar-like oscillations"),
    *_interval("dnu", "float32", "uHz", "large frequency separation"),
    *_interval("envelope_height", "float32", _PSD, "power density of the oscillations at numax"),
    *_interval("white_noise", "float32", _PSD, "power density of the white noise"),
    *_interval("granulation_amplitude", "float32", "1e-6", "rms of the granulation, ppm"),
    *_interval("detection_probability", "float32", "", "probability that there are oscillations"),
    *_interval("mass", "float32", "solMass", "mass from numax, dnu and teff"),
    *_interval("radius", "float32", "solRad", "radius from numax, dnu and teff"),
    *_interval("logg", "float32", "dex(cm / s2)", "surface gravity from numax and teff"),
    ("envelope_width", _S, "float32", "uHz", "scatter of the Gaussian envelope of the oscillations"),
    ("part_name", ("part",), "str", "", "what a part of the model of a spectrum stands for"),
    ("part_height", ("star", "part"), "float32", _PSD, "height of a part of the model of a spectrum"),
    ("oscillation_flags", _S, "int32", "", "bits that say what limits numax and dnu"),
)


class TessQuality(IntFlag):
    """Bits of the mission (TESS Science Data Products Description Document, table 32)."""

    ATTITUDE_TWEAK = 1
    SAFE_MODE = 2
    COARSE_POINT = 4
    EARTH_POINT = 8
    ZERO_CROSSING = 16
    DESAT = 32
    APERTURE_COSMIC = 64
    MANUAL_EXCLUDE = 128
    SENSITIVITY_DROPOUT = 256
    IMPULSIVE_OUTLIER = 512
    COLLATERAL_COSMIC = 1024
    EARTH_MOON_PLANET_IN_FOV = 2048
    SCATTERED_LIGHT = 4096
    SCATTERED_LIGHT_2 = 8192
    INSUFFICIENT_TARGETS = 16384


class KitQuality(IntFlag):
    """Our own bits, in their own column; the first nine keep TASOC's meaning (Handberg+ 2021)."""

    FLAGGED_BAD_DATA = 1
    MANUAL_EXCLUDE = 2
    SIGMA_CLIP = 4
    JUMP_ADDITIVE_CONSTANT = 8
    JUMP_ADDITIVE_LINEAR = 16
    JUMP_MULTIPLICATIVE_CONSTANT = 32
    JUMP_MULTIPLICATIVE_LINEAR = 64
    INTERPOLATED = 128
    BACKGROUND_SHENANIGANS = 256
    NO_DATA = 512
    HIGH_SKY = 1024
    POINTING_OUTLIER = 2048
    NO_WCS = 4096
    SKY_RESIDUAL = 8192
    NONFINITE_PIXELS = 16384
    COSMIC_RAY = 32768


class Status(IntEnum):
    """
    What became of a star; TASOC's codes.

    Its 0, 4 and 6 (unknown, aborted, started) are of work that is not done: a product is whole, or not there.
    """

    OK = 1
    """It has a light curve that nothing is said against."""
    ERROR = 2
    """It was to have one, and none could be made: it is off the frame, or has no finite flux."""
    WARNING = 3
    """It has one that is doubtful."""
    SKIPPED = 5
    """None was made: a brighter star has its light, or nobody asked for it."""


class Correction(IntEnum):
    """What a light curve was corrected by."""

    NONE = 0
    CBV = 1
    ENSEMBLE = 2
    FILTER = 3


class VariabilityClass(IntEnum):
    """How a star varies: the classes of TASOC's starclass (Audenaert+ 2021, AJ 162 209)."""

    UNKNOWN = 0
    """No class is probable enough, or the light curve is too short."""
    SOLARLIKE = 1
    ECLIPSE = 2
    """Transits and detached eclipses."""
    RRLYR_CEPHEID = 3
    DSCT_BCEP = 4
    GDOR_SPB = 5
    CONTACT_ROT = 6
    """Contact binaries, and rotation with spots."""
    APERIODIC = 7
    CONSTANT = 8


class Method(IntEnum):
    """The photometry that serves a star best."""

    NONE = 0
    APERTURE = 1
    PSF = 2
    HALO = 3


class Fate(IntEnum):
    """What became of a row of a list of targets."""

    FOUND = 0
    NO_PLACE = 1
    """It has neither a TIC number nor a position that can be read."""
    NOT_IN_CATALOGUE = 2
    """It has no position, and no star of the catalogue its TIC number."""
    OFF_FRAME = 3
    REPEATED = 4
    """An earlier row is the same star."""
    EXCLUDED = 5


class RotationFlag(IntFlag):
    """What limits the period of rotation of a star."""

    NOT_FOUND = 1
    """The autocorrelation has no peak that noise has not: no period is stated."""
    DISAGREE = 2
    """The spectrum has another period."""
    TWICE = 4
    """The period is twice that of the spectrum, as with spots on either side."""
    LONG = 8
    """The spectrum is highest at a period longer than half the light curve."""


class EdgeSide(IntFlag):
    """Where the data end that an aperture reaches."""

    FIRST_ROW = 1
    LAST_ROW = 2
    FIRST_COLUMN = 4
    LAST_COLUMN = 8


class ApertureFlag(IntFlag):
    """How the aperture of a star was made, and what limits it."""

    MINIMUM = 1
    EDGE = 2
    SATURATED = 4
    HOLES_FILLED = 8
    OUTSIDE = 16
    NO_SIGNAL = 32
    INSIDE_BRIGHTER = 64
    STRAP = 128
    CONTAMINATED = 256


class OscillationFlag(IntFlag):
    """What limits the oscillations of a star, or speaks against them."""

    UNLIKELY = 1
    FIRST_PASS = 2
    """The coarse first pass saw nothing, so that there was no fine one."""
    AT_THE_END = 4
    """The interval of numax reaches the lowest or highest frequency that can be told."""
    COHERENT = 8
    """Over half of the power of the envelope lies in one peak."""
    TOO_HIGH = 16
    """The envelope is far higher than that of any star with such a numax."""
    NO_DNU = 32
    DISAGREE = 64
    """dnu is far from what numax lets expect."""
    NO_TEFF = 128


SPACECRAFT = ("spacecraft_x", "spacecraft_y", "spacecraft_z")
"""Where the spacecraft was; three variables, so that a table of cadences keeps one row for each."""

DEFAULT_BAD_BITS = int(
    TessQuality.ATTITUDE_TWEAK
    | TessQuality.SAFE_MODE
    | TessQuality.COARSE_POINT
    | TessQuality.EARTH_POINT
    | TessQuality.DESAT
    | TessQuality.APERTURE_COSMIC
    | TessQuality.MANUAL_EXCLUDE
    | TessQuality.SCATTERED_LIGHT
)
"""The TESS bits that TASOC leaves out by default (Handberg+ 2021)."""

DEFAULT_BAD_KIT_BITS = int(
    KitQuality.FLAGGED_BAD_DATA
    | KitQuality.MANUAL_EXCLUDE
    | KitQuality.NO_DATA
    | KitQuality.SKY_RESIDUAL
    | KitQuality.NONFINITE_PIXELS
    | KitQuality.COSMIC_RAY
    | KitQuality.SIGMA_CLIP
)
"""Our bits of a cadence that is set apart; a high sky or a moved frame is corrected, and only noisier."""


def flag_names(value: int, flags: type[IntFlag]) -> list[str]:
    """Return the names of the bits that are set, in order."""
    return [flag.name for flag in flags if flag.name and flag.value and value & flag.value == flag.value]


def label(dataset: xr.Dataset) -> xr.Dataset:
    """Return the Dataset with ``units`` and ``long_name`` of every name in the vocabulary."""
    labelled = dataset.copy(deep=False)
    for name in labelled.variables:
        known = VARIABLES.get(str(name))
        if known is not None:
            labelled[name].attrs.update(units=known.unit, long_name=known.meaning)
    return labelled
