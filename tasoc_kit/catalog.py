"""Open data by name: ``open_cube("simulation.tiny")``, or by path.

The catalogs are Intake's, in ``catalogs/*.yaml``, nested under ``main.yaml``; folders of one's own that
``TASOC_CATALOGS`` names stand before them. Intake passes over a name it does not know and lets a caller
replace any argument of a driver; here names and values are checked first, and only the parameters that
an entry declares can be given.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pandas as pd
import xarray as xr

from tasoc_kit.config import settings
from tasoc_kit.errors import CatalogError, SourceError
from tasoc_kit.sources.byte_source import is_local, local_path
from tasoc_kit.sources.cube import open_cube as open_path
from tasoc_kit.sources.ffi_index import scan

__all__ = ["check", "describe", "entries", "index", "open_catalog", "open_cube", "open_entry"]

_TYPES: dict[str, type] = {"int": int, "str": str, "float": float, "bool": bool}
_MAIN = "main.yaml"
_UNIT = ("sector", "camera", "ccd")
_SUFFIXES = (".fits", ".gz", ".parquet", ".pq", ".zip")


def open_catalog(path: str | os.PathLike[str] | None = None) -> Any:
    """
    Open a catalog as Intake does.

    Parameters
    ----------
    path
        A catalog file; by default ``main.yaml`` of one's own folders and of the shipped one together, of
        entries with one name that of the first folder.

    Raises
    ------
    CatalogError
        If there is no such file or it is no catalog.
    """
    from intake.catalog import Catalog
    from intake.catalog.local import YAMLFileCatalog

    places = [Path(path)] if path is not None else [folder / _MAIN for folder in settings().catalogs]
    opened = []
    for place in places:
        if not place.exists():
            raise CatalogError(
                f"catalog: no file {place}; expected {_MAIN}. Correct TASOC_CATALOGS, or leave it out for "
                "the shipped ones."
            )
        opened.append(_read(str(place), partial(YAMLFileCatalog, str(place.absolute()))))
    if len(opened) == 1:
        return opened[0]
    found = {name: entry for one in reversed(opened) for name, entry in one._entries.items()}
    return Catalog.from_dict({name: found[name] for one in opened for name in one._entries})


def _read(place: str, opened: Callable[[], Any]) -> Any:
    """Return an Intake catalog; reading it also imports the drivers that it names."""
    from intake.catalog.exceptions import CatalogException
    from yaml import YAMLError

    try:
        catalog = opened()
        catalog.reload()  # unless it was read when it was opened
    except ImportError as error:
        raise CatalogError(
            f"catalog: {place}: a driver cannot be imported ({error}). Run 'tasoc doctor'."
        ) from None
    except (CatalogException, YAMLError, OSError, ValueError, TypeError) as error:
        raise CatalogError(f"catalog: {place} cannot be read ({error}). Correct the file.") from None
    return catalog


def _made(name: str, entry: Any, values: dict[str, Any]) -> Any:
    """Return the source of an entry; Intake warns of each text parameter that it runs no shell for it."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Shell command not executed")
            return entry.get(**values)
    except (ImportError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise CatalogError(f"{name}: its driver cannot be used ({reason}). Run 'tasoc doctor'.") from None


def _walk(catalog: Any, prefix: str = "", branch: str = "") -> dict[str, Any]:
    """
    Return every entry that is no catalog itself by its dotted name, in the order of the files.

    With ``branch``, the dotted name of an entry, only the catalogs on the way to it are opened.
    """
    found: dict[str, Any] = {}
    for name, entry in catalog._entries.items():
        full = f"{prefix}{name}"
        if entry.describe()["driver"] != ["yaml_file_cat"]:
            found[full] = entry
        elif not branch or branch.startswith(f"{full}."):
            found |= _walk(_read(full, entry.get), f"{full}.", branch)
    return found


def _entry(name: str) -> Any:
    known = _walk(open_catalog(), branch=name)
    if name not in known:
        raise CatalogError.for_unknown_entry(name, list(_walk(open_catalog())))
    return known[name]


def entries() -> pd.DataFrame:
    """Return one row per entry: name, driver, parameters, description."""
    rows = []
    for name, entry in _walk(open_catalog()).items():
        told = entry.describe()
        rows.append(
            {
                "entry": name,
                "driver": ", ".join(told["driver"]),
                "parameters": ", ".join(p["name"] for p in told["user_parameters"]),
                "description": told["description"],
            }
        )
    return pd.DataFrame(rows, columns=["entry", "driver", "parameters", "description"])


def describe(entry: str) -> pd.DataFrame:
    """
    Return one row per parameter of an entry: name, type, default, what is accepted, meaning.

    Raises
    ------
    CatalogError
        If there is no such entry.
    """
    rows = [
        {
            "parameter": parameter["name"],
            "type": parameter["type"],
            "default": parameter.get("default"),
            "accepts": _accepted(parameter),
            "description": parameter["description"],
        }
        for parameter in _entry(entry).describe()["user_parameters"]
    ]
    return pd.DataFrame(rows, columns=["parameter", "type", "default", "accepts", "description"])


def _accepted(parameter: dict[str, Any]) -> str:
    if "allowed" in parameter:
        return f"one of {parameter['allowed']}"
    if parameter["type"] == "str":
        return "a text that is not empty" if "min" in parameter else "a text"
    low, high = parameter.get("min"), parameter.get("max")
    words = {"int": "an integer", "float": "a number", "bool": "true or false"}
    bounds = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
    return f"{words.get(parameter['type'], parameter['type'])} {' and '.join(bounds)}".rstrip()


def _fits(parameter: dict[str, Any], value: object) -> bool:
    kind = _TYPES.get(parameter["type"], object)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return False
    if "allowed" in parameter:
        return value in parameter["allowed"]
    low, high = parameter.get("min"), parameter.get("max")
    number = cast("float", value)
    return (low is None or number >= low) and (high is None or number <= high)


def _checked(name: str, entry: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters to open an entry with; None counts as not given."""
    declared = {parameter["name"]: parameter for parameter in entry.describe()["user_parameters"]}
    values = {key: value for key, value in given.items() if value is not None}
    for key in values:
        if key not in declared:
            raise CatalogError.for_unknown_parameter(name, key, list(declared))
    for key, parameter in declared.items():
        value = values.setdefault(key, parameter.get("default"))
        if not _fits(parameter, value):
            raise CatalogError.for_bad_value(name, key, value, _accepted(parameter))
    return values


def open_entry(entry: str, **parameters: Any) -> xr.Dataset:
    """
    Open an entry of the catalogs as a lazy Dataset.

    Raises
    ------
    CatalogError
        If the entry, a parameter or a value is not known; the message names the nearest one.
    SourceError
        If the data that the entry stands for cannot be opened.
    """
    found = _entry(entry)
    values = _checked(entry, found, parameters)
    return cast(xr.Dataset, _made(entry, found, values).to_dask())


def _is_path(name: str) -> bool:
    named_as_file = os.sep in name or Path(name).suffix in _SUFFIXES
    return not is_local(name) or named_as_file or local_path(name).exists()


def open_cube(entry_or_path: str | os.PathLike[str] | list[str], **parameters: Any) -> xr.Dataset:
    """
    Open a cube by the name of a catalog entry, or by a path or URL.

    Parameters
    ----------
    entry_or_path
        ``"simulation.tiny"``, a folder of FFIs, a parquet index, a TESScut cube or its zip, a
        target pixel file; or a list of FFIs.
    **parameters
        What the entry declares; for a path ``sector``, ``camera`` and ``ccd``, which an entry of one
        unit need not declare: they must then be those of its cube. None counts as not given.

    Returns
    -------
    The lazy cube: ``flux`` and ``flux_err`` (time, row, column).

    Raises
    ------
    CatalogError
        If the name is neither an entry nor a path, or a parameter or value is not known.
    SourceError
        If the data cannot be opened.

    Examples
    --------
    >>> open_cube("ffi.tess", sector=14, camera=1, cdd=2)
    Traceback (most recent call last):
    tasoc_kit.errors.CatalogError: ffi.tess: unknown parameter 'cdd'; did you mean 'ccd'? ...
    """
    if isinstance(entry_or_path, list):
        return _open_files(entry_or_path, parameters)
    name = os.fspath(entry_or_path)
    if not _is_path(name) or _is_entry(name):
        return _open_unit(name, parameters)
    return _open_files(name, parameters)


def _open_unit(name: str, parameters: dict[str, Any]) -> xr.Dataset:
    declared = {parameter["name"] for parameter in _entry(name).describe()["user_parameters"]}
    told = {key: parameters[key] for key in _UNIT if parameters.get(key) is not None and key not in declared}
    cube = open_entry(name, **{key: value for key, value in parameters.items() if key not in told})
    for key, value in told.items():
        if cube.attrs.get(key) != value:
            raise CatalogError.for_bad_value(name, key, value, f"{cube.attrs.get(key)!r}, the only one there")
    return cube


def _is_entry(name: str) -> bool:
    return is_local(name) and os.sep not in name and name in _walk(open_catalog(), branch=name)


def _open_files(source: str | list[str], parameters: dict[str, Any]) -> xr.Dataset:
    unit = {key: value for key, value in parameters.items() if value is not None}
    for key, value in unit.items():
        if key not in _UNIT:
            raise CatalogError.for_unknown_parameter(str(source), key, list(_UNIT))
        if not isinstance(value, int) or isinstance(value, bool):
            raise CatalogError.for_bad_value(str(source), key, value, "an integer")
    return open_path(source, **unit)


def check() -> pd.DataFrame:
    """
    Return one row per entry: can its driver be had and its defaults be used.

    Entries whose data is not there are told, not failed: ``state`` is ``ok``, ``needs`` with what
    has to be given, or ``broken``.
    """
    rows = []
    for name, entry in _walk(open_catalog()).items():
        state, message = _state(name, entry)
        rows.append({"entry": name, "state": state, "message": message})
    return pd.DataFrame(rows, columns=["entry", "state", "message"])


def _state(name: str, entry: Any) -> tuple[str, str]:
    try:
        values = _checked(name, entry, {})
    except CatalogError as error:
        return "needs", str(error)
    try:
        _made(name, entry, values)
    except CatalogError as error:
        return "broken", str(error)
    return "ok", ""


def index(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    sector: int | None = None,
    camera: int | None = None,
    ccd: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """
    Scan the headers of FFIs into an index, and write it where asked.

    Parameters
    ----------
    source
        A folder, a glob or one file; path or URL.
    output
        Parquet file to write.
    sector, camera, ccd
        Leave out files whose names state another unit.
    progress
        Called with the files done and to do.

    Raises
    ------
    SourceError
        If there is no FFI, or the index cannot be written.
    """
    table = scan(source, sector=sector, camera=camera, ccd=ccd, progress=progress)
    if output is not None:
        try:
            table.to_parquet(output, index=False)
        except OSError as error:
            raise SourceError.for_file(
                output, f"cannot be written ({error})", "Choose another place."
            ) from None
    return table
