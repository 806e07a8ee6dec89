"""The light curve of one star, with the cadences that its flags set apart.

A flagged span is shaded over the whole height and named; its points stay, in grey.
"""

from __future__ import annotations

from enum import IntFlag

import holoviews as hv
import numpy as np
import pandas as pd
import xarray as xr
from bokeh.models import HoverTool, NumeralTickFormatter

from tasoc_kit.errors import StepInputError
from tasoc_kit.plots.shown_star import no_star
from tasoc_kit.plots.theme import FLAG_COLOURS, GOOD, MUTED, series_options
from tasoc_kit.sources.frame_reader import read_frames
from tasoc_kit.vocabulary import DEFAULT_BAD_BITS, DEFAULT_BAD_KIT_BITS, KitQuality, TessQuality, flag_names

__all__ = [
    "find_star",
    "flag_spans",
    "light_curve",
    "one_star",
    "parts",
    "pixel_series",
    "quality_spans",
    "series",
]

_NUMBERS = NumeralTickFormatter(format="0,0.[0000]")
_QUANTITIES = {
    "flux": "flux (e⁻/s)",
    "background": "sky in the aperture (e⁻/s)",
    "centroid_row": "centroid row (pix)",
    "centroid_column": "centroid column (pix)",
}


def find_star(stars: xr.Dataset, tic: int) -> int:
    """
    Return the index of a star.

    Raises
    ------
    StepInputError
        If the Dataset has no star with this TIC number.
    """
    found = np.flatnonzero(stars["tic"].values == int(tic))
    if found.size == 0:
        raise StepInputError(
            f"find_star: no TIC {tic} among {stars.sizes['star']} stars; expected one on this CCD. "
            f"Run 'tasoc where {tic}' to see where it was observed."
        )
    return int(found[0])


def one_star(
    light_curves: xr.Dataset,
    star: int,
    *,
    quantity: str | None = None,
    bad_bits: int = DEFAULT_BAD_BITS,
) -> pd.DataFrame:
    """
    Return one star's light curve as a table, one row per cadence.

    Parameters
    ----------
    light_curves
        The product, (star, time).
    star
        Index of the star.
    quantity
        Read no more (star, time) variables than it takes to draw this one; by default all.
    bad_bits
        TESS bits of a cadence that is set apart.

    Returns
    -------
    ``time``, ``cadenceno``, every (star, time) variable, ``quality``, ``frame_quality``, ``flags``
    (names of all bits) and ``good``: finite and without a bad bit, of the mission or our own.
    """
    names = [
        n
        for n, v in light_curves.variables.items()
        if v.dims == ("time",)
        or (
            set(v.dims) == {"star", "time"} and (quantity is None or n in (quantity, "flux", "pixel_quality"))
        )
    ]
    one = light_curves[[n for n in names if n != "time"]].isel(star=star).compute()
    table = pd.DataFrame({str(n): one[n].values for n in one.variables if one[n].dims == ("time",)})
    table = table[["time", *[n for n in table.columns if n != "time"]]]
    return _with_flags(table, "flux", bad_bits)


def pixel_series(
    cube: xr.Dataset, row: int, column: int, *, bad_bits: int = DEFAULT_BAD_BITS
) -> pd.DataFrame:
    """
    Return one pixel of a cube along time, as ``one_star`` returns a star.

    Only the rows that hold the pixel are read, not the frames.

    Raises
    ------
    StepInputError
        If the cube has no such row or column.
    """
    place = {"row": row, "column": column}
    for name, label in place.items():
        labels = cube[name].values
        if label not in labels:
            raise StepInputError(
                f"pixel_series: {name}={label}; expected {labels[0]} to {labels[-1]}. "
                "Give a pixel of this cube."
            )
    one = read_frames(cube.sel({name: slice(label, label) for name, label in place.items()}))
    names = [n for n in ("time", "cadenceno", "quality", "frame_quality") if n in cube.variables]
    table = pd.DataFrame({n: cube[n].values for n in names} | {"flux": one["flux"].ravel()})
    return _with_flags(table, "flux", bad_bits)


def _with_flags(table: pd.DataFrame, quantity: str, bad_bits: int) -> pd.DataFrame:
    """Return the table with the names of its flags and which cadences are good."""
    mission = _bits(table, "quality")
    ours = _bits(table, "frame_quality") | _bits(table, "pixel_quality")
    # few of the many cadences differ in their flags
    both, which = np.unique(np.column_stack([mission, ours]), axis=0, return_inverse=True)
    words = [", ".join(flag_names(int(t), TessQuality) + flag_names(int(k), KitQuality)) for t, k in both]
    good = (
        ((mission & bad_bits) == 0)
        & ((ours & DEFAULT_BAD_KIT_BITS) == 0)
        & np.isfinite(table[quantity].to_numpy())
    )
    return table.assign(flags=np.array(words, dtype=object)[which.ravel()], good=good)


def _bits(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].to_numpy(dtype=np.int64) if name in table else np.zeros(len(table), np.int64)


def flag_spans(time: np.ndarray, bits: np.ndarray, flags: type[IntFlag]) -> dict[str, np.ndarray]:
    """
    Return the spans of time in which each flag is set.

    Parameters
    ----------
    time
        (time,) mid-exposures, rising.
    bits
        (time,) flags of each cadence.
    flags
        What the bits mean.

    Returns
    -------
    Name of a flag → (spans, 2): start and end, half a cadence beyond its first and last frame.
    """
    if time.size == 0:
        return {}
    half = 0.5 * float(np.median(np.diff(time))) if time.size > 1 else 0.01
    spans = {}
    for flag in flags:
        is_set = np.concatenate([[False], (bits & flag.value) == flag.value, [False]]) if flag.value else None
        if is_set is None or not is_set.any():
            continue
        turns = np.flatnonzero(np.diff(is_set.astype(np.int8)))
        spans[str(flag.name)] = np.column_stack([time[turns[::2]] - half, time[turns[1::2] - 1] + half])
    return spans


