"""The executed notebook of a run, as a page in a page that can reach neither this one nor the network."""

from __future__ import annotations

import html
import json
import math
from typing import Any

import nbformat

from tasoc_kit.errors import NotebookError

__all__ = ["facts_of", "log_frame", "log_markup"]

MOST_BYTES = 40_000_000
"""A larger log is not sent to a browser."""
_POLICY = (
    "default-src 'none'; img-src data: blob:; media-src data: blob:; font-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:"
)
_STYLE = """
body { margin: 0; padding: 4px 10px; font: 14px/1.5 Roboto, 'DejaVu Sans', sans-serif; overflow-x: auto;
  background: #fff; color: #1b2733; }
pre { font: 12.5px/1.45 'Roboto Mono', 'DejaVu Sans Mono', monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: 0.3rem 0; }
div.input_area, .highlight, .jp-InputArea pre { background: #f2f5f7; border-radius: 6px;
  padding: 0.3rem 0.7rem; }
.prompt, .jp-InputPrompt, .jp-OutputPrompt { color: #52616f; font-size: 11px; }
img { max-width: 100%; } table { border-collapse: collapse; font-size: 13px; }
th, td { padding: 0.15rem 0.8rem 0.15rem 0; text-align: left; }
"""


def read_executed(text: bytes) -> Any:
    """Return an executed notebook; raise NotebookError where it is none."""
    try:
        return nbformat.reads(text.decode(), as_version=4)
    except (ValueError, nbformat.ValidationError, AttributeError, KeyError) as error:
        raise NotebookError(
            f"log: it is not a notebook ({str(error)[:80]}); expected nbformat 4. Run the notebook again."
        ) from None


def facts_of(text: bytes) -> dict[str, Any]:
    """Return what papermill noted in an executed notebook: parameters, start and duration (s)."""
    try:
        noted = json.loads(text)["metadata"]["papermill"]
    except (ValueError, TypeError, KeyError):
        noted = {}
    return {name: noted.get(name) for name in ("parameters", "start_time", "duration")}


def log_markup(text: bytes) -> str:
    """
    Return an executed notebook as one page of HTML that asks nothing of the network.

    Parameters
    ----------
    text
        The notebook. What it shows may be anything, so it is for a frame like that of ``log_frame``.

    Raises
    ------
    NotebookError
        If it is no notebook, or larger than a browser takes.
    """
    if len(text) > MOST_BYTES:
        raise NotebookError(
            f"log: {len(text) / 1e6:,.0f} MB; expected at most {MOST_BYTES / 1e6:,.0f} on a page. "
            "Open it in JupyterLab."
        )
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic", mathjax_url="", require_js_url="", jquery_url="", exclude_anchor_links=True,
        exclude_input_prompt=True, exclude_output_prompt=True,
    )  # fmt: skip
    executed = read_executed(text)
    for cell in (cell for cell in executed.cells if cell.cell_type == "code"):
        # one without data would be warned of
        cell.outputs = [output for output in cell.outputs if output.get("data", True)]
    body, _ = exporter.from_notebook_node(executed)
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Log</title>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )


def log_frame(page: str, height: int = 640) -> str:
    """Return the markup of a frame in which a page has no origin: its scripts reach nothing of ours."""
    style = f"width: 100%; height: {math.ceil(height)}px; border: 0; border-radius: 6px; background: #fff"
    return (
        "<iframe title='The executed notebook' sandbox='allow-scripts' referrerpolicy='no-referrer' "
        f"style='{style}' "
        f'srcdoc="{html.escape(page, quote=True)}"></iframe>'
    )
