"""The pages of photometry: a CCD, and its stars."""

from tasoc_kit.dashboards.page_list import Page

__all__ = ["PAGES"]

PAGES = (
    Page(
        "ccd", "CCD", "tasoc_kit.dashboards.ccd:page", group="ccd",
        product="light_curves", maker="make_light_curves", of_a_star=True,
    ),
    Page(
        "validation", "Validation", "tasoc_kit.dashboards.validation:page", group="ccd",
        product="validation", maker="make_validation", of_a_star=True,
    ),
    Page(
        "frames", "Frames", "tasoc_kit.dashboards.frames:page", group="ccd", product="cube", of_a_star=True
    ),
    Page("sky", "Sky", "tasoc_kit.dashboards.sky:page", group="ccd", product="sky", maker="fit_sky"),
    Page(
        "psf", "PSF", "tasoc_kit.dashboards.psf:page", group="ccd",
        product="psf", maker="fit_psf", of_a_star=True,
    ),
    Page("star", "Star", "tasoc_kit.dashboards.star:page", group="star", of_a_star=True),
    Page(
        "light_curves", "Light curves", "tasoc_kit.dashboards.light_curves:page", group="star",
        product="light_curves", maker="make_light_curves", of_a_star=True,
    ),
    Page(
        "apertures", "Apertures", "tasoc_kit.dashboards.apertures:page", group="star",
        product="light_curves", maker="make_light_curves", of_a_star=True,
    ),
    Page(
        "corrections", "Corrections", "tasoc_kit.dashboards.corrections:page", group="star",
        product="corrections", maker="choose_corrections", of_a_star=True,
    ),
)  # fmt: skip
