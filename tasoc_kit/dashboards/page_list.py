"""Which pages there are: each pipeline brings its own with one file, and other packages may too.

Our files are the modules of ``dashboards/pages``. Another package names a sequence of ``Page`` by an entry
point of the group ``tasoc_kit.pages``. Neither Panel nor a page is imported to know of them.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tasoc_kit.dashboards import pages as ours
from tasoc_kit.errors import PluginError, TasocKitError

__all__ = ["GROUP", "Page", "makers", "pages", "problems", "shows", "tell_problem"]

GROUP = "tasoc_kit.pages"
_GROUPS = ("store", "ccd", "star")
"""Groups of the bar, in order; those that only other packages know follow."""
_SLUG = re.compile(r"[a-z][a-z0-9_]{0,39}")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Page:
    """
    One page of the dashboard.

    Raises
    ------
    PluginError
        If the slug or the function is not of the form that is asked for.
    """

    slug: str
    """Last part of its address: small letters, digits and ``_``."""
    title: str
    """Its name in the bar and in links."""
    function: str
    """``module:function`` that makes it anew for every visit; imported when it is first visited."""
    group: str = "store"
    """Pages of a group stand together in the bar: ``store``, ``ccd``, ``star``, or another."""
    product: str = ""
    """The product of a CCD that it shows, ``cube`` for the frames themselves; empty for none."""
    maker: str = ""
    """Name of the step that makes this product, as its record has it."""
    of_a_star: bool = False
    """Whether ``?tic=…`` asks it for a star."""

    def __post_init__(self) -> None:
        if not _SLUG.fullmatch(self.slug) or not _FUNCTION.fullmatch(self.function) or not self.title:
            raise PluginError(
                f"page {self.slug!r}: slug {self.slug!r}, title {self.title!r}, function {self.function!r}; "
                "expected a slug of small letters, digits and '_', a title, and 'module:function'. "
                "Correct the list of pages."
            )

    @property
    def module(self) -> str:
        """The module that its function is of."""
        return self.function.partition(":")[0]

    def load(self) -> Callable[[], Any]:
        """
        Return the function that makes the page.

        Raises
        ------
        PluginError
            If its module cannot be imported, or has no such function.
        """
        module, _, name = self.function.partition(":")
        try:
            made: Callable[[], Any] = getattr(importlib.import_module(module), name)
        except Exception as error:
            raise PluginError(
                f"page {self.slug!r}: {self.function} cannot be imported ({type(error).__name__}: {error}); "
                f"expected a function. Correct {module}, or remove the package that brings it."
            ) from error
        return made


_LATER: dict[str, str] = {}


@lru_cache(maxsize=1)
def _found() -> tuple[dict[str, Page], tuple[str, ...]]:
    """Return the pages in the order of the bar, and what is wrong with those that other packages bring."""
    known: dict[str, Page] = {}
    wrong: list[str] = []
    for module in sorted(pkgutil.iter_modules(ours.__path__), key=lambda module: module.name):
        _add(known, importlib.import_module(f"{ours.__name__}.{module.name}").PAGES)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            _add(known, _load(point))
        except TasocKitError as error:
            wrong.append(str(error))
    groups = list(dict.fromkeys([*_GROUPS, *(page.group for page in known.values())]))
    ordered = sorted(known.values(), key=lambda page: groups.index(page.group))
    return {page.slug: page for page in ordered}, tuple(wrong)


def _load(point: EntryPoint) -> tuple[Page, ...]:
    """Return the pages that an entry point leads to."""
    try:
        found = tuple(point.load())
    except Exception as error:
        raise PluginError(
            f"pages {point.name!r}: {point.value} cannot be loaded ({type(error).__name__}: {error}); "
            f"expected a sequence of Page. Correct the package that brings it, or remove it."
        ) from error
    strange = [type(one).__name__ for one in found if not isinstance(one, Page)]
    if strange:
        raise PluginError(
            f"pages {point.name!r}: {point.value} holds {strange[0]}; expected a sequence of Page. "
            "Correct the package that brings it."
        )
    return found


def _add(known: dict[str, Page], more: Iterable[Page]) -> None:
    more = tuple(more)
    for page in more:
        if page.slug in known:
            raise PluginError(
                f"page {page.slug!r} of {page.function}: {known[page.slug].function} has this slug already; "
                "expected one that no other page has. Rename it."
            )
    known.update({page.slug: page for page in more})


def pages() -> dict[str, Page]:
    """Return the pages by their slugs, in the order of the bar; looked for once."""
    return _found()[0]


def problems() -> list[str]:
    """Return what is wrong with pages of other packages; these are left out, or fail when visited."""
    return [*_found()[1], *_LATER.values()]


def tell_problem(page: Page, error: TasocKitError) -> None:
    """Remember that the module of a page cannot be imported."""
    _LATER[page.slug] = str(error)


def shows() -> dict[str, str]:
    """Return page → the product of a CCD that it shows."""
    return {page.slug: page.product for page in pages().values() if page.product}


def makers() -> dict[str, str]:
    """Return product → the step whose record stands for it in a lineage."""
    return {page.product: page.maker for page in pages().values() if page.maker}
