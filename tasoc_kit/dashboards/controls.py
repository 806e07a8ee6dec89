"""What the widget library lacks: a table of stars, keys for the whole page, a frame for every page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from tasoc_kit.dashboards.star_list import COLUMNS

__all__ = ["PageFrame", "Shortcuts", "StarTable", "Visibility"]

_HERE = Path(__file__).parent
_MEANINGS = {
    "tmag": "TESS magnitude",
    "ptp": "Noise of one exposure, from the differences of neighbours, in parts per million",
    "contamination": "Share of the light in the aperture that comes from other stars",
    "status": "What became of the star's aperture and its light curve",
    "verdict": "What was said of the star",
}

_TABLE_STYLE = """
.frame { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font: 0.82rem/1.35 Roboto, sans-serif;
  font-variant-numeric: tabular-nums; color: var(--mui-palette-text-primary, currentColor); }
th { text-align: right; padding: 0; border-bottom: 1px solid rgba(127, 140, 155, 0.5); }
th:first-child, td:first-child, th:nth-last-child(-n+2), td:nth-last-child(-n+2) { text-align: left; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; cursor: pointer;
  padding: 0.4rem 0.35rem; white-space: nowrap; border-radius: 4px; }
td { padding: 0.3rem 0.35rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid rgba(127, 140, 155, 0.18); }
tbody tr { cursor: pointer; }
tbody tr:hover { background: rgba(127, 140, 155, 0.14); }
tbody tr[aria-selected=true] { background: rgba(47, 127, 184, 0.24); }
tbody tr:focus-visible, th button:focus-visible { outline: 2px solid #2f7fb8; outline-offset: -2px; }
tr[data-verdict=accept] td.verdict::before { content: "✓ "; }
tr[data-verdict=reject] td.verdict::before { content: "✕ "; }
"""


def _under_lock(change: Callable[[], None]) -> None:
    """Change the page when it is locked: a key that comes while another is served comes without its lock."""
    pn.state.execute(change, schedule=True)


class StarTable(JSComponent):
    """One page of stars; the server orders, filters and turns the pages."""

    rows = param.List(default=[], doc="The rows in view, as text.")
    columns = param.List(default=[[name, title, _MEANINGS.get(name, "")] for name, title in COLUMNS.items()])
    order = param.String(default="tmag", doc="The column that the stars are ordered by.")
    descending = param.Boolean(default=False)
    star = param.Integer(default=-1, doc="Index of the chosen star; -1 for none.")
    label = param.String(default="Stars", doc="What the rows are, for readers of the screen.")

    _esm = _HERE / "star_table.js"
    _stylesheets = [_TABLE_STYLE]

    def __init__(self, on_step: Callable[[int, bool], None] | None = None, **params: Any) -> None:
        super().__init__(**params)
        self._on_step = on_step

    def _handle_msg(self, message: dict[str, Any]) -> None:
        if self._on_step is not None:
            _under_lock(partial(self._on_step, int(message["step"]), bool(message["page"])))


class Shortcuts(JSComponent):
    """Keys that call functions, wherever the focus is, unless a person is typing."""

    keys = param.List(default=[], doc="Names of the keys, as the browser calls them.")

    _esm = _HERE / "shortcuts.js"

    def __init__(self, actions: dict[str, Callable[[], None]], **params: Any) -> None:
        super().__init__(keys=list(actions), width=0, height=0, margin=0, **params)
        self._actions = actions

    def _handle_msg(self, message: dict[str, Any]) -> None:
        _under_lock(self._actions[message["key"]])


class Visibility(JSComponent):
    """Tells whether a person can see the page."""

    visible_now = param.Boolean(default=True)

    _esm = _HERE / "visibility.js"

    def __init__(self, **params: Any) -> None:
        super().__init__(width=0, height=0, margin=0, **params)


class PageFrame(JSComponent):
    """
    What the browser does for every page.

    It is light or dark as the reader's system is set, or as chosen on any page before; images of pixels
    and legends fit into the room there is; a narrow window opens without its sidebar; the way back leads to
    the page before.
    """

    dark = param.Boolean(default=False)
    sidebar = param.Boolean(default=True, doc="Whether the sidebar is open.")
    cookie = param.String(default="tasoc_dark", doc="Under which the browser remembers the choice.")
    ended = param.Boolean(default=False, doc="Whether the browser asks for the page anew.")

    _esm = _HERE / "page_frame.js"

    def __init__(self, **params: Any) -> None:
        super().__init__(width=0, height=0, margin=0, **params)
