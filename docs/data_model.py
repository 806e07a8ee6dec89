"""Write ``docs/data_model.md`` from the vocabulary: ``python docs/data_model.py``."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from tasoc_kit import vocabulary

PAGE = Path(__file__).with_suffix(".md")

HEAD = """# Data model

This page is written by `python docs/data_model.py` from `tasoc_kit/vocabulary.py`, the one table of names.
A step takes and returns `xarray.Dataset`s whose variables are all in this table.

* **Place** is `row`, `column`: 0-based labels on the full 2078 × 2136 frame, never x and y. The science area
  is rows 0 to 2047, columns 44 to 2091. A cutout keeps the labels of the frame it was cut from.
* **Time** is BTJD = BJD − 2457000, days, TDB, at mid-exposure.
* **Missing** is NaN. **Flags** are bits: the mission's in `quality`, ours in `frame_quality` and
  `pixel_quality`.
* **Pixels** are Dask, one frame one chunk; what there is per cadence or per star is in memory.
* **Apertures** are a contiguous ragged array (CF conventions): the pixels of a star are the `row_size`
  entries of `pixel_row` and `pixel_column` after those of the stars before it.
"""


def table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def bits(flags: type[IntEnum]) -> str:
    """Return the names and values of an enumeration, and its docstring's first line."""
    title = (flags.__doc__ or "").strip().splitlines()[0]
    return f"\n### {flags.__name__}\n\n{title}\n\n" + table(
        ("value", "name"), ((int(flag), f"`{flag.name}`") for flag in flags)
    )


def render() -> str:
    """Return the page."""
    dimensions = ((f"`{name}`", meaning) for name, meaning in vocabulary.DIMENSIONS.items())
    variables = (
        (f"`{row.name}`", ", ".join(row.dims), row.dtype, row.unit.replace("electron", "e"), row.meaning)
        for row in vocabulary.VARIABLES.values()
    )
    enumerations = (
        vocabulary.TessQuality,
        vocabulary.KitQuality,
        vocabulary.ApertureFlag,
        vocabulary.EdgeSide,
        vocabulary.OscillationFlag,
        vocabulary.Status,
        vocabulary.RotationFlag,
        vocabulary.VariabilityClass,
    )
    return (
        HEAD
        + "\n## Dimensions\n\n"
        + table(("dimension", "meaning"), dimensions)
        + "\n## Variables\n\nIn units, e is the electron.\n\n"
        + table(("variable", "dimensions", "type", "unit", "meaning"), variables)
        + "\n## Flags\n"
        + "".join(bits(flags) for flags in enumerations)
    )


if __name__ == "__main__":
    PAGE.write_text(render())
