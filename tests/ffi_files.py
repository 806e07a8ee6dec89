"""Small FFIs in the layout of SPOC's, and ways to spoil them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from tasoc_kit.numerics.clock import DAY, utc_from_btjd

START = 1410.9
"""Start of the first frame at the spacecraft, TJD."""
BARYCORR = 0.004
SHAPE = (24, 60)
WCS = {
    "WCSAXES": 2,
    "CTYPE1": "RA---TAN-SIP",
    "CTYPE2": "DEC--TAN-SIP",
    "CRVAL1": 315.4075184165135,
    "CRVAL2": -28.9559997971470,
    "CRPIX1": 1045.0,
    "CRPIX2": 1001.0,
    "CD1_1": -0.005495654681849,
    "CD1_2": 0.001441757140596,
    "CD2_1": -0.001576462149567,
    "CD2_2": -0.005527475851378,
    "A_ORDER": 2,
    "B_ORDER": 2,
    "A_2_0": -1.9e-05,
    "A_1_1": 1.7e-05,
    "B_1_1": -1.6e-05,
    "B_0_2": 2.0e-05,
}


def ffi_name(start: float, sector: int = 1, camera: int = 1, ccd: int = 2) -> str:
    """Return the SPOC name of a frame that starts at ``start`` (TJD)."""
    stamp = np.datetime64(str(utc_from_btjd(start)))
    year = int(stamp.astype("datetime64[Y]").astype(int)) + 1970
    day = int((stamp.astype("datetime64[D]") - np.datetime64(f"{year}-01-01")).astype(int)) + 1
    clock = str(stamp.astype("datetime64[s]"))[11:].replace(":", "")
    return f"tess{year}{day:03d}{clock}-s{sector:04d}-{camera}-{ccd}-0120-s_ffic.fits"


def frame_pixels(number: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return pixels that tell the frame, row and column they are of."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    return (1000.0 * number + row + column / 100.0).astype(np.float32)


def write_ffi(
    folder: Path,
    number: int = 0,
    *,
    name: str | None = None,
    sector: int = 1,
    camera: int = 1,
    ccd: int = 2,
    cadence: float = 1800.0,
    shape: tuple[int, int] = SHAPE,
    err_shape: tuple[int, int] | None = SHAPE,
    image: bool = True,
    padding: int = 0,
    quality: int = 0,
    data_rel: int = 1,
    ffi_index: int | None = None,
    shift: float = 0.0,
    wcs: dict[str, Any] | None = None,
    pixels: np.ndarray | None = None,
) -> Path:
    """Write frame ``number`` of a sector; ``padding`` comment cards move its pixels in the file."""
    start = START + number * cadence / DAY + shift
    path = folder / (name or ffi_name(start, sector, camera, ccd))
    primary = fits.PrimaryHDU()
    primary.header.update(TELESCOP="TESS", TSTART=start, TSTOP=start + cadence / DAY, DATA_REL=data_rel)
    if ffi_index is not None:
        primary.header["FFIINDEX"] = ffi_index
    for k in range(padding):
        primary.header["COMMENT"] = f"card {k}"
    facts = {
        "CAMERA": camera,
        "CCD": ccd,
        "TSTART": start + BARYCORR,
        "TSTOP": start + BARYCORR + cadence / DAY,
        "BARYCORR": BARYCORR,
        "EXPOSURE": 0.792 * cadence / DAY,
        "TIMEDEL": cadence / DAY,
        "DQUALITY": quality,
    }
    hdus: list[Any] = [primary]
    if image:
        data = frame_pixels(number, shape) if pixels is None else pixels
        hdus.append(fits.ImageHDU(data, name=f"CAMERA.CCD {camera}.{ccd} cal"))
        hdus[-1].header.update(facts)
        hdus[-1].header.update(WCS if wcs is None else wcs)
    if err_shape is not None and image:
        err = np.full(err_shape, 0.5 + number, np.float32)
        hdus.append(fits.ImageHDU(err, name=f"CAMERA.CCD {camera}.{ccd} uncert"))
        hdus[-1].header.update(facts)
    fits.HDUList(hdus).writeto(path, checksum=True, overwrite=True)
    return path


def write_sector_of(folder: Path, frames: int, **settings: Any) -> list[Path]:
    """Write frames 0 to ``frames`` − 1."""
    folder.mkdir(parents=True, exist_ok=True)
    return [write_ffi(folder, number, **settings) for number in range(frames)]


def compress(path: Path) -> Path:
    """Replace a file by its gzip."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    path.unlink()
    return packed
