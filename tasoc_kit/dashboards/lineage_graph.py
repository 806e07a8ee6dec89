"""What a product was made from and what was made of it, as a picture whose parts are links."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx as nx

from tasoc_kit.dashboards import theme
from tasoc_kit.records.product_list import ancestors, children

__all__ = ["Node", "graph_markup", "read_graph"]

_WIDE, _HIGH = 168, 42
_ACROSS, _GAP, _LANE = 208, 14, 16
"""Screen pixels from column to column, between boxes, and of a line that passes between them."""
_SWEEPS = 4
_CHILDREN = 12
"""Of more children than these the others are left out."""

_Place = tuple[str, int]
"""A record in its column; in a column between it and a child, the line that leads there."""


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


def _joined(nodes: Mapping[str, Node]) -> nx.DiGraph:
    """Return the records, each joined to its parents unless others between them say so already."""
    graph = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((one, key) for key, node in nodes.items() for one in node.parents if one in nodes)
    return nx.transitive_reduction(graph)


def _steps(lines: Iterable[tuple[str, str]], column: Mapping[str, int]) -> set[tuple[_Place, _Place]]:
    """Return the lines from column to column; those that leave one record share the way."""
    steps = set()
    for parent, child in lines:
        for number in range(column[parent], column[child]):
            end = child if number + 1 == column[child] else parent
            steps.add(((parent, number), (end, number + 1)))
    return steps


def _in_order(columns: list[list[_Place]], steps: set[tuple[_Place, _Place]]) -> None:
    """Sort each column by the middle of what its places are joined to, there and back."""
    beside: dict[_Place, list[_Place]] = {place: [] for column in columns for place in column}
    for start, end in steps:
        beside[start].append(end)
        beside[end].append(start)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for number, here in list(enumerate(columns))[:: 1 if forward else -1]:
            other = number - 1 if forward else number + 1
            if 0 <= other < len(columns):
                row = {place: (k + 0.5) / len(columns[other]) for k, place in enumerate(columns[other])}
                was = {place: (k + 0.5) / len(here) for k, place in enumerate(here)}

                def middle(place: _Place, row: dict = row, was: dict = was) -> float:
                    known = [row[one] for one in beside[place] if one in row]
                    return sum(known) / len(known) if known else was[place]

                here.sort(key=middle)


def _places(
    nodes: Mapping[str, Node], column: Mapping[str, int], steps: set[tuple[_Place, _Place]]
) -> dict[_Place, tuple[float, float]]:
    """Return the left end and the middle of the height of each place."""
    columns: list[list[_Place]] = [[] for _ in range(max(column.values()) + 1)]
    for place in sorted({(key, column[key]) for key in nodes} | {place for step in steps for place in step}):
        columns[place[1]].append(place)
    _in_order(columns, steps)
    high = [[_HIGH + _GAP if column[key] == number else _LANE for key, number in here] for here in columns]
    most = max(sum(heights) for heights in high)
    at = {}
    for here, heights in zip(columns, high, strict=True):
        top = (most - sum(heights)) / 2
        for place, height in zip(here, heights, strict=True):
            at[place] = (place[1] * _ACROSS + 2.0, top + height / 2)
            top += height
    return at


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
    joined = _joined(nodes)
    column = {key: number for number, keys in enumerate(nx.topological_generations(joined)) for key in keys}
    steps = _steps(joined.edges, column)
    at = _places(nodes, column, steps)
    wide = max(x for x, _ in at.values()) + _WIDE + 2
    high = max(y for _, y in at.values()) + _HIGH / 2 + _GAP
    passing = [_across(*at[key, number]) for key, number in at if column[key] != number]
    lines = "".join([*(_line(at[start], at[end]) for start, end in sorted(steps)), *passing])
    boxes = "".join(_box(node, *at[node.id, column[node.id]], node.id == current) for node in nodes.values())
    # What is made last is what people came for: a box that reads from the right begins there.
    return (
        "<div style='overflow-x: auto; direction: rtl' tabindex='0' role='region' aria-label='Lineage'>"
        f"<svg width='{wide:.0f}' height='{high:.0f}' viewBox='0 0 {wide:.0f} {high:.0f}' direction='ltr' "
        "xmlns='http://www.w3.org/2000/svg' font-family='Roboto, sans-serif' font-size='12' "
        "style='direction: ltr; display: block; margin-right: auto'>"
        f"<g fill='none' stroke='currentColor' stroke-opacity='0.45'>{lines}</g>{boxes}</svg></div>"
    )


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y, to_x, to_y = start[0] + _WIDE, start[1], end[0], end[1]
    bend = (to_x - x) / 2
    curve = f"C{x + bend:.0f} {y:.1f} {to_x - bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"
    return f"<path d='M{x:.0f} {y:.1f}{curve}'/>"


def _across(x: float, y: float) -> str:
    return f"<path d='M{x:.0f} {y:.1f}H{x + _WIDE:.0f}'/>"


def _box(node: Node, x: float, middle: float, current: bool) -> str:
    y = middle - _HIGH / 2
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
