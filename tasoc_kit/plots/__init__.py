"""Dataset in, HoloViews figure out; the same figures stand in notebooks and on dashboards."""

from tasoc_kit.plots.apertures import mark_apertures, stamp
from tasoc_kit.plots.cbvs import cbvs
from tasoc_kit.plots.conditions import flags, masks, pointing, sky, sky_share, timeline
from tasoc_kit.plots.corrections import before_and_after, corrections
from tasoc_kit.plots.echelle import echelle, over_background
from tasoc_kit.plots.folded import folded
from tasoc_kit.plots.frame import frame, image, mark_stars
from tasoc_kit.plots.frequencies import frequencies, prewhitening
from tasoc_kit.plots.halo import halo
from tasoc_kit.plots.light_curve import light_curve
from tasoc_kit.plots.noise import measure_noise, noise
from tasoc_kit.plots.oscillations import oscillations
from tasoc_kit.plots.psf import mosaic, star_stamps
from tasoc_kit.plots.rotation import repetition, rotation
from tasoc_kit.plots.runs import runs
from tasoc_kit.plots.shown_star import star_of_least
from tasoc_kit.plots.spectrum import smooth_spectrum, spectral_window, spectrum, spectrum_model
from tasoc_kit.plots.star import star
from tasoc_kit.plots.targets import fates, tally
from tasoc_kit.plots.theme import live
from tasoc_kit.plots.validation import validation, verdict_table
from tasoc_kit.plots.variability import class_examples, classes

__all__ = [
    "before_and_after",
    "cbvs",
    "class_examples",
    "classes",
    "corrections",
    "echelle",
    "fates",
    "flags",
    "folded",
    "frame",
    "frequencies",
    "halo",
    "image",
    "light_curve",
    "live",
    "mark_apertures",
    "mark_stars",
    "masks",
    "measure_noise",
    "mosaic",
    "noise",
    "oscillations",
    "over_background",
    "pointing",
    "prewhitening",
    "repetition",
    "rotation",
    "runs",
    "sky",
    "sky_share",
    "smooth_spectrum",
    "spectral_window",
    "spectrum",
    "spectrum_model",
    "stamp",
    "star",
    "star_of_least",
    "star_stamps",
    "tally",
    "timeline",
    "validation",
    "verdict_table",
]
