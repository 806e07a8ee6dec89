"""The validation of a CCD as one HTML file, which opens without a network and without this program."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any

import holoviews as hv
import xarray as xr
from bokeh.embed import components
from bokeh.resources import Resources

from tasoc_kit.errors import StoreError
from tasoc_kit.exports.exported_file import exported_file, refuse_to_lose
from tasoc_kit.plots.frame import title_of
from tasoc_kit.plots.validation import (
    FIGURES,
    badge,
    overlap_table,
    validation_figures,
    validation_source,
    validation_table,
    verdict_table,
)
from tasoc_kit.storage.units import ProductRef
from tasoc_kit.store import open_ref
from tasoc_kit.vocabulary import Verdict

__all__ = ["validation_markup", "write_validation"]

_ENDINGS = (".html", ".htm")
_SCRIPTS = Resources(mode="inline", components=["bokeh", "bokeh-gl"])
"""All that the figures need, to stand in the file itself."""

_STYLE = """
body { margin: 0; background: #f5f7f9; color: #1b2430; font: 14px/1.5 Roboto, "Segoe UI", sans-serif; }
header { background: #174b6d; color: #fff; padding: 0.7rem 1.4rem; font-weight: 600; }
main { max-width: 1400px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.35rem; font-weight: 600; margin: 0 0 0.6rem; letter-spacing: -0.01em; }
h2 { font-size: 0.95rem; font-weight: 600; margin: 0 0 0.4rem; }
section { background: #fff; border: 1px solid rgba(27, 36, 48, 0.14); border-radius: 10px; padding: 1rem;
  margin: 0.5rem; min-width: 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); }
table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.3rem 1.1rem 0.3rem 0; white-space: nowrap;
  border-bottom: 1px solid rgba(27, 36, 48, 0.14); }
.soft { opacity: 0.78; font-size: 0.88rem; } .verdict { font-size: 1.05rem; }
code { font-family: "Roboto Mono", "DejaVu Sans Mono", monospace; font-size: 0.86em; }
@media print { section { break-inside: avoid; } }
"""

_FIT = """
// A legend has as many columns as there is room for.
window.addEventListener("load", () => {
  const fit = () => {
    for (const root of Bokeh.documents.flatMap((open) => open.roots())) {
      const view = Bokeh.index.get(root)
      for (const legend of view?.children_views().filter((child) => child.model.ncols !== undefined) ?? []) {
        const items = [...legend.shadow_el.querySelectorAll(".bk-item")]
        const widest = Math.max(...items.map((item) => item.getBoundingClientRect().width))
        if (!(widest > 0)) continue
        const columns = Math.floor(root.inner_width / (widest + 8))
        legend.model.ncols = Math.max(1, Math.min(columns, items.length))
      }
    }
  }
  // figures follow the window a moment later
  new ResizeObserver(() => setTimeout(fit, 150)).observe(document.querySelector("main"))
})
"""


def write_validation(ref: ProductRef, path: str | os.PathLike[str], *, overwrite: bool = False) -> Verdict:
    """
    Write the validation of a CCD as an HTML file, and return the verdict.

    The file holds the checks and the figures with all that these need, so that it can be sent, kept and read
    anywhere.

    Parameters
    ----------
    ref
        The ``validation`` product.
    path
        A ``.html`` file.
    overwrite
        Replace a file that is there.

    Raises
    ------
    StoreError
        If the ending is another, or the file is there.
    """
    target = Path(path)
    if not target.name.endswith(_ENDINGS):
        raise StoreError(
            f"export: {target.name} is no HTML file; expected a name that ends in .html. Choose another."
        )
    refuse_to_lose(target, overwrite)
    product = open_ref(ref).load()
    text = validation_markup(product)
    with exported_file(target) as part:
        part.write_text(text, encoding="utf-8")
    return Verdict(int(product["verdict"]))


def validation_markup(product: xr.Dataset) -> str:
    """Return the page of a validation, scripts and data included."""
    stars = validation_table(product)
    source = validation_source(stars)
    figures = validation_figures(product, stars, source)
    script, places = components({name: _bokeh(figure) for name, figure in figures.items()})
    title = f"Validation · {title_of(product)}"
    shown = "".join(
        f"<section><h2>{html.escape(FIGURES[name])}</h2>{place}</section>" for name, place in places.items()
    )
    # what other libraries add to the resources is asked from the network, and none of it is needed
    scripts = "".join(f"<script>{text}</script>" for text in _SCRIPTS.js_raw)
    others = overlap_table(product)
    others = f"<section><h2>Other CCDs of the sector</h2>{others}</section>" if others else ""
    identity = html.escape(str(product.attrs.get("provenance_id", "")))
    drawn = len(source.data["tmag"])
    some = f" The figures show {drawn:,} of them." if drawn < len(stars) else ""
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>{scripts}</head><body>"
        f"<header>tasoc_kit</header><main><section><h1>{html.escape(title)}</h1>"
        f"<p class='verdict'>{badge(int(product['verdict']))} {html.escape(str(product.attrs['reason']))}</p>"
        f"<p class='soft'>{int(product['approved'].sum()):,} of {len(stars):,} light curves are approved."
        f"{some} Product <code>{identity}</code></p></section>"
        f"<section><h2>Checks</h2>{verdict_table(product)}</section>{others}"
        f"<div class='figures'>{shown}</div></main>"
        f"{script}<script>{_FIT}</script></body></html>"
    )


def _bokeh(figure: Any) -> Any:
    drawn = hv.renderer("bokeh").get_plot(figure).state
    drawn.sizing_mode = "stretch_width"
    return drawn
