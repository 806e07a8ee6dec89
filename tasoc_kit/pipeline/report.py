"""The result record of a notebook: what it made, declared by the notebook itself.

``report(product)`` is the last line of a notebook. A person sees a short table; the runner reads
the same record by its MIME type from the executed notebook, never from the position of a cell.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from tasoc_kit import store
from tasoc_kit.errors import NotebookError

if TYPE_CHECKING:
    import nbformat

__all__ = ["MIME", "Report", "read_report", "report"]

MIME = "application/vnd.tasoc.report+json"


@dataclass(frozen=True)
class Report:
    """What one notebook made."""

    product: str
    """Name of the product; empty for a notebook that only shows."""
    unit: str
    """Sector, camera, CCD and field, as in the store."""
    id: str
    """Provenance id of the product, or of the page."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """A few numbers that a person wants to see."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Show the record as a table, and declare it to the runner."""
        rows = {"product": self.product, "unit": self.unit, "id": self.id} | dict(self.summary)
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(str(name))}</th>"
            f"<td style='text-align:left'>{html.escape(_text(value))}</td></tr>"
            for name, value in rows.items()
        )
        plain = "\n".join(f"{name}: {_text(value)}" for name, value in rows.items())
        return {MIME: asdict(self), "text/html": f"<table>{cells}</table>", "text/plain": plain}


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Return a JSON value for what a notebook may hand over; NaN becomes None."""
    if isinstance(value, xr.DataArray | np.ndarray | np.generic):
        value = np.asarray(value).item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def report(made: xr.Dataset, **summary: Any) -> Report:
    """
    Declare what a notebook made.

    Parameters
    ----------
    made
        The product, as the step returned it or as it was opened. For a page that makes none, the
        product that it shows.
    summary
        Scalars worth a line each.
    """
    attrs = made.attrs
    values = {name: _plain(value) for name, value in summary.items()}
    product = str(attrs.get("product", ""))
    return Report(product, store.product_unit(made), str(attrs.get("provenance_id", "")), values)


def read_report(stem: str, executed: nbformat.NotebookNode) -> Report:
    """
    Return the record that an executed notebook declares.

    Raises
    ------
    NotebookError
        If it declares none or more than one.
    """
    found = [
        output.data[MIME]
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if MIME in output.get("data", {})
    ]
    if len(found) != 1:
        raise NotebookError(
            f"{stem}: {len(found)} result records; expected one. "
            "End the notebook with one 'tk.report(product)' as the last line of a cell."
        )
    return Report(**found[0])
