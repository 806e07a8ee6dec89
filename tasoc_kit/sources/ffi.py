"""FFIs as a lazy cube: the xarray backend ``tess-ffi``.

One frame is one chunk. Pixels are read from the FITS files themselves, by byte range, when they
are asked for; nothing is converted or copied.
"""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from tasoc_kit import vocabulary
from tasoc_kit.errors import SourceError
from tasoc_kit.numerics import detector
from tasoc_kit.numerics.clock import DAY
from tasoc_kit.numerics.time_stamps import stamp_shift
from tasoc_kit.provenance import raw_id, raw_record
from tasoc_kit.sources.byte_source import file_name
from tasoc_kit.sources.ffi_index import (
    Where,
    place_in_time,
    read_index,
    resolve_duplicates,
    scan,
    select_cadence,
    select_unit,
)
from tasoc_kit.sources.frame_files import FrameFiles, files_of, in_order
from tasoc_kit.vocabulary import KitQuality

__all__ = [
    "FFIBackend",
    "chunk_frames",
    "cube_from_index",
    "open_ffi",
    "science",
]

_FILES = ("file", "file_offset", "file_rows", "file_columns")
_ERRORS = ("err_offset", "err_rows", "err_columns")


class _FrameArray(BackendArray):
    """A variable of the cube that reads its pixels when it is indexed."""

    dtype = np.dtype("float32")

    def __init__(self, files: FrameFiles, rows: int, columns: int) -> None:
        self.files = files
        self.shape = (len(files.urls), rows, columns)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        labels = [np.arange(size)[part] for part, size in zip(key, self.shape, strict=True)]
        times, rows, columns = (np.atleast_1d(part) for part in labels)
        out = np.empty((times.size, rows.size, columns.size), dtype=np.float32)
        if out.size:
            row, column = rows.min(), columns.min()
            window = np.empty((rows.max() - row + 1, columns.max() - column + 1), dtype=np.float32)
            picked = np.ix_(rows - row, columns - column)
            as_stored = window.shape == out.shape[1:] and in_order(rows) and in_order(columns)
            for k, i in enumerate(times):
                self.files.read(int(i), int(row), int(column), out[k] if as_stored else window)
                if not as_stored:
                    out[k] = window[picked]
        return out.reshape(tuple(size for part in labels for size in part.shape))


def _raw_files(table: pd.DataFrame) -> list[tuple[str, int, str]]:
    names, sizes = table["name"], table["size"]
    return [
        (str(name), int(size), str(checksum))
        for name, size, checksum in zip(names, sizes, table["checksum"], strict=True)
    ]


def _attributes(table: pd.DataFrame, duplicates: int, excluded: pd.DataFrame) -> dict[str, Any]:
    files = _raw_files(table)
    identity = raw_id(files)
    first = table.iloc[0]
    attributes = {
        "product": "cube",
        "mission": "TESS",
        "source": "ffi",
        "sector": int(first["sector"]),
        "camera": int(first["camera"]),
        "ccd": int(first["ccd"]),
        "field": "",
        "exposure": _typical(table["exposure"]),
        "cadence": _typical(table["cadence"]),
        "cosmic_block": int(table["cosmic_block"].max()),
        "cosmic_cleaned": int(table["cosmic_cleaned"].max()),
        "duplicates": int(duplicates),
        "unreadable": int((table["problem"] != "").sum()),
        "excluded": len(excluded),
        "background_subtracted": 0,
        "provenance_id": identity,
        "provenance": json.dumps({identity: raw_record(files)}, sort_keys=True, separators=(",", ":")),
    }
    troubles = pd.concat([table[table["problem"] != ""], excluded])
    if len(troubles):
        attributes["problems"] = json.dumps(dict(zip(troubles["name"], troubles["problem"], strict=True)))
    return attributes


def _typical(values: pd.Series) -> float:
    known = values.dropna()
    return float(known.mode().iloc[0]) if len(known) else float("nan")


