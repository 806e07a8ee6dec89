"""The pages about the store as a whole."""

from tasoc_kit.dashboards.page_list import Page

__all__ = ["PAGES"]

PAGES = (
    Page("overview", "Overview", "tasoc_kit.dashboards.overview:page"),
    Page("runs", "Runs", "tasoc_kit.dashboards.runs:page"),
)
