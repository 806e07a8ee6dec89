"""The pages of seismology: what the light of a star says of it."""

from tasoc_kit.dashboards.page_list import Page

__all__ = ["PAGES"]

PAGES = (
    Page(
        "spectrum", "Spectrum", "tasoc_kit.dashboards.spectrum:page", group="star",
        product="oscillations", maker="measure_oscillations", of_a_star=True,
    ),
    Page(
        "variability", "Variability", "tasoc_kit.dashboards.variability:page", group="star",
        product="variability", maker="classify_stars", of_a_star=True,
    ),
)  # fmt: skip
