"""What people are told when a page cannot be made, or something on it fails later.

The log of the server has the traceback of either.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import panel as pn
from bokeh.application.handlers.handler import Handler
from panel.util import parse_query
from tornado.web import HTTPError

from tasoc_kit.dashboards import page_list, theme
from tasoc_kit.errors import PluginError, TasocKitError

__all__ = ["Readable", "or_failed", "tell"]

_log = logging.getLogger(__name__)


def or_failed(slug: str, page: Callable[[], Any]) -> Callable[[], Any]:
    """
    Return a function that makes a page, and if that fails one that says so.

    Parameters
    ----------
    slug
        Of the page.
    page
        Makes it.
    """

    def make() -> Any:
        try:
            return page()
        except Exception as error:
            if pn.state.curdoc is None:
                raise
            _log.error("the page %s failed", slug, exc_info=error)
            return theme.make_page(slug, main=[theme.heading(page_list.pages()[slug].title), _words(error)])

    return make


class Readable(Handler):
    """Answers with a status of 400 what the library cannot read in an address, as ``?tic=²``."""

    def modify_document(self, doc: Any) -> None:
        """Leave the page to those who make it."""

    def process_request(self, request: Any) -> dict[str, Any]:
        """Look at the address before a session begins; nothing is added to that."""
        try:
            parse_query(f"?{request.query}")
        except ValueError:
            why = "a number in this address cannot be read: leave out what stands behind the question mark"
            raise HTTPError(400, reason=why) from None
        return {}


def tell(error: BaseException) -> None:
    """Say on the page that is open that something failed; with its traceback it goes to the log."""
    expected = isinstance(error, TasocKitError)
    if not expected:
        _log.error("something on a page failed", exc_info=error)
    notice = theme.notice()
    if notice is not None:
        where = "" if expected else f" The traceback is in the log of the server, at {_now()}."
        notice.param.update(object=html.escape(_said(error)) + where, closed=False, visible=True)
    elif expected:
        _log.error("%s", error)


def _said(error: BaseException) -> str:
    words = str(error) if isinstance(error, TasocKitError) else f"{type(error).__name__}: {error}"
    return words[:400]


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _words(error: Exception) -> Any:
    of = "the package that brings it" if isinstance(error, PluginError) else "tasoc_kit"
    return theme.panel_card(
        theme.markup(
            "<h2>This page failed</h2>"
            f"<p>That is a fault of {of}, or of the machine it runs on; nothing in the store was "
            f"changed.</p><pre><code>{html.escape(_said(error))}</code></pre>"
            f"<p>The traceback is in the log of the server, at {_now()}: "
            "the terminal in which <code>tasoc dashboard</code> runs. Other pages may work; reload this one "
            "to try again, and see whether <code>tasoc doctor</code> finds something missing.</p>"
        )
    )
