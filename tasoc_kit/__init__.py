"""Jupyter-native analysis of TESS Full-Frame Images: ``import tasoc_kit as tk``."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "open_catalog": "catalog",
    "open_cube": "catalog",
    "open_entry": "catalog",
    "open_product": "store",
    "write_product": "store",
    "find_product": "store",
    "list_products": "store",
    "push_products": "archive",
    "pull_products": "archive",
    "verify_products": "archive",
    "lineage": "provenance",
    "open_light_curve_files": "sources.light_curve_files",
    "science": "sources.ffi",
    "where": "sources.pointings",
    "read_stars": "sources.star_catalog",
    "read_targets": "sources.target_list",
    "read_overrides": "sources.overrides",
    "find_footprint": "sources.targets",
    "fetch_targets": "sources.targets",
    "open_tasoc_vectors": "sources.tasoc_vectors",
    "read_ephemeris": "sources.ephemeris",
    "make_quality": "photometry.quality",
    "star_time": "photometry.conditions.spacecraft",
    "estimate_pointing": "photometry.pointing",
    "locate_stars": "photometry.stars",
    "make_reference": "photometry.reference",
    "make_apertures": "photometry.apertures",
    "fit_psf": "photometry.psf",
    "psf_stamps": "photometry.psfs.psf_shape",
    "star_on_psf": "photometry.psfs.psf_shape",
    "stream_frames": "photometry.stream",
    "fit_sky": "photometry.sky",
    "sky_pixels": "photometry.skies.sky_pixels",
    "background_cube": "photometry.skies.sky_images",
    "subtracted_cube": "photometry.skies.sky_images",
    "make_light_curves": "photometry.light_curves",
    "make_psf_light_curves": "photometry.psf_light_curves",
    "make_halo_light_curves": "photometry.halo_light_curves",
    "make_diagnostics": "photometry.diagnostics",
    "make_cbvs": "corrections.cbvs",
    "make_cbv_light_curves": "corrections.cbv_light_curves",
    "make_ensemble_light_curves": "corrections.ensemble_light_curves",
    "make_filtered_light_curves": "corrections.filtered_light_curves",
    "choose_corrections": "corrections.corrections",
    "make_validation": "validation.validation",
    "compare_overlap": "validation.overlap",
    "read_neighbours": "sources.neighbours",
    "make_spectra": "seismology.spectra",
    "measure_oscillations": "seismology.oscillations",
    "extract_frequencies": "seismology.frequencies",
    "measure_rotation": "seismology.rotation",
    "classify_stars": "seismology.variability",
    "clearest_stars": "seismology.variability",
    "star_flux": "seismology.star_flux",
    "light_curve": "photometry.one_star",
    "star": "exports.star",
    "write_tasoc_files": "exports.tasoc_files",
    "write_table": "exports.tables",
    "write_validation": "exports.validation_page",
    "write_vectors": "exports.vectors",
    "write_target_pixels": "exports.target_pixels",
    "write_movie": "exports.movie",
    "open_inputs": "pipeline.inputs",
    "open_catalogue": "pipeline.inputs",
    "make_products": "pipeline.inputs",
    "run_pipeline": "pipeline.runs",
    "start_cluster": "pipeline.cluster",
    "scratch": "pipeline.scratch",
    "progress": "pipeline.progress",
    "report": "pipeline.report",
    "explore": "dashboards.explore",
}
_MODULES = ("plots", "simulation", "vocabulary")

__all__ = [*sorted(_PUBLIC), *_MODULES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import tasoc_kit`` stays quick."""
    if name in _MODULES:
        return import_module(f"tasoc_kit.{name}")
    if name in _PUBLIC:
        return getattr(import_module(f"tasoc_kit.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'tasoc_kit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
