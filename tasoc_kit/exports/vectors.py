"""Co-trending vectors as the mission's CBV files are laid out, which lightkurve opens.

The mission has one file for a CCD; here each area of it has vectors of its own, so each has a folder of its
own with one file, and that folder is what ``lightkurve.correctors.CBVCorrector`` takes as ``cbv_dir``.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit import __version__
from tasoc_kit.exports.exported_file import exported_file, refuse_to_lose
from tasoc_kit.star_series import good_cadences

__all__ = ["vector_file", "write_vectors"]

EXTENSIONS = {"single-scale": "cbv", "spike": "spike_cbv"}


def vector_file(area: int, attrs: dict[str, object]) -> str:
    """Return the name of the file of an area, in the folder of the area."""
    place = "s{:04d}-{}-{}".format(*(int(str(attrs[name])) for name in ("sector", "camera", "ccd")))
    return f"{area}/tasoc_kit-{place}-a{area}-c{round(float(str(attrs.get('cadence', 0)))):04d}-s_cbv.fits"


def write_vectors(cbvs: xr.Dataset, folder: str | os.PathLike[str], *, overwrite: bool = False) -> list[Path]:
    """
    Write a file for each area of a CCD.

    Parameters
    ----------
    cbvs
        The product ``cbvs``.
    folder
        Where the folders of the areas go.
    overwrite
        Replace files that are there.

    Returns
    -------
    The files. ``CBV.single-scale.CAMERA.CCD`` and ``CBV.spike.CAMERA.CCD`` hold ``TIME`` (BTJD, d),
    ``CADENCENO``, ``GAP`` (True where a cadence is bad, and the vectors bridge it) and ``VECTOR_1`` …, of
    unit length together.

    Raises
    ------
    StoreError
        If a file is there already, or the disk does not take it.
    """
    paths = [Path(folder) / vector_file(int(area), cbvs.attrs) for area in cbvs["area"].values]
    for path in paths:
        refuse_to_lose(path, overwrite)
    for k, path in enumerate(paths):
        with exported_file(path) as part:
            _hdus(cbvs, k).writeto(part, checksum=True, overwrite=True)
    return paths


def _hdus(cbvs: xr.Dataset, k: int) -> fits.HDUList:
    primary = fits.PrimaryHDU()
    unit = {name: int(cbvs.attrs[name]) for name in ("sector", "camera", "ccd")}
    primary.header.update(
        {
            "ORIGIN": ("tasoc_kit", "what made the file"),
            "DATE": (datetime.datetime.now(datetime.UTC).date().isoformat(), "file creation date"),
            "PROCVER": (__version__, "version of tasoc_kit"),
            "TELESCOP": ("TESS", "telescope"),
            "INSTRUME": ("TESS Photometer", "detector type"),
            "SECTOR": (unit["sector"], "observing sector"),
            "CBV_AREA": (int(cbvs["area"].values[k]), "area: camera, CCD, ring"),
            "CADENCE": (float(cbvs.attrs.get("cadence", 0.0)), "[s] exposure to exposure"),
            "PROVID": (str(cbvs.attrs.get("provenance_id", "")), "tasoc_kit id of the product"),
        }
    )
    return fits.HDUList([primary, *(_table(cbvs, k, kind, unit) for kind in EXTENSIONS)])


def _table(cbvs: xr.Dataset, k: int, kind: str, unit: dict[str, int]) -> fits.BinTableHDU:
    has = np.flatnonzero(np.isfinite(cbvs["cbv_snr"].values[k]))
    both = (cbvs["cbv"].values + cbvs["spike_cbv"].values)[k, has].astype(float)
    vectors = cbvs[EXTENSIONS[kind]].values[k, has] / np.linalg.norm(
        np.nan_to_num(both), axis=1, keepdims=True
    )
    time = cbvs["time"].values
    gap = ~(good_cadences(cbvs) & np.isfinite(both).all(axis=0))
    columns = [
        fits.Column("TIME", "D", unit="BJD - 2457000, days", disp="D14.7", array=time),
        fits.Column("CADENCENO", "J", disp="I10", array=cbvs["cadenceno"].values),
        fits.Column("GAP", "L", array=gap),
        *(fits.Column(f"VECTOR_{n}", "E", disp="E14.7", array=v) for n, v in enumerate(vectors, start=1)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name=f"CBV.{kind}.{unit['camera']}.{unit['ccd']}")
    # astropy writes names of extensions in capitals; lightkurve finds them in either.
    table.header["EXTNAME"] = f"CBV.{kind}.{unit['camera']}.{unit['ccd']}"
    for name in ("camera", "ccd"):
        table.header[name.upper()] = (unit[name], f"{name} number")
    snr = cbvs["cbv_snr"].values[k, has]
    for n, value in enumerate(snr, start=1):
        table.header[f"SNR_{n}"] = (float(value), "[dB] variance over that of differences")
    return table
