"""One frame as a file: FITS with its plate solution, or a picture."""

from __future__ import annotations

import io

import numpy as np
from astropy.io import fits
from bokeh import palettes
from PIL import Image

from tasoc_kit.api.staged_frames import Staged
from tasoc_kit.plots.stretch import make_stretch

__all__ = ["as_fits", "as_png"]


def as_fits(staged: Staged) -> bytes:
    """Return a frame as a FITS image, with the plate solution that its raw frame has."""
    header = fits.Header()
    if staged.wcs:
        text = staged.wcs.replace("\n", "") if "\n" not in staged.wcs else staged.wcs
        header.update(fits.Header.fromstring(text, sep="\n" if "\n" in text else ""))
        # The solution counts pixels of the whole frame from 1.
        row, column = staged.first
        header["CRPIX1"] -= column
        header["CRPIX2"] -= row
    for keyword, name in (("SECTOR", "sector"), ("CAMERA", "camera"), ("CCD", "ccd")):
        header[keyword] = int(staged.attrs.get(name, 0))
    header["CADENCE"] = (staged.cadenceno, "cadence number")
    header["BTJD"] = (staged.time, "[d] middle of the exposure at the CCD centre")
    header["BUNIT"] = "electron/s"
    header["BACKAPP"] = (True, "background is subtracted")
    header["PROVID"] = (str(staged.attrs["provenance_id"]), "id of the sky")
    header["ROW0"], header["COLUMN0"] = staged.first
    sink = io.BytesIO()
    fits.PrimaryHDU(staged.flux, header).writeto(sink, checksum=True)
    return sink.getvalue()


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
