"""The ways from one page to the others about the same CCD, and the same star where one is chosen."""

from __future__ import annotations

import html
from typing import Any

import xarray as xr

from tasoc_kit import store
from tasoc_kit.dashboards import products, theme
from tasoc_kit.provenance import lineage

__all__ = ["SHOWS", "SameCcd", "addresses"]

SHOWS = {
    "ccd": "light_curves",
    "validation": "validation",
    "sky": "sky",
    "psf": "psf",
    "light_curves": "light_curves",
    "apertures": "light_curves",
    "corrections": "corrections",
    "spectrum": "oscillations",
    "variability": "variability",
}
"""Page of one CCD → the product it shows."""
_MAKERS = {
    "sky": "fit_sky",
    "psf": "fit_psf",
    "light_curves": "make_light_curves",
    "validation": "make_validation",
    "corrections": "choose_corrections",
    "oscillations": "measure_oscillations",
    "variability": "classify_stars",
}
_OF_A_STAR = (
    "ccd",
    "validation",
    "frames",
    "psf",
    "light_curves",
    "apertures",
    "corrections",
    "spectrum",
    "variability",
    "star",
)


def addresses(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """
    Return what each page must be asked for to show the CCD of a product.

    Parameters
    ----------
    dataset
        A product. Pages show what it was made from, or is, where its lineage names it, else the newest
        product of its CCD; those without any are left out.

    Returns
    -------
    Page → its query, in the order of ``theme.PAGES``.
    """
    unit, attrs = store.product_unit(dataset), dataset.attrs
    behind = {record["step"]: identity for identity, record in lineage(dataset).items()}
    place = {name: attrs[name] for name in products.PLACE if name in attrs}
    queries: dict[str, dict[str, Any]] = {}
    for product in dict.fromkeys(SHOWS.values()):
        identity = behind.get(_MAKERS[product])
        if identity is None:
            found = store.find_product(product, **place, field=str(attrs.get("field", "")))
            identity = None if found is None else found.id
        if identity is not None:
            asked = {"unit": unit, "id": identity}
            queries |= {page: asked for page, shown in SHOWS.items() if shown == product}
    cube = products.cubes().get(unit)
    if cube:
        queries["frames"] = dict(cube)
    return {page: queries[page] for page in theme.PAGES if page in queries}


class SameCcd:
    """The links of a page to the others of its CCD."""

    def __init__(self, current: str, dataset: xr.Dataset) -> None:
        self._queries = addresses(dataset)
        self._queries.pop(current, None)
        self._current = current
        self.pane = theme.markup("")
        self.show()

    def show(self, tic: int = 0) -> None:
        """Let the links lead to a star, where one with a number is chosen."""
        queries = {
            page: query | ({"tic": tic} if tic and page in _OF_A_STAR else {})
            for page, query in self._queries.items()
        }
        if tic and self._current != "star":
            queries["star"] = {"tic": tic}
        self.pane.object = _markup(queries)


def _markup(queries: dict[str, dict[str, Any]]) -> str:
    if not queries:
        return ""
    items = "".join(
        f"<a href='{html.escape(theme.link(page, **query), quote=True)}'>{theme.PAGES[page]}</a>"
        for page, query in queries.items()
    )
    return f"<nav class='same' aria-label='The same CCD'><span>The same on</span>{items}</nav>"
