"""The validation of a CCD in figures: noise, apertures, contamination and flux against magnitude, and bits.

All figures draw from one table, which is sent to a browser once however many figures show it.
"""

from __future__ import annotations

import html
from typing import Any

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr
from bokeh.models import CDSView, ColumnDataSource, HoverTool, IndexFilter

from tasoc_kit.numerics import validation_limits as limits
from tasoc_kit.numerics.detector import ZERO_POINT
from tasoc_kit.numerics.noise import aperture_pixels
from tasoc_kit.numerics.statistics import MAD_TO_SIGMA
from tasoc_kit.plots.ccd import star_source
from tasoc_kit.plots.noise import noise_model
from tasoc_kit.plots.theme import GOOD, MODEL, MUTED, SELECTED, series_options
from tasoc_kit.vocabulary import Dataval, Status, Verdict, flag_names

__all__ = [
    "FIGURES",
    "apertures_by_magnitude",
    "badge",
    "bits_of_stars",
    "change_of_noise",
    "contamination_by_magnitude",
    "flux_by_magnitude",
    "noise_by_magnitude",
    "overlap_table",
    "validation",
    "validation_figures",
    "validation_source",
    "validation_table",
    "verdict_table",
]

DRAWN = 10_000
"""Of more stars than these every second is drawn, or fewer: seven figures are in view at once."""
_LIMIT, _FOUND = MODEL["total"], MODEL["read-out"]
_TICKS = [m * 10**k for k in range(5) for m in (1, 2, 5)]
_BINS = 24
_DECADES = 2.0
"""A logarithmic axis over fewer decades than these has ticks between the powers of ten."""
_BADGES = {
    Verdict.PASS: ("✓", "#1b7a4b"),
    Verdict.WARN: ("!", "#8a5a00"),
    Verdict.FAIL: ("✕", "#b3261e"),
    Verdict.NOT_DONE: ("–", "#5a6672"),
}


def validation_table(validation: xr.Dataset) -> pd.DataFrame:
    """
    Return the stars that have a light curve, in the units of the figures.

    Parameters
    ----------
    validation
        The product.

    Returns
    -------
    A row a star, by its number in the product: ``tic``, ``tmag``, noise in ppm as measured and with the best
    correction (``hour``, ``hour_best``, ``cadence``, ``cadence_best``), ``change`` of the hourly noise,
    ``pixels``, ``contamination`` in per cent, ``flux``; its bits in words (``group``), and a ``colour``.
    """
    of = {str(name): variable.values for name, variable in validation.variables.items()}
    white = 1e6 * MAD_TO_SIGMA / np.sqrt(2)
    change = np.divide(of["rms_hour_best"], of["rms_hour"], where=of["rms_hour"] > 0,
                       out=np.full(of["tmag"].shape, np.nan, np.float32))  # fmt: skip
    names = {bits: _words(bits) for bits in np.unique(of["dataval"])}
    stars = pd.DataFrame(
        {
            "tic": of["tic"], "tmag": of["tmag"], "row": of["star_row"], "column": of["star_column"],
            "hour": 1e6 * of["rms_hour"], "hour_best": 1e6 * of["rms_hour_best"],
            "cadence": white * of["ptp"], "cadence_best": white * of["ptp_best"], "change": change,
            "pixels": of["row_size"].astype(float), "contamination": 100 * of["contamination"],
            "flux": of["mean_flux"], "group": [names[bits] for bits in of["dataval"]],
            "colour": np.where(of["approved"], GOOD, SELECTED), "approved": of["approved"],
        }
    )  # fmt: skip
    return stars[np.isin(of["status"], (Status.OK, Status.WARNING)) & np.isfinite(of["tmag"])]