def _check_usable(unit: pd.DataFrame) -> None:
    """Warn of files that cannot be read; raise if there is no other."""
    bad = unit[unit["problem"] != ""]
    if bad.empty:
        return
    first = bad.iloc[0]
    if len(bad) < len(unit):
        warnings.warn(
            f"{len(bad)} of {len(unit)} FFIs cannot be read, the first is {first['file']}: "
            f"{first['problem']}. Their cadences are kept without pixels.",
            stacklevel=4,
        )
        return
    raise SourceError(
        f"{first['file']}: {first['problem']}; none of {len(unit)} file(s) is an FFI. Fetch the files again."
    )


def cube_from_index(
    index: pd.DataFrame, *, sector: int | None = None, camera: int | None = None, ccd: int | None = None
) -> xr.Dataset:
    """
    Return the cube of one CCD of one sector; no pixel is read.

    Parameters
    ----------
    index
        Rows as :func:`tasoc_kit.sources.ffi_index.scan` returns them.
    sector, camera, ccd
        Needed where the index holds more than one unit.

    Returns
    -------
    ``flux`` and, where any file has it, ``flux_err`` (time, row, column), read lazily; coordinates
    and the table of files in memory, in order of time. A file that cannot be read keeps its
    cadence, with NaN pixels and the bit NO_DATA in ``frame_quality``, if its time is known; else it
    is counted in attrs ``excluded`` and named, as all such files are, in attrs ``problems``. Times are
    without the known errors of early data releases; attrs ``time_shift`` has the seconds that were added.

    Raises
    ------
    SourceError
        If there is no row of this unit, rows of several units or cadences, or no file that can be read.
    """
    unit = place_in_time(select_cadence(select_unit(index, sector, camera, ccd)))
    _check_usable(unit)
    timed = unit["time_start"].notna()
    table, duplicates = resolve_duplicates(unit[timed])
    data = {name: ("time", table[name].to_numpy()) for name in (*_FILES, *_ERRORS, "wcs")}
    start, middle, stop, told = _right_times(table)
    bad = (table["problem"] != "").to_numpy()
    no_wcs = (table["wcs_problem"] != "").to_numpy() | bad
    coords: dict[str, Any] = {
        "time": middle,
        "time_start": ("time", start),
        "time_stop": ("time", stop),
        "timecorr": ("time", table["timecorr"].to_numpy()),
        "cadenceno": ("time", table["cadenceno"].to_numpy(np.int32)),
        "quality": ("time", table["quality"].to_numpy(np.int32)),
        "frame_quality": (
            "time",
            (bad * int(KitQuality.NO_DATA) | no_wcs * int(KitQuality.NO_WCS)).astype(np.int32),
        ),
    }
    frame = _frame_table(data, bad)
    rows, columns = _extent(frame)
    coords |= {"row": np.arange(rows, dtype=np.int32), "column": np.arange(columns, dtype=np.int32)}
    pixels = {"flux": _lazy(files_of(frame, bad, "file"), rows, columns)}
    if (frame["err_offset"][1] >= 0).any() or (frame["file_rows"][1] < 0).any():
        pixels["flux_err"] = _lazy(files_of(frame, bad, "err"), rows, columns)
    cube = xr.Dataset(pixels, coords | frame, _attributes(table, duplicates, unit[~timed]) | told)
    return vocabulary.label(cube)


