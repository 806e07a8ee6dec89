"""Which calibrated FFIs the mission's archive has: of a sector, a camera, a CCD, some cadences.

What there is is learned from where it lies: a bucket or folder in the layout of the public one
(``s0014/2019/199/2-3/tess…_ffic.fits``), the parquet listing of a sector, or one of the scripts of
curl commands that MAST publishes for every sector. Nothing is downloaded here but listings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tasoc_kit.config import settings
from tasoc_kit.errors import SourceError
from tasoc_kit.sources.byte_source import file_name, filesystem, is_local, local_path, read_all
from tasoc_kit.sources.ffi_header import name_parts
from tasoc_kit.sources.ffi_index import read_index
from tasoc_kit.storage.retries import failures, retried

__all__ = ["PRESETS", "PUBLIC_ARCHIVE", "ArchiveFile", "Selection", "list_archive"]

PUBLIC_ARCHIVE = "s3://stpubdata/tess/public/ffi"
_ENDING = "_ffic.fits"
_MD5 = re.compile(r"[0-9a-f]{32}")
_CURL = re.compile(r"-o\s+(?P<name>\S+)\s+(?P<url>\S+)")
_ADDRESSES = ("https://", "http://", "s3://")
"""Where a script may fetch from; it comes from elsewhere, so it names no file of this machine."""
_ASKED_AT_ONCE = 16


@dataclass(frozen=True)
class Selection:
    """Which FFIs are wanted."""

    sector: int
    cameras: tuple[int, ...] = (1, 2, 3, 4)
    ccds: tuple[int, ...] = (1, 2, 3, 4)
    first: int | None = None
    """First, end and step of the cadences of each CCD, in order of time."""
    end: int | None = None
    step: int | None = None

    @property
    def units(self) -> list[tuple[int, int]]:
        """The pairs of camera and CCD."""
        return [(camera, ccd) for camera in self.cameras for ccd in self.ccds]


PRESETS = {
    "mini": Selection(1, (1,), (2,), step=6),
    "small": Selection(1, (1,), (1, 2)),
}
"""``mini``: every sixth cadence of one CCD, 214 FFIs, 8 GB. ``small``: two whole CCDs, 2,564 FFIs, 91 GB."""


@dataclass(frozen=True)
class ArchiveFile:
    """One file of the archive."""

    url: str
    name: str
    size: int = -1
    md5: str = ""
    """Checksum of its bytes, where the archive tells it."""

    @property
    def key(self) -> str:
        """Its place below a folder of raw files."""
        parts = name_parts(self.name)
        return "s{sector:04d}/{camera}-{ccd}/".format(**parts) + self.name


def list_archive(wanted: Selection, source: str = PUBLIC_ARCHIVE) -> list[ArchiveFile]:
    """
    Return the files of a selection, with their sizes.

    Parameters
    ----------
    wanted
        Sector, cameras, CCDs, cadences.
    source
        Bucket or folder that holds ``s0001/…``, a listing (``.parquet``) or a curl script (``.sh``).

    Raises
    ------
    SourceError
        If the archive does not answer, or has nothing of what is wanted.
    """
    if source.endswith((".parquet", ".pq")):
        found = _from_listing(source, wanted)
    elif source.endswith(".sh"):
        found = _from_script(source)
    else:
        found = _from_folder(source, wanted)
    chosen: list[ArchiveFile] = []
    for camera, ccd in wanted.units:
        unit = {"sector": wanted.sector, "camera": camera, "ccd": ccd}
        # The names of one CCD begin with the time, so their order is that of time.
        fitting = {file.name: file for file in found if unit.items() <= name_parts(file.name).items()}
        chosen += [fitting[name] for name in sorted(fitting)][wanted.first : wanted.end : wanted.step]
    if not chosen:
        raise SourceError(
            f"{source}: no calibrated FFI of sector {wanted.sector}, cameras {list(wanted.cameras)}, CCDs "
            f"{list(wanted.ccds)} and these cadences, among {len(found)} files. Correct what is asked for."
        )
    return _sized(chosen)


def _unanswered(source: str, error: Exception) -> SourceError:
    return SourceError.for_file(
        source,
        f"the archive cannot be listed ({error})",
        "It needs a network: check the address and the connection, or name a copy with --source.",
    )


def _from_folder(source: str, wanted: Selection) -> list[ArchiveFile]:
    """List ``s0001/year/day/camera-ccd``, and no more of it than is wanted."""
    root = f"{source.rstrip('/')}/s{wanted.sector:04d}"
    files: Any = filesystem(root if not is_local(root) else f"file://{local_path(root).absolute()}")
    scheme = "" if is_local(root) else f"{root.partition('://')[0]}://"
    start = str(local_path(root).absolute()) if is_local(root) else root

    def names(folder: str) -> list[str]:
        try:
            return retried(lambda: files.ls(folder, detail=False, refresh=True), folder)
        except FileNotFoundError:
            return []

    def contents(folder: str) -> dict[str, Any]:
        try:
            return retried(lambda: files.find(folder, detail=True), folder)
        except FileNotFoundError:
            return {}

    try:
        days = [day for year in names(start) for day in names(year)]
        folders = [f"{day.rstrip('/')}/{camera}-{ccd}" for day in days for camera, ccd in wanted.units]
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            found = {path: info for part in pool.map(contents, folders) for path, info in part.items()}
    except failures() as error:
        raise _unanswered(source, error) from error
    return [
        ArchiveFile(path if "://" in path else f"{scheme}{path}", file_name(path), _size(info), _md5(info))
        for path, info in found.items()
        if path.endswith(_ENDING)
    ]


def _size(info: dict[str, Any]) -> int:
    return -1 if info["size"] is None else int(info["size"])


def _md5(info: dict[str, Any]) -> str:
    """Return the checksum that an entity tag is, where the object was uploaded in one part."""
    tag = str(info.get("ETag", "")).strip('"')
    return tag if _MD5.fullmatch(tag) else ""


def _from_listing(source: str, wanted: Selection) -> list[ArchiveFile]:
    index = read_index(source, sector=wanted.sector)
    return [ArchiveFile(str(url), file_name(str(url))) for url in index["file"] if str(url).endswith(_ENDING)]


def _from_script(source: str) -> list[ArchiveFile]:
    """Read ``curl … -o NAME URL`` lines, as MAST writes them."""
    text = read_all(source).decode("utf-8", "replace")
    lines = [match.groupdict() for match in map(_CURL.search, text.splitlines()) if match]
    found = [(Path(line["name"]).name, line["url"].strip("'\"")) for line in lines]
    wanted = [(name, url) for name, url in found if name.endswith(_ENDING)]
    foreign = [url for _, url in wanted if not url.startswith(_ADDRESSES)]
    if foreign:
        raise SourceError.for_file(
            source,
            f"it fetches from {foreign[0]}, not from a server",
            "Expected MAST's own script of curl lines.",
        )
    return [ArchiveFile(url, name) for name, url in wanted]


def _sized(files: Sequence[ArchiveFile]) -> list[ArchiveFile]:
    """Return the files with the sizes that their listing did not tell."""

    def ask(file: ArchiveFile) -> ArchiveFile:
        if file.size >= 0:
            return file
        info = retried(lambda: filesystem(file.url).info(file.url), file.url)
        if info["size"] is None:
            raise SourceError.for_file(
                file.url, "its server does not say how large it is", "Name another --source that does."
            )
        return replace(file, size=int(info["size"]), md5=_md5(info))

    try:
        with ThreadPoolExecutor(max(_ASKED_AT_ONCE, settings().threads)) as pool:
            return list(pool.map(ask, files))
    except FileNotFoundError as error:
        raise SourceError.for_file(str(error), "listed, but not there", "Take a newer listing.") from None
    except failures() as error:
        raise _unanswered(files[0].url, error) from error
