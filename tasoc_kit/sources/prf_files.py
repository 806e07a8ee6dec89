"""The pixel response functions that the mission published: FITS files, one for each of 25 places of a CCD.

A file holds 117×117 values, nine to a pixel, of what a pixel at some offset from a star has of its
light (TESS Instrument Handbook, section 4; ``archive.stsci.edu/missions/tess/models/prf_fitsfiles``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from astropy.io import fits

from tasoc_kit.errors import SourceError
from tasoc_kit.provenance import with_content_id
from tasoc_kit.vocabulary import label

__all__ = ["read_prfs"]

PATTERN = "tess*-prf-*.fits"
NEEDED = ("CAM", "CCD", "CCD_RREF", "CCD_CREF", "NSAMP")


def read_prfs(place: str | Path) -> xr.Dataset:
    """
    Read the published PRFs of one CCD.

    Parameters
    ----------
    place
        Folder with the files of one camera and CCD.

    Returns
    -------
    ``prf`` (node_row, node_column, sample_row, sample_column), the share of a star's light in a pixel at
    the offsets ``sample_row`` and ``sample_column`` (pixel − star, pixels): samples one pixel apart
    sum to 1. ``camera`` and ``ccd`` in attrs.

    Raises
    ------
    SourceError
        If there are no such files, one cannot be read, or they make no grid on one CCD.
    """
    files = sorted(Path(place).glob(PATTERN))
    if not files:
        raise SourceError(
            f"read_prfs: no files '{PATTERN}' in {place}; expected those of one camera and CCD. "
            "Name the folder that they were unpacked into."
        )
    read = [_read(path) for path in files]
    detectors = sorted({one[0] for one in read})
    rows, columns = (np.unique([one[1][axis] for one in read]) for axis in range(2))
    if len(detectors) > 1 or len(read) != rows.size * columns.size:
        raise SourceError(
            f"read_prfs: {len(read)} files of (camera, CCD) {detectors} at {rows.size} rows "
            f"and {columns.size} columns in {place}; expected a full grid on one CCD. "
            "Keep one camera and CCD in a folder."
        )
    size, samples = read[0][2].shape[0], read[0][3]
    table = np.zeros((rows.size, columns.size, size, size))
    for _, (row, column), values, _ in read:
        table[np.searchsorted(rows, row), np.searchsorted(columns, column)] = values
    offset = (np.arange(size) - size // 2) / samples
    made = xr.Dataset(
        {"prf": (("node_row", "node_column", "sample_row", "sample_column"), table)},
        coords={"node_row": rows, "node_column": columns, "sample_row": offset, "sample_column": offset},
        attrs=dict(zip(("camera", "ccd"), detectors[0], strict=True)),
    )
    return with_content_id(label(made), "prfs")


def _read(path: Path) -> tuple[tuple[int, int], tuple[float, float], np.ndarray, int]:
    """Return camera and CCD, row and column (labels), values, and samples in a pixel."""
    try:
        with fits.open(path) as file:
            header, values = file[0].header, np.asarray(file[0].data, float)
            camera, ccd, row, column, samples = (float(header[name]) for name in NEEDED)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"read_prfs: {path.name}: {error}; expected an image with the cards {list(NEEDED)}. "
            "Fetch the file again."
        ) from error
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not np.isfinite(values).all():
        raise SourceError(
            f"read_prfs: {path.name}: values of shape {values.shape}; expected a square image of "
            "finite numbers. Fetch the file again."
        )
    # The files count pixels from 1.
    return (int(camera), int(ccd)), (row - 1, column - 1), values, int(samples)