def validation_source(stars: pd.DataFrame) -> ColumnDataSource:
    """Return the table that all figures of a page draw from; of very many stars some."""
    return star_source(stars.iloc[:: max(1, -(-len(stars) // DRAWN))].drop(columns="approved"))


def _words(bits: int) -> str:
    names = flag_names(int(bits), Dataval)
    return ", ".join(name.replace("_", " ").lower() for name in names) or "no bits"


def _stars(
    source: ColumnDataSource, y: str, label: str, colour: str | None = None, only: np.ndarray | None = None
) -> hv.Scatter:
    """Return the points of a figure; they draw from the table, and the legend answers to them."""
    hover = HoverTool(tooltips=[("TIC", "@tic{0}"), ("Tmag", "@tmag{0.00}"), ("", f"@{y}{{0,0.[000]}}"),
                                ("", "@group")])  # fmt: skip

    def from_table(plot: Any, element: Any) -> None:
        marks = plot.handles["glyph_renderer"]
        if marks.data_source is source:
            return
        marks.data_source = source
        if only is not None:
            marks.view = CDSView(filter=IndexFilter(np.flatnonzero(only).tolist()))
        for look in (marks.glyph, marks.muted_glyph, marks.nonselection_glyph, marks.selection_glyph):
            if hasattr(look, "x"):
                look.update(x="tmag", y=y)

    return hv.Scatter([(np.nan, np.nan)], kdims=["tmag"], vdims=[y], label=label).opts(
        fill_color=colour or GOOD, line_color=None, size=5, alpha=0.55, hooks=[from_table], tools=[hover]
    )


def _both(source: ColumnDataSource, y: str) -> list[hv.Scatter]:
    """Return approved and other stars in two colours."""
    good = np.array(source.data["colour"]) == GOOD
    return [
        _stars(source, y, "approved", GOOD, good),
        _stars(source, y, "not approved", SELECTED, ~good),
    ]


def _limits(values: Any, log: bool) -> tuple[float, float]:
    """Return a range with nearly all values and a margin; 1 to 10 where there is none."""
    values = np.asarray(values, float)
    known = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not known.size:
        return 1.0, 10.0
    low, high = (float(np.percentile(known, share)) for share in (0.1, 99.9))
    if log:
        return low / 1.5, high * 1.5
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def _figure(
    layers: list[Any], stars: pd.DataFrame, y: list[str], title: str, *, log: bool = True, **options: Any
) -> hv.Overlay:
    low, high = _limits(stars[y], log)
    looks: dict[str, Any] = {"ylim": (low, high), "logy": log}
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    if log and ticks and np.log10(high / low) < _DECADES:
        looks["yticks"] = ticks
    return hv.Overlay(layers).opts(
        xlabel="TESS magnitude", ylabel=title, xlim=_limits(stars["tmag"], False),
        **series_options(**({"height": 330, "columns": 3} | looks | options)),
    )  # fmt: skip


def _grid(stars: pd.DataFrame) -> np.ndarray:
    return np.linspace(*_limits(stars["tmag"], False), 200)


def _line(x: np.ndarray, y: np.ndarray, name: str, label: str, **look: Any) -> hv.Curve:
    style = {"color": _LIMIT, "line_width": 2, "line_dash": "dashed"} | look
    return hv.Curve((x, y), kdims=["tmag"], vdims=[name], label=label).opts(**style)


def _median(stars: pd.DataFrame, name: str) -> hv.Curve:
    """Return the running median along magnitude."""
    edges = np.linspace(*_limits(stars["tmag"], False), _BINS + 1)
    bins = np.digitize(stars["tmag"], edges)
    grouped = stars.groupby(bins)[["tmag", name]].median().dropna()
    x, y = (grouped[column].to_numpy(float) for column in ("tmag", name))
    return _line(x, y, name, "median", line_dash="solid", color=_FOUND, line_width=2.2)


def noise_by_magnitude(
    validation: xr.Dataset,
    stars: pd.DataFrame,
    source: ColumnDataSource,
    *,
    of: str = "hour",
    **options: Any,
) -> hv.Overlay:
    """
    Draw the noise of every star as measured and with its best correction, over what the model expects.

    Parameters
    ----------
    validation, stars, source
        The product, and as of ``validation_table`` and ``validation_source``.
    of
        ``hour``: the scatter of hourly means; ``cadence``: from cadence to cadence.
    options
        Of the figure.
    """
    attrs = validation.attrs
    seconds = attrs["exposure"] * (1 if of == "cadence" else 3600 / attrs["cadence"])
    grid = _grid(stars)
    model = noise_model(grid[-1], grid[0], seconds, float(attrs["ecliptic_latitude"]))
    title = "noise of one hour (ppm)" if of == "hour" else "noise of one exposure (ppm)"
    layers = [
        _stars(source, of, "as measured", MUTED),
        _stars(source, f"{of}_best", "with the best correction", GOOD),
        *(curve.relabel(curve.label).redim(ptp=of) for curve in model),
    ]
    return _figure(layers, stars, [of, f"{of}_best"], title, **options)


def apertures_by_magnitude(stars: pd.DataFrame, source: ColumnDataSource, **options: Any) -> hv.Overlay:
    """Draw the pixels of every aperture between the limits; parameters as of ``noise_by_magnitude``."""
    grid = _grid(stars)
    layers = [
        *_both(source, "pixels"),
        _line(grid, limits.smallest_mask(grid), "pixels", "limits"),
        _line(grid, limits.largest_mask(grid), "pixels", "limits"),
        _line(grid, aperture_pixels(grid), "pixels", "noise model", color=MUTED, line_dash="dotted"),
    ]
    return _figure(layers, stars, ["pixels"], "pixels of the aperture", **options)


def contamination_by_magnitude(stars: pd.DataFrame, source: ColumnDataSource, **options: Any) -> hv.Overlay:
    """Draw the light of other stars in every aperture; parameters as of ``noise_by_magnitude``."""
    grid = _grid(stars)
    limit = 100 * limits.high_contamination(grid)
    layers = [*_both(source, "contamination"), _line(grid, limit, "contamination", "limit")]
    whole = {"log": False, "ylim": (-4, 104)}
    return _figure(layers, stars, ["contamination"], "light of other stars (%)", **(whole | options))


def flux_by_magnitude(
    validation: xr.Dataset, stars: pd.DataFrame, source: ColumnDataSource, **options: Any
) -> hv.Overlay:
    """Draw the flux of every star, with the zero point; parameters as of ``noise_by_magnitude``."""
    grid, point = _grid(stars), float(validation["zero_point"])
    layers = [*_both(source, "flux"), _line(grid, limits.lowest_flux(grid), "flux", "lowest")]
    for value, label, look in (
        (ZERO_POINT, f"{ZERO_POINT} mag, TASOC", {"color": MUTED, "line_dash": "dotted"}),
        (point, f"{point:.3f} mag, found", {"color": _FOUND, "line_dash": "solid"}),
    ):
        if np.isfinite(value):
            layers.append(_line(grid, 10 ** (-0.4 * (grid - value)), "flux", label, **look))
    return _figure(layers, stars, ["flux"], "median flux (e⁻/s)", **options)


def change_of_noise(stars: pd.DataFrame, source: ColumnDataSource, **options: Any) -> hv.Overlay:
    """Draw what corrections made of the noise of one hour; parameters as of ``noise_by_magnitude``."""
    grid = _grid(stars)
    layers = [
        *_both(source, "change"),
        _line(grid, np.ones(grid.size), "change", "unchanged", color=MUTED),
        _median(stars, "change"),
    ]
    title = "corrected over as measured"
    return _figure(layers, stars, ["change"], title, **({"log": False} | options))


def bits_of_stars(validation: xr.Dataset, **options: Any) -> hv.Bars:
    """Draw how many stars have which bit; those in red keep a light curve from being approved."""
    bits = validation["dataval"].values
    counts = {
        flag: int(((bits & flag.value) != 0).sum())
        for flag in reversed(Dataval)
        if ((bits & flag.value) != 0).any()
    }
    table = pd.DataFrame(
        {
            "bit": [_words(flag) for flag in counts] or ["no bits"],
            "stars": list(counts.values()) or [0],
            "colour": [_LIMIT if flag & limits.REJECTING else MUTED for flag in counts] or [MUTED],
        }
    )
    return hv.Bars(table, kdims=["bit"], vdims=["stars", "colour"]).opts(
        ylim=(0, 1.05 * max(1, table["stars"].max())),
        invert_axes=True, color="colour", line_color=None, tools=["hover"], xlabel="", ylabel="stars",
        **series_options(**({"height": 90 + 26 * len(table), "show_grid": False} | options)),
    )  # fmt: skip


FIGURES = {
    "hour": "Noise of one hour",
    "cadence": "Noise from cadence to cadence",
    "change": "What corrections made of it",
    "flux": "Flux and zero point",
    "pixels": "Pixels of the apertures",
    "contamination": "Contamination",
    "bits": "Bits of the stars",
}
"""Figures of a validation → their titles."""


def validation_figures(
    validation: xr.Dataset, stars: pd.DataFrame, source: ColumnDataSource
) -> dict[str, Any]:
    """Return all figures of a validation by their names in ``FIGURES``; they share one table."""
    return {
        "hour": noise_by_magnitude(validation, stars, source),
        "cadence": noise_by_magnitude(validation, stars, source, of="cadence"),
        "change": change_of_noise(stars, source),
        "flux": flux_by_magnitude(validation, stars, source),
        "pixels": apertures_by_magnitude(stars, source),
        "contamination": contamination_by_magnitude(stars, source),
        "bits": bits_of_stars(validation),
    }


def validation(validation: xr.Dataset, *names: str) -> hv.Layout:
    """
    Draw figures of a validation, two in a row.

    Parameters
    ----------
    validation
        The product.
    names
        Of ``FIGURES``; by default all.
    """
    stars = validation_table(validation)
    drawn = validation_figures(validation, stars, validation_source(stars))
    chosen = [drawn[name].opts(title=FIGURES[name]) for name in names or FIGURES]
    return hv.Layout(chosen).cols(2).opts(shared_axes=False)


def badge(verdict: int) -> str:
    """Return the markup of a verdict: a sign, a word and a colour."""
    sign, colour = _BADGES[Verdict(verdict)]
    word = Verdict(verdict).name.replace("_", " ").lower()
    return (
        f"<span style='background:{colour};color:#fff;border-radius:999px;padding:0.15em 0.7em;"
        f"white-space:nowrap;font-weight:600'>{sign} {word}</span>"
    )


def verdict_table(validation: xr.Dataset) -> str:
    """Return the markup of the checks: verdict, what is checked, value, limits, what was found."""
    rows = []
    for name in validation["check"].values:
        one, check = validation.sel(check=name), limits.CHECKS[str(name)]
        value, warn, fail = (float(one[f"check_{of}"]) for of in ("value", "warn", "fail"))
        rows.append(
            f"<td>{badge(int(one['check_verdict']))}</td><td>{html.escape(check.title)}</td>"
            f"<td>{value:.3f}</td>".replace(">nan<", ">–<")
            + f"<td title='{html.escape(check.source, quote=True)}'>{warn:g} / {fail:g}</td>"
            "<td style='white-space:normal;min-width:16em'>"
            f"{html.escape(str(one['check_reason'].values))}</td>"
        )
    return _table("Checks", ("verdict", "check", "value", "warns / fails from", "what was found"), rows)


def overlap_table(validation: xr.Dataset) -> str:
    """Return the markup of the other CCDs that see the same stars; empty where none was compared."""
    if "overlap_camera" not in validation:
        return ""
    names = ("camera", "ccd", "stars", "flux", "rms")
    columns = [validation[f"overlap_{name}"].values for name in names]
    rows = [
        f"<td>camera {camera}, CCD {ccd}</td><td>{stars:,}</td><td>{flux:.3f}</td><td>{rms:.2f}</td>"
        for camera, ccd, stars, flux, rms in zip(*columns, strict=True)
    ]
    head = ("other CCD", "stars in common", "flux here / there", "noise of one hour here / there")
    return _table("Other CCDs", head, rows)


def _table(label: str, head: tuple[str, ...], rows: list[str]) -> str:
    titles = "".join(f"<th scope='col'>{title}</th>" for title in head)
    return (
        f"<div role='region' aria-label='{label}' tabindex='0' style='overflow-x:auto'>"
        f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody>"
        "</table></div>"
    )
