"""The page that stands in for one that could not be made."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import panel as pn

from tasoc_kit.dashboards import theme

__all__ = ["or_failed"]


def or_failed(slug: str, page: Callable[[], Any]) -> Callable[[], Any]:
    """
    Return a function that makes a page, and if that fails one that says so.

    The error is raised again when the page is on its way, in the server, whose log then has
    it with its traceback.

    Parameters
    ----------
    slug
        Which of ``theme.PAGES`` it is.
    page
        Makes it.
    """

    def make() -> Any:
        try:
            return page()
        except Exception as error:
            if pn.state.curdoc is None:
                raise
            _raise_in_server(error)
            return theme.make_page(slug, main=[theme.heading(theme.PAGES[slug]), _words(error)])

    return make


def _raise_in_server(error: Exception) -> None:
    def again() -> NoReturn:
        raise error

    pn.state.curdoc.add_next_tick_callback(again)


def _words(error: Exception) -> Any:
    said = f"{type(error).__name__}: {error}"[:400]
    return theme.panel_card(
        theme.markup(
            "<h2>This page failed</h2>"
            "<p>That is a fault of tasoc_kit, or of the machine it runs on; nothing in the store was "
            f"changed.</p><pre><code>{html.escape(said)}</code></pre>"
            f"<p>The traceback is in the log of the server, at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: "
            "the terminal in which <code>tasoc dashboard</code> runs. Other pages may work; reload this one "
            "to try again, and see whether <code>tasoc doctor</code> finds something missing.</p>"
        )
    )
