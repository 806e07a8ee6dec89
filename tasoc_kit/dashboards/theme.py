"""The frame that every page stands in: bar, navigation, light and dark, type, empty states.

Fonts, icons and scripts come with panel-material-ui, so a page asks nothing of the network.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, urlencode
from weakref import WeakKeyDictionary

import panel as pn
import panel_material_ui as pmui
import param
from panel.util import edit_readonly

from tasoc_kit.dashboards import page_list
from tasoc_kit.dashboards.controls import PageFrame

__all__ = [
    "beside",
    "button_link",
    "caption",
    "choice",
    "download",
    "empty",
    "facts_markup",
    "figure",
    "heading",
    "heading_markup",
    "in_address",
    "link",
    "make_page",
    "markup",
    "notice",
    "panel_card",
    "readout",
]

_PER_LETTER, _PER_ITEM, _BESIDE, _BRAND = 7.5, 24.0, 142.0, 120
"""Screen pixels of the bar: a letter, the rest of an entry, what stands beside all, the name."""

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
        "MuiDrawer": {"styleOverrides": {"paper": {"maxWidth": "92vw"}}},
    },
}
THEME: dict[str, Any] = {mode: palette | _TYPE for mode, palette in _PALETTE.items()}

_TEXT = """
:host { font-family: Roboto, sans-serif; color: var(--mui-palette-text-primary, inherit); }
h1 { font-size: 1.35rem; font-weight: 600; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 0.95rem; font-weight: 600; margin: 0; }
p { margin: 0.35rem 0; line-height: 1.5; font-size: 0.92rem; }
code { font-family: "Roboto Mono", "DejaVu Sans Mono", monospace; font-size: 0.86em;
  background: rgba(127, 140, 155, 0.16); padding: 0.12em 0.4em; border-radius: 4px; }
pre { background: rgba(127, 140, 155, 0.14); padding: 0.7rem 0.9rem; border-radius: 6px; margin: 0.5rem 0;
  overflow-x: auto; } pre code { background: none; padding: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.22rem 0.9rem; margin: 0;
  font-size: 0.86rem; }
dt { opacity: 0.75; } dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
a { color: inherit; text-underline-offset: 0.18em; }
.soft { opacity: 0.78; font-size: 0.88rem; }
nav.pages { display: flex; align-items: center; gap: 0.2rem; white-space: nowrap; color: #fff; }
nav.pages a { text-decoration: none; padding: 0.35rem 0.65rem; border-radius: 6px; color: #fff;
  font-size: 0.92rem; }
nav.pages a:hover { background: rgba(0, 0, 0, 0.16); }
nav.pages a[aria-current] { background: rgba(0, 0, 0, 0.28); font-weight: 600; }
nav.pages .brand { font-size: 1.2rem; font-weight: 600; letter-spacing: -0.01em; margin-right: 0.8rem; }
nav.pages .group { margin-left: 0.9rem; }
nav.pages details { display: none; margin: 0; font-size: 1rem; position: relative; }
nav.pages summary { opacity: 1; padding: 0.4rem 0.7rem; border-radius: 6px; font-weight: 600;
  list-style: none; background: rgba(0, 0, 0, 0.22); }
nav.pages summary::after { content: " ▾"; }
nav.pages details div { position: absolute; z-index: 2000; top: calc(100% + 6px); left: 0; display: grid;
  min-width: 12rem; padding: 0.4rem; border-radius: 8px; background: #174b6d;
  box-shadow: 0 6px 20px rgba(0, 0, 0, 0.4); }
nav.pages details a { padding: 0.6rem 0.8rem; font-size: 1rem; }
nav.pages details .group { margin: 0.3rem 0 0; border-top: 1px solid rgba(255, 255, 255, 0.25); }
nav.same { display: flex; flex-wrap: wrap; gap: 0.1rem 0.9rem; margin-top: 0.45rem; font-size: 0.86rem; }
nav.same span { opacity: 0.75; }
a.button { display: inline-block; text-decoration: none; font-size: 0.85rem; font-weight: 500;
  padding: 0.3rem 0.8rem; border: 1px solid currentColor; border-radius: 6px;
  color: var(--mui-palette-primary-main, inherit); }
a.button:hover { background: rgba(127, 140, 155, 0.14); }
a:focus-visible, summary:focus-visible { outline: 2px solid #2f7fb8; outline-offset: 2px; }
nav.pages a:focus-visible, nav.pages summary:focus-visible { outline-color: #fff; }
.keys { font-size: 0.8rem; opacity: 0.78; } @media (hover: none) { .keys { display: none; } }
kbd { font: inherit; border: 1px solid rgba(127, 140, 155, 0.6); border-radius: 4px; padding: 0 0.35em; }
.cards { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 400px), 1fr)); }
.cards article { border: 1px solid var(--mui-palette-divider, rgba(127, 140, 155, 0.4)); border-radius: 10px;
  padding: 14px 16px; background: var(--mui-palette-background-paper, none); }
