"""What a product was made from and what was made of it, as a picture whose parts are links."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

from tasoc_kit.dashboards import theme
from tasoc_kit.records.product_list import ancestors, children

__all__ = ["Node", "graph_markup", "read_graph"]

_WIDE, _HIGH = 168, 42
_ACROSS, _DOWN = 210, 56
_CHILDREN = 12
"""Of more children than these the others are left out."""


@dataclass(frozen=True)
class Node:
    """A record of the lineage."""

    id: str
    name: str
    """Its step, or of a child its product."""
    parents: tuple[str, ...]


def read_graph(id: str) -> dict[str, Node]:
    """Return the ancestors of a product, the product and its children, by id; empty where it is unknown."""
    found = {
        key: Node(key, record["step"], tuple(record["parents"])) for key, record in ancestors(id).items()
    }
    if id not in found:
        return {}
    some = {child["id"]: Node(child["id"], child["step"], (id,)) for child in children(id, limit=_CHILDREN)}
    return found | some


def _columns(nodes: Mapping[str, Node]) -> dict[str, int]:
    """Return the column of each node: one to the right of the last of its parents."""
    place: dict[str, int] = {}

    def of(key: str) -> int:
        if key not in place:
            place[key] = 1 + max((of(one) for one in nodes[key].parents if one in nodes), default=-1)
        return place[key]

    for key in nodes:
        of(key)
    return place


def _places(nodes: Mapping[str, Node]) -> dict[str, tuple[float, float]]:
    """Return the upper left corner of each node; in a column they stand in the order of their parents."""
    column = _columns(nodes)
    rows: dict[str, float] = {}
    for number in range(max(column.values()) + 1):
        here = [key for key in nodes if column[key] == number]

        def height(key: str) -> float:
            known = [rows[one] for one in nodes[key].parents if one in rows]
            return sum(known) / len(known) if known else 0.0

        for row, key in enumerate(sorted(here, key=lambda key: (height(key), nodes[key].name))):
            rows[key] = row - (len(here) - 1) / 2
    top = min(rows.values())
    return {key: (column[key] * _ACROSS + 2, (rows[key] - top) * _DOWN + 2) for key in nodes}


def graph_markup(nodes: Mapping[str, Node], current: str) -> str:
    """
    Return the picture as markup: a box for each record, from left to right, and a line to each parent.

    Parameters
    ----------
    nodes
        As of ``read_graph``.
    current
        Id of the product in view.
    """
    at = _places(nodes)
    wide = max(x for x, _ in at.values()) + _WIDE + 2
    high = max(y for _, y in at.values()) + _HIGH + 2
    lines = "".join(
        _line(at[one], at[node.id]) for node in nodes.values() for one in node.parents if one in at
    )
    boxes = "".join(_box(node, *at[node.id], node.id == current) for node in nodes.values())
    return (
        "<div style='overflow-x: auto' tabindex='0' role='region' aria-label='Lineage'>"
        f"<svg width='{wide:.0f}' height='{high:.0f}' viewBox='0 0 {wide:.0f} {high:.0f}' "
        "xmlns='http://www.w3.org/2000/svg' font-family='Roboto, sans-serif' font-size='12'>"
        f"<g fill='none' stroke='currentColor' stroke-opacity='0.45'>{lines}</g>{boxes}</svg></div>"
    )


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y, to_x, to_y = start[0] + _WIDE, start[1] + _HIGH / 2, end[0], end[1] + _HIGH / 2
    bend = max(20.0, (to_x - x) / 2)
    curve = f"C{x + bend:.0f} {y:.1f} {to_x - bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"
    return f"<path d='M{x:.0f} {y:.1f}{curve}'/>"


def _box(node: Node, x: float, y: float, current: bool) -> str:
    name = html.escape(node.name if len(node.name) < 25 else f"{node.name[:23]}…")
    stroke = (
        "stroke='#2f7fb8' stroke-width='2.5'" if current else "stroke='currentColor' stroke-opacity='0.5'"
    )
    bold = " font-weight='600'" if current else ""
    text = (
        f"<rect x='{x:.0f}' y='{y:.1f}' width='{_WIDE}' height='{_HIGH}' rx='7' "
        f"fill='rgba(127, 140, 155, 0.12)' {stroke}/>"
        f"<text x='{x + 10:.0f}' y='{y + 17:.1f}' fill='currentColor'"
        f"{bold}>{name}</text>"
        f"<text x='{x + 10:.0f}' y='{y + 33:.1f}' fill='currentColor' font-family='Roboto Mono, monospace' "
        f"font-size='11'>{html.escape(node.id)}</text>"
    )
    if current or node.name == "raw":
        return f"<g>{text}</g>"
    address = html.escape(theme.link("runs", id=node.id), quote=True)
    return f"<a href='{address}' aria-label='{name} {html.escape(node.id)}'>{text}</a>"