def _right_times(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Return start, middle and end of the exposures without known errors, and attrs that say so."""
    issues = list(zip(table["data_rel"], table["procver"], table["camera"], table["ccd"], strict=True))
    shifts = {issue: stamp_shift(*issue) for issue in set(issues)}
    add = {
        name: np.array([getattr(shifts[issue], name) for issue in issues]) / DAY
        for name in ("start", "middle", "stop")
    }
    start, stop = table["time_start"].to_numpy(), table["time_stop"].to_numpy()
    told: dict[str, Any] = {}
    if issues:
        usual = Counter(issues).most_common(1)[0][0]
        told = {"data_rel": int(usual[0]), "procver": str(usual[1])}
        told |= {"time_shift": shifts[usual].middle, "time_stamps": shifts[usual].reason}
    return start + add["start"], 0.5 * (start + stop) + add["middle"], stop + add["stop"], told


def _frame_table(data: dict[str, tuple[str, np.ndarray]], bad: np.ndarray) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, (dim, values) in data.items():
        kind = vocabulary.VARIABLES[name].dtype
        table[name] = (dim, values.astype(object if kind == "str" else kind))
    table["file_offset"] = ("time", np.where(bad, -1, table["file_offset"][1]))
    return table


def _extent(frame: dict[str, Any]) -> tuple[int, int]:
    """Return the rows and columns that hold every frame; the full frame where a size is not known yet."""
    rows, columns = frame["file_rows"][1], frame["file_columns"][1]
    if (rows < 0).all():
        return detector.ROWS, detector.COLUMNS
    return int(rows.max()), int(columns.max())


def _lazy(files: FrameFiles, rows: int, columns: int) -> xr.Variable:
    array = indexing.LazilyIndexedArray(_FrameArray(files, rows, columns))
    return xr.Variable(("time", "row", "column"), array, encoding={"preferred_chunks": {"time": 1}})


def chunk_frames(cube: xr.Dataset) -> xr.Dataset:
    """Return the cube with its pixels as Dask arrays, one frame a chunk; coordinates stay in memory."""
    pixels = {
        name: variable.variable.chunk({"time": 1, "row": -1, "column": -1})
        for name, variable in cube.data_vars.items()
        if variable.dims == ("time", "row", "column")
    }
    return cube.assign(pixels)


def _index_of(source: Where | pd.DataFrame, unit: dict[str, int | None], base: str | None) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, str | os.PathLike) and os.fspath(source).endswith((".parquet", ".pq")):
        return read_index(source, base, **unit)
    return scan(source, **unit)


def open_ffi(
    source: Where | pd.DataFrame,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    chunks: str | None = "frame",
    base: str | None = None,
) -> xr.Dataset:
    """
    Open FFIs as one lazy cube.

    Parameters
    ----------
    source
        A folder, a glob, a file, a list of files (paths or URLs), an index, or the parquet file of one.
    sector, camera, ccd
        Needed where the source holds more than one unit.
    chunks
        ``"frame"`` for Dask arrays of one frame a chunk; None for lazy arrays without Dask, the
        quicker way to small cutouts.
    base
        What stands before the paths of a published listing; the public bucket by default.

    Returns
    -------
    The cube, as :func:`cube_from_index` describes it.
    """
    if chunks not in ("frame", None):
        raise SourceError(
            f"open_ffi: chunks={chunks!r}; expected 'frame' or None. Use cube.chunk to change it."
        )
    unit = {"sector": sector, "camera": camera, "ccd": ccd}
    cube = cube_from_index(_index_of(source, unit, base), **unit)
    return cube if chunks is None else chunk_frames(cube)


def science(dataset: xr.Dataset) -> xr.Dataset:
    """Return the part of a frame or cube that sees the sky: rows 0–2047, columns 44–2091 by label."""
    rows, columns = detector.SCIENCE_ROWS, detector.SCIENCE_COLUMNS
    return dataset.sel(row=slice(rows.start, rows.stop - 1), column=slice(columns.start, columns.stop - 1))


class FFIBackend(BackendEntrypoint):
    """The xarray engine ``tess-ffi``: ``xr.open_dataset(folder, engine="tess-ffi", camera=1, ccd=2)``."""

    description = "TESS Full-Frame Images as a lazy cube (time, row, column)"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "sector", "camera", "ccd", "base")

    def open_dataset(
        self,
        filename_or_obj: Where | pd.DataFrame,
        *,
        drop_variables: str | Iterable[str] | None = None,
        sector: int | None = None,
        camera: int | None = None,
        ccd: int | None = None,
        base: str | None = None,
    ) -> xr.Dataset:
        """Open a folder, file, list of files or index; ``chunks={}`` gives one frame a chunk."""
        cube = open_ffi(filename_or_obj, sector, camera, ccd, None, base)
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables or ())
        return cube.drop_vars(dropped, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return True for a file with the name of a calibrated FFI."""
        if not isinstance(filename_or_obj, str | os.PathLike):
            return False
        return file_name(os.fspath(filename_or_obj)).endswith(("_ffic.fits", "_ffic.fits.gz"))
