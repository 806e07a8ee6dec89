"""The frame that every page stands in: bar, navigation, light and dark, type, empty states.

Fonts, icons and scripts come with panel-material-ui, so a page asks nothing of the network.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import panel as pn
import panel_material_ui as pmui

__all__ = ["PAGES", "caption", "empty", "heading", "link", "make_page", "panel_card", "readout"]

PAGES = {"overview": "Overview", "frames": "Frames", "light_curves": "Light curves"}

_PALETTE = {
    "light": {
        "palette": {
            "primary": {"main": "#1d5f8a"},
            "secondary": {"main": "#b3471d"},
            "success": {"main": "#1b7a4b"},
            "error": {"main": "#b3261e"},
            "background": {"default": "#f5f7f9", "paper": "#ffffff"},
        },
    },
    "dark": {
        "palette": {
            "primary": {"main": "#7cc0ea"},
            "secondary": {"main": "#ffab87"},
            "success": {"main": "#6fd39c"},
            "error": {"main": "#ff9d95"},
            "background": {"default": "#0e151c", "paper": "#16202a"},
        },
    },
}
_TYPE = {
    "typography": {"fontSize": 13, "button": {"textTransform": "none", "fontWeight": 500}},
    "shape": {"borderRadius": 8},
    "components": {
        "MuiAppBar": {"styleOverrides": {"root": {"backgroundColor": "#174b6d", "color": "#ffffff"}}},
    },
}
THEME: dict[str, Any] = {mode: palette | _TYPE for mode, palette in _PALETTE.items()}

_TEXT = """
:host { font-family: Roboto, sans-serif; color: var(--mui-palette-text-primary, inherit); }
h1 { font-size: 1.35rem; font-weight: 600; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 0.95rem; font-weight: 600; margin: 0; }
p { margin: 0.35rem 0; line-height: 1.5; }
code { font-family: "Roboto Mono", "DejaVu Sans Mono", monospace; font-size: 0.86em;
  background: rgba(127, 140, 155, 0.16); padding: 0.12em 0.4em; border-radius: 4px; }
pre { background: rgba(127, 140, 155, 0.14); padding: 0.7rem 0.9rem; border-radius: 6px; margin: 0.5rem 0;
  overflow-x: auto; } pre code { background: none; padding: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.22rem 0.9rem; margin: 0;
  font-size: 0.86rem; }
dt { opacity: 0.75; } dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
a { color: inherit; text-underline-offset: 0.18em; }
.soft { opacity: 0.78; font-size: 0.88rem; }
nav { display: flex; gap: 0.35rem; }
nav a { text-decoration: none; padding: 0.35rem 0.75rem; border-radius: 6px; color: #fff;
  font-size: 0.92rem; }
nav a:hover { background: rgba(0, 0, 0, 0.16); }
nav a[aria-current] { background: rgba(0, 0, 0, 0.28); font-weight: 600; }
"""


def _markup(text: str, **options: Any) -> pn.pane.HTML:
    return pn.pane.HTML(
        text, stylesheets=[_TEXT], **({"sizing_mode": "stretch_width", "margin": 0} | options)
    )


def link(page: str, **query: Any) -> str:
    """Return the address of a page, relative to the one that is open."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"./{page}{'?' + urlencode(given) if given else ''}"


def heading(text: str, detail: str = "") -> pn.pane.HTML:
    """Return the one first-level heading of a page, with a quiet line below it."""
    below = f"<p class='soft'>{html.escape(detail)}</p>" if detail else ""
    return _markup(f"<h1>{html.escape(text)}</h1>{below}")


def caption(text: str, **options: Any) -> pn.pane.HTML:
    """Return a second-level heading."""
    return _markup(f"<h2>{html.escape(text)}</h2>", **options)


def readout(facts: dict[str, str]) -> pn.pane.HTML:
    """Return names and values, side by side; values may hold markup, made by who calls."""
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{value}</dd>" for name, value in facts.items())
    return _markup(f"<dl>{rows}</dl>")


def empty(title: str, text: str, commands: Sequence[str] = ()) -> pn.Column:
    """Return what stands where there is nothing yet: what is missing, and the command that makes it."""
    lines = "".join(f"<pre><code>{html.escape(command)}</code></pre>" for command in commands)
    return panel_card(_markup(f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>{lines}"))


def panel_card(*content: Any, **options: Any) -> pmui.Paper:
    """Return a sheet of the page."""
    style = {"p": 1.5, "borderRadius": "10px", "border": "1px solid", "borderColor": "divider"}
    settings: dict[str, Any] = {"elevation": 0, "sizing_mode": "stretch_width", "margin": 6, "sx": style}
    return pmui.Paper(*content, **(settings | options))


def _navigation(current: str) -> pn.pane.HTML:
    items = "".join(
        f"<a href='./{slug}'{' aria-current=page' if slug == current else ''}>{name}</a>"
        for slug, name in PAGES.items()
    )
    return _markup(f"<nav aria-label='Pages'>{items}</nav>", sizing_mode=None, margin=(0, 12))


def make_page(
    current: str, *, main: Sequence[Any], sidebar: Sequence[Any] = (), width: int = 320
) -> pmui.Page:
    """
    Return a page in the common frame.

    Parameters
    ----------
    current
        Which of ``PAGES`` it is.
    main, sidebar
        What stands on it.
    width
        Of the sidebar, in screen pixels.
    """
    return pmui.Page(
        title=f"tasoc_kit · {PAGES[current]}",
        header=[_navigation(current)],
        sidebar=list(sidebar),
        sidebar_width=width,
        sidebar_resizable=False,
        busy_indicator="linear",
        main=list(main),
        theme_config=THEME,
        meta_name=f"tasoc_kit · {PAGES[current]}",
    )