def _colour(flag: str) -> str:
    """Return a flag's colour, the same in every figure."""
    known = [f.name for f in TessQuality] + [f.name for f in KitQuality]
    return FLAG_COLOURS[known.index(flag) % len(FLAG_COLOURS)]


def quality_spans(
    time: np.ndarray, quality: np.ndarray, kit_quality: np.ndarray | None = None
) -> list[hv.VSpans]:
    """
    Draw flagged spans of time, one named colour per flag.

    Parameters
    ----------
    time
        (time,) BTJD.
    quality
        (time,) TESS bits.
    kit_quality
        (time,) our bits.
    """
    spans = flag_spans(time, quality, TessQuality)
    if kit_quality is not None:
        spans |= {f"{name} ": s for name, s in flag_spans(time, kit_quality, KitQuality).items()}
    return [
        hv.VSpans(
            (s[:, 0], s[:, 1]), kdims=["time", "until"], label=name.strip().replace("_", " ").lower()
        ).opts(color=_colour(name.strip()), alpha=0.18, line_alpha=0.0)
        for name, s in spans.items()
    ]


def parts(
    table: pd.DataFrame, quantity: str = "flux", *, relative: bool = False
) -> tuple[dict[str, pd.DataFrame], str, tuple[float, float]]:
    """
    Return what a figure of one quantity along time shows.

    Parameters
    ----------
    table
        As of ``one_star``.
    quantity
        A column of the table.
    relative
        As parts per million about the median of the good cadences.

    Returns
    -------
    The cadences that are ``set apart`` and the ``good`` ones; the name of the axis with its unit; the
    range that holds the good ones: a cadence in scattered light must not flatten the others.
    """
    shown = table[["time", quantity, "cadenceno", "flags", "good"]].copy()
    axis = _QUANTITIES.get(quantity, quantity)
    if relative:
        level = shown.loc[shown["good"], quantity].median()
        shown[quantity] = 1e6 * (shown[quantity] / level - 1.0)
        axis = f"{quantity} (ppm about the median)"
    finite = shown[np.isfinite(shown[quantity])]
    split = {"set apart": finite[~finite["good"]], "good": finite[finite["good"]]}
    limits = split["good"] if len(split["good"]) else finite
    low, high = (limits[quantity].min(), limits[quantity].max()) if len(limits) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 1.0
    return split, axis, (float(low - margin), float(high + margin))


def series(
    table: pd.DataFrame,
    quantity: str = "flux",
    *,
    relative: bool = False,
    spans: list[hv.VSpans] | None = None,
) -> hv.Overlay:
    """
    Draw one quantity along time: good cadences in blue, the others in grey.

    Parameters
    ----------
    table
        As of ``one_star``.
    quantity
        A column of the table.
    relative
        As parts per million about the median of the good cadences.
    spans
        Flagged spans to draw below, as of ``quality_spans``.
    """
    split, axis, limits = parts(table, quantity, relative=relative)
    hover = HoverTool(
        tooltips=[
            ("cadence", "@cadenceno"),
            ("BTJD", "@time{0.0000}"),
            (quantity, f"@{quantity}{{0,0.00}}"),
            ("flags", "@flags"),
        ]
    )
    value = hv.Dimension(quantity, label=axis)
    layers = []
    for label, (colour, size, alpha) in {"set apart": (MUTED, 3, 0.55), "good": (GOOD, 4, 0.9)}.items():
        points = hv.Scatter(split[label], kdims=["time"], vdims=[value, "cadenceno", "flags"], label=label)
        layers.append(points.opts(color=colour, size=size, alpha=alpha, tools=[hover], framewise=True))
    drawn = hv.Overlay([*(spans or []), *layers])
    return drawn.opts(xlabel="time (BTJD)", ylabel=axis, ylim=limits, yformatter=_NUMBERS)


def light_curve(
    light_curves: xr.Dataset,
    star: int = 0,
    *,
    tic: int | None = None,
    quantity: str = "flux",
    relative: bool = False,
    bad_bits: int = DEFAULT_BAD_BITS,
    title: str | None = None,
) -> hv.Overlay:
    """
    Draw the light curve of one star over its flagged spans.

    Parameters
    ----------
    light_curves
        The product, (star, time); without any star the figure says so.
    star, tic
        Which star: by index, or by TIC number.
    quantity
        ``flux``, ``background``, ``centroid_row`` or ``centroid_column``.
    relative
        As parts per million about the median of the good cadences.
    bad_bits
        TESS bits of a cadence that is set apart.
    title
        By default the TIC number and the magnitude.
    """
    star = star if tic is None else find_star(light_curves, tic)
    if not light_curves.sizes["star"]:
        return no_star()
    table = one_star(light_curves, star, bad_bits=bad_bits)
    if title is None:
        title = f"TIC {int(light_curves['tic'][star])} · Tmag {float(light_curves['tmag'][star]):.2f}"
    ours = table["frame_quality"].to_numpy() if "frame_quality" in table else None
    spans = quality_spans(table["time"].to_numpy(), _bits(table, "quality"), ours)
    drawn = series(table, quantity, relative=relative, spans=spans)
    return drawn.opts(title=title, **series_options())
