"""Write ``docs/reference.md`` from the public names of the package: ``python docs/reference.py``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tasoc_kit as tk

PAGE = Path(__file__).with_suffix(".md")

HEAD = """# Reference

This page is written by `python docs/reference.py`. Every public name is found as `tasoc_kit.NAME`, after
`import tasoc_kit as tk`. Variables, units and flags of what goes in and comes out are in
[the data model](data_model.md).
"""
ROOMS = {
    ("catalog", "sources"): ("Data", "Frames, stars and files of others, by name or by path."),
    ("store", "archive", "provenance"): ("Products", "The store, what made a product, copies elsewhere."),
    ("photometry",): ("Photometry", "From frames to light curves: [how it works](photometry.md)."),
    ("corrections",): ("Corrections", "[How they work](corrections.md)."),
    ("validation",): ("Validation", "[What is checked](validation.md)."),
    ("seismology",): ("Seismology", "[Oscillations](seismology.md) and [variability](variability.md)."),
    ("exports",): ("Files", "What leaves the store."),
    ("pipeline", "dashboards"): ("Notebooks and pipelines", "What notebooks are written with."),
}
"""Rooms of the package → title and first line of their section."""


def section(title: str, about: str, module: str, names: Iterable[str]) -> str:
    """Return a section with what the names of a module are."""
    listed = "".join(
        f".. auto{'class' if name[0].isupper() else 'function'}:: {module}.{name}\n" for name in sorted(names)
    )
    return f"\n## {title}\n\n{about}\n\n```{{eval-rst}}\n{listed}```\n"


def render() -> str:
    """Return the page."""
    parts = []
    for rooms, (title, about) in ROOMS.items():
        names = [name for name, module in tk._PUBLIC.items() if module.split(".")[0] in rooms]
        parts.append(section(title, about, "tasoc_kit", names))
    figures = "Every one takes Datasets and returns a HoloViews object."
    parts.append(section("Figures", figures, "tasoc_kit.plots", tk.plots.__all__))
    skies = "[Skies with known truth](simulation.md), as files of the mission."
    parts.append(section("Simulation", skies, "tasoc_kit.simulation", tk.simulation.__all__))
    return HEAD + "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render())
