"""The ways from one page to the others about the same CCD, and the same star where one is chosen."""

from __future__ import annotations

import html
from typing import Any

import xarray as xr

from tasoc_kit import store
from tasoc_kit.dashboards import page_list, products, theme
from tasoc_kit.provenance import lineage

__all__ = ["SameCcd", "addresses"]


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
    Page → its query, in the order of the bar.
    """
    unit, attrs = store.product_unit(dataset), dataset.attrs
    behind = {record["step"]: identity for identity, record in lineage(dataset).items()}
    place = {name: attrs[name] for name in products.PLACE if name in attrs}
    queries: dict[str, dict[str, Any]] = {}
    shows, makers = page_list.shows(), page_list.makers()
    for product in dict.fromkeys(shows.values()):
        if product == "cube":
            continue
        identity = behind.get(makers.get(product, ""))
        if identity is None:
            found = store.find_product(product, **place, field=str(attrs.get("field", "")))
            identity = None if found is None else found.id
        if identity is not None:
            asked = {"unit": unit, "id": identity}
            queries |= {page: asked for page, shown in shows.items() if shown == product}
    cube = products.cubes().get(unit)
    if cube:
        queries |= {page: dict(cube) for page, shown in shows.items() if shown == "cube"}
    return {page: queries[page] for page in page_list.pages() if page in queries}


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
            page: query | ({"tic": tic} if tic and page_list.pages()[page].of_a_star else {})
            for page, query in self._queries.items()
        }
        if tic and self._current != "star":
            queries["star"] = {"tic": tic}
        self.pane.object = _markup(queries)


def _markup(queries: dict[str, dict[str, Any]]) -> str:
    if not queries:
        return ""
    items = "".join(
        f"<a href='{html.escape(theme.link(page, **query), quote=True)}'>{page_list.pages()[page].title}</a>"
        for page, query in queries.items()
    )
    return f"<nav class='same' aria-label='The same CCD'><span>The same on</span>{items}</nav>"