.cards h2 { margin-bottom: 0.6rem; }
.cards pre code { white-space: pre-wrap; overflow-wrap: anywhere; }
.cards pre span { display: inline-block; max-width: 100%; }
.cards .go { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-top: 0.9rem; }
table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; opacity: 0.85; }
th, td { padding: 0.3rem 1.1rem 0.3rem 0; vertical-align: top;
  border-bottom: 1px solid var(--mui-palette-divider, rgba(127, 140, 155, 0.4)); white-space: nowrap; }
td.words { white-space: normal; min-width: 16rem; }
details { margin-top: 0.7rem; font-size: 0.86rem; } summary { cursor: pointer; opacity: 0.78; }
details dl { margin-top: 0.4rem; }
"""

_CHOICE = """
.bk-input-group > label:has(+ select) { background-color: var(--mui-palette-background-paper, Canvas); }
select.bk-input:not([multiple]) { height: 2.2rem; padding: 0 2rem 0 0.8rem; border-radius: 8px;
  font: 0.9rem Roboto, sans-serif; text-overflow: ellipsis; color: var(--mui-palette-text-primary, inherit);
  background-color: var(--mui-palette-background-paper, Canvas);
  border: 1px solid rgba(127, 140, 155, 0.55); appearance: none;
  background-image: linear-gradient(45deg, transparent 50%, currentColor 50%),
    linear-gradient(135deg, currentColor 50%, transparent 50%);
  background-position: right 15px center, right 10px center; background-size: 5px 5px;
  background-repeat: no-repeat; }
