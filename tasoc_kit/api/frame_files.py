"""One frame as a file: FITS with its plate solution, or a picture."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from astropy.io import fits
from bokeh import palettes
from PIL import Image

from tasoc_kit.api.staged_frames import Staged
from tasoc_kit.numerics.clock import BTJD_ZERO, DAY, utc_from_btjd
from tasoc_kit.plots.stretch import make_stretch

__all__ = ["as_fits", "as_png"]


def as_fits(staged: Staged) -> bytes:
    """Return a frame as a FITS image, with the plate solution that its raw frame has."""
    header = fits.Header()
    if staged.wcs:
        header.update(fits.Header.fromstring(staged.wcs, sep="\n" if "\n" in staged.wcs else ""))
        # The solution counts pixels of the whole frame from 1.
        row, column = staged.first
        header["CRPIX1"] -= column
        header["CRPIX2"] -= row
    for keyword, value, told in _cards(staged):
        header[keyword] = (value, told)
    sink = io.BytesIO()
    fits.PrimaryHDU(staged.flux, header).writeto(sink, checksum=True)
    return sink.getvalue()


def _cards(staged: Staged) -> Iterator[tuple[str, Any, str]]:
    """Yield what a frame is, in the words of SPOC; a header has no NaN, so what is not known is empty."""
    attrs = staged.attrs
    yield "TELESCOP", "TESS", "telescope"
    yield "INSTRUME", "TESS Photometer", "detector type"
    for name in ("sector", "camera", "ccd"):
        yield name.upper(), int(attrs.get(name, 0)), f"{name} number"
    yield "CADENCE", staged.cadenceno, "cadence number"
    yield "DQUALITY", staged.quality, "TESS quality bits"
    yield "TIMEREF", "SOLARSYSTEM", "barycentric correction applied to times"
    yield "TIMESYS", "TDB", "time system is Barycentric Dynamical Time (TDB)"
    yield "BJDREFI", int(BTJD_ZERO), "integer part of BTJD reference date"
    yield "BJDREFF", 0.0, "fraction of the day in BTJD reference date"
    yield "TIMEUNIT", "d", "time unit of BTJD, TSTART and TSTOP"
    (start, stop), shift = staged.span, float(np.nan_to_num(staged.timecorr))
    for keyword, days, told in (
        ("BTJD", staged.time, "[d] middle of the exposure at the CCD centre"),
        ("TSTART", start, "start of the exposure in BTJD"),
        ("TSTOP", stop, "end of the exposure in BTJD"),
        ("BARYCORR", staged.timecorr, "[d] barycentric correction, applied"),
    ):
        yield keyword, days if np.isfinite(days) else None, told
    for keyword, days, told in (("DATE-OBS", start, "start"), ("DATE-END", stop, "end")):
        date = f"{utc_from_btjd(days - shift)}Z" if np.isfinite(days) else None
        yield keyword, date, f"{told} at the spacecraft, UTC"
    live = float(attrs.get("exposure", np.nan)) / DAY
    yield "EXPOSURE", live if np.isfinite(live) else None, "[d] time on source"
    yield "BUNIT", "electron/s", "unit of the pixels"
    yield "BACKAPP", True, "background is subtracted"
    yield "PROVID", str(attrs["provenance_id"]), "id of the sky"
    for keyword, first, told in zip(("ROW0", "COLUMN0"), staged.first, ("row", "column"), strict=True):
        yield keyword, first, f"{told} of the first pixel, from 0, full frame"


def as_png(staged: Staged, *, bin: int = 4, stretch: str = "asinh", colours: str = "cividis") -> bytes:
    """
    Return a frame as a picture, rows upwards.

    Parameters
    ----------
    bin
        Pixels along each side that are averaged into one.
    stretch
        ``asinh``, ``linear``, ``log`` or ``eq_hist``, between the percentiles 1 and 99.8.
    colours
        ``cividis``, ``viridis``, ``magma`` or ``gray``: light rises with flux in all, for every eye.
    """
    bin = min(bin, *staged.flux.shape)
    rows, columns = (size // bin for size in staged.flux.shape)
    small = staged.flux[: rows * bin, : columns * bin].reshape(rows, bin, columns, bin).mean(axis=(1, 3))
    shade = np.nan_to_num(make_stretch(small, stretch)(small), nan=0.0)
    table = getattr(palettes, colours)(256)
    colour = np.array([[int(text[k : k + 2], 16) for k in (1, 3, 5)] for text in table], np.uint8)
    sink = io.BytesIO()
    image = colour[(255 * shade).astype(np.uint8)][::-1]
    Image.fromarray(np.ascontiguousarray(image)).save(sink, "PNG", compress_level=4)
    return sink.getvalue()