select.bk-input:hover { border-color: currentColor; }
select.bk-input:focus-visible { outline: 2px solid #2f7fb8; outline-offset: 1px; border-color: transparent; }
"""


def markup(text: str, **options: Any) -> pn.pane.HTML:
    """Return markup in the type of these pages."""
    return pn.pane.HTML(
        text, stylesheets=[_TEXT], **({"sizing_mode": "stretch_width", "margin": 0} | options)
    )


def link(page: str, **query: Any) -> str:
    """Return the address of a page, relative to the one that is open."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"./{page}{'?' + urlencode(given) if given else ''}"


def in_address(**query: Any) -> None:
    """Say in the address what the page shows, so that it can be opened again; None takes a name out of it."""
    location = pn.state.location
    if location is None:
        return

    def change() -> None:
        # update_query of the library makes a number of an id like 007e12345678: inf
        said = dict(parse_qsl(location.search.removeprefix("?"))) | query
        location.search = "?" + urlencode({name: value for name, value in said.items() if value is not None})

    # a page that is not yet loaded would put the address it was asked for in its place
    change() if pn.state.loaded else pn.state.onload(change)


def button_link(title: str, address: str) -> str:
    """Return the markup of a link that looks like a button."""
    return f"<a class='button' href='{html.escape(address, quote=True)}'>{html.escape(title)}</a>"


def heading_markup(text: str, detail: str = "") -> str:
    """Return the markup of the one first-level heading of a page, with a quiet line below it."""
    below = f"<p class='soft'>{html.escape(detail)}</p>" if detail else ""
    return f"<h1>{html.escape(text)}</h1>{below}"


def heading(text: str, detail: str = "") -> pn.pane.HTML:
    """Return the one first-level heading of a page, with a quiet line below it."""
    return markup(heading_markup(text, detail))


def caption(text: str, **options: Any) -> pn.pane.HTML:
    """Return a second-level heading."""
    return markup(f"<h2>{html.escape(text)}</h2>", **options)


def facts_markup(facts: dict[str, str]) -> str:
    """Return the markup of names and values, side by side; values may hold markup, made by who calls."""
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{value}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl>"


def readout(facts: dict[str, str]) -> pn.pane.HTML:
    """Return names and values, side by side."""
    return markup(facts_markup(facts))


def choice(label: str, of: param.Parameter | None = None, **options: Any) -> pn.widgets.Select:
    """
    Return a list to choose from: that of the browser, which keys, touch and readers of the screen know.

    Parameters
    ----------
    label
        What is chosen.
    of
        The parameter that follows the choice.
    options
        Of the widget: ``options``, ``value``, ``max_width``.
    """
    looks = {"margin": (10, 10), "stylesheets": [_CHOICE], "sizing_mode": "stretch_width"}
    if of is None:
        return pn.widgets.Select(label=label, **(looks | options))
    return pn.widgets.Select.from_param(of, label=label, description=None, **(looks | options))


def download(label: str, content: Any, filename: Any) -> pmui.FileDownload:
    """Return a button that saves a file: ``content`` is what is in it, or makes that when it is asked for."""
    given = {"callback": content} if callable(content) else {"file": content}
    button = pmui.FileDownload(label=label, filename=filename, size="small", **given)
    button.variant = "outlined"  # its constructor takes that for two names of one thing, and warns
    return button


def empty(title: str, text: str, commands: Sequence[str] = ()) -> pn.Column:
    """Return what stands where there is nothing yet: what is missing, and the command that makes it."""
    lines = "".join(f"<pre><code>{html.escape(command)}</code></pre>" for command in commands)
    return panel_card(markup(f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>{lines}"))


def figure(drawn: Any, *, wide: bool = False, **options: Any) -> pn.pane.HoloViews:
    """Return a live figure of a page; a ``wide`` one takes the width there is."""
    sizing = {"sizing_mode": "stretch_width"} if wide else {}
    return pn.pane.HoloViews(drawn, **({"linked_axes": False, "margin": 0} | sizing | options))


def panel_card(*content: Any, **options: Any) -> pmui.Paper:
    """Return a sheet of the page."""
    style = {"p": 1.5, "borderRadius": "10px", "border": "1px solid", "borderColor": "divider"}
    settings: dict[str, Any] = {"elevation": 0, "sizing_mode": "stretch_width", "margin": 6, "sx": style}
    return pmui.Paper(*content, **(settings | options))


def _is_phone() -> bool:
    """Tell whether the browser says that it runs on a phone."""
    said = {str(name).lower(): str(value) for name, value in (pn.state.headers or {}).items()}
    return said.get("sec-ch-ua-mobile") == "?1" or "Mobi" in said.get("user-agent", "")


def beside(*parts: pn.viewable.Viewable, first: int = 0, each: int = 320, **options: Any) -> pn.Row:
    """
    Return parts side by side, or below each other where there is no room.

    Parameters
    ----------
    parts
        Those that stretch share the width, each up to its ``max_width``.
    first
        The first part is no narrower than this beside another, in screen pixels; 0 for ``each``.
    each
        Nor are the others narrower than this.
    options
        Of the row.
    """
    for place, part in enumerate(parts):
        if part.sizing_mode == "stretch_width":
            least = first if first and not place else min(each, part.max_width or each)
            part.styles = {**part.styles, "flex": f"1 1 {least}px", "min-width": "0"}
            part.css_classes = [*part.css_classes, "room"]
    return pn.Row(*parts, sizing_mode="stretch_width", styles={"flex-wrap": "wrap"}, **options)


def _navigation(current: str) -> pn.pane.HTML:
    """Return the bar; where it would not fit, the same pages below the name of the one that is open."""
    known = list(page_list.pages().values())
    first = {after.slug for before, after in pairwise(known) if before.group != after.group}
    items = "".join(
        f"<a href='./{page.slug}'{' class=group' if page.slug in first else ''}"
        f"{' aria-current=page' if page.slug == current else ''}>{html.escape(page.title)}</a>"
        for page in known
    )
    title = html.escape(page_list.pages()[current].title)
    small = f"<details><summary>{title}</summary><div>{items}</div></details>"
    brand = "<span class='brand'>tasoc_kit</span>"
    room = round(sum(_PER_LETTER * len(page.title) + _PER_ITEM for page in known) + 15 * len(first) + _BESIDE)
    fitted = (
        f"@media (max-width: {room + _BRAND}px) {{ nav.pages .brand {{ display: none; }} }}"
        f"@media (max-width: {room}px) {{ nav.pages > a {{ display: none; }}"
        " nav.pages details { display: block; } }"
    )
    return pn.pane.HTML(
        f"<nav class='pages' aria-label='Pages'>{brand}{items}{small}</nav>",
        stylesheets=[_TEXT, fitted], sizing_mode=None, margin=(0, 4),
    )  # fmt: skip


_NOTICES: WeakKeyDictionary[Any, pmui.Alert] = WeakKeyDictionary()
_FRAMES: WeakKeyDictionary[Any, PageFrame] = WeakKeyDictionary()


def notice() -> pmui.Alert | None:
    """Return what stands above the page that is open when something on it failed; None without a page."""
    return _NOTICES.get(pn.state.curdoc) if pn.state.curdoc is not None else None


def end_page() -> None:
    """Take everything off the page that is open, and let its browser ask for it anew."""
    document = pn.state.curdoc
    if document in _FRAMES:
        _FRAMES[document].ended = True
        document.clear()


def make_page(
    current: str, *, main: Sequence[Any], sidebar: Sequence[Any] = (), width: int = 320
) -> pmui.Page:
    """
    Return a page in the common frame.

    Parameters
    ----------
    current
        Slug of the page.
    main, sidebar
        What stands on it.
    width
        Of the sidebar, in screen pixels.
    """
    title = page_list.pages()[current].title
    dark = (pn.state.cookies or {}).get("tasoc_dark") == "1"
    frame = PageFrame(dark=dark, sidebar=not _is_phone())
    alert = pmui.Alert(
        title="Something on this page failed", severity="error", closeable=True, visible=False, margin=6,
        sizing_mode="stretch_width",
    )  # fmt: skip
    if pn.state.curdoc is not None:
        _NOTICES[pn.state.curdoc], _FRAMES[pn.state.curdoc] = alert, frame
    page = pmui.Page(
        title="",
        dark_theme=dark,
        header=[_navigation(current)],
        sidebar=[pn.Column(*sidebar, sizing_mode="stretch_width", margin=(14, 6))] if sidebar else [],
        sidebar_open=not _is_phone(),
        sidebar_width=width,
        sidebar_resizable=False,
        busy_indicator=None,
        main=[pn.Column(alert, *main, frame, sizing_mode="stretch_width", margin=(8, 10))],
        theme_config=THEME,
        meta_title=f"{title} · tasoc_kit",
        meta_name=f"{title} · tasoc_kit",
    )
    # Else every page that anybody has open is walked through, twice, whenever one of them does anything.
    with edit_readonly(page):
        page.busy = False
    frame.jslink(page, dark="dark_theme", sidebar="sidebar_open", bidirectional=True)
    return page
