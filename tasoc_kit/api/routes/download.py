"""What the store holds, as it lies there: raw files, products as a tar or key by key, executed notebooks.

Of a product only what its inventory lists is sent, so no path leads out of it.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, Response

from tasoc_kit.api.access import Reads
from tasoc_kit.api.contents import Content, FileContent, TextContent, content_of, tar_of
from tasoc_kit.api.problems import Problem
from tasoc_kit.api.sending import Sending
from tasoc_kit.config import settings
from tasoc_kit.errors import StoreError
from tasoc_kit.records.files import find_file
from tasoc_kit.sources.byte_source import local_path
from tasoc_kit.storage.folders import Folder
from tasoc_kit.storage.inventory import DATA, MARKER, Inventory, read_marker
from tasoc_kit.storage.units import LOG, check_id, check_name, check_unit
from tasoc_kit.store import stores

__all__ = ["router"]

router = APIRouter(prefix="/download")

_RETRY_SECONDS = "5"

Result = TypeVar("Result")

Name = Annotated[str, InPath(description="Name of a product, as sky.", examples=["sky"])]
Unit = Annotated[str, InPath(description="Sector, camera and CCD, as s0001-1-2.", examples=["s0001-1-2"])]
LogUnit = Annotated[
    str, InPath(description="A unit, or jobs for that of a job without one.", examples=["s0001-1-2"])
]
Id = Annotated[str, InPath(description="Id of the product: 12 hexadecimal digits.")]
Key = Annotated[str, InPath(description="Name of a file or folder of it, as flux/zarr.json.")]
Log = Annotated[str, InPath(description="Notebook and id, or job, as 17_sky-0123456789ab.ipynb.")]
Sha256 = Annotated[str, InPath(pattern="^[0-9a-f]{64}$", description="SHA-256 of the bytes.")]
BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        "description": "All of it.",
    },
    206: {
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        "description": "The ranges that were asked for; several of them as `multipart/byteranges`.",
    },
    304: {"description": "It is what the one who asks has."},
    404: {"description": "It is not there."},
    412: {"description": "It is not what If-Match names."},
    416: {"description": "None of the bytes that were asked for is there."},
    503: {"description": "The store or the database is out of reach."},
}


class _Product:
    """A complete product: where it lies, when it was completed, what it consists of."""

    def __init__(self, folder: Folder, key: str, modified: float) -> None:
        self.folder, self.key, self.modified = folder, key, modified
        self.inventory, self.marker = _inventory(folder.url, key, modified)

    def open(self, name: str, size: int) -> Content:
        return content_of(self.folder, f"{self.key}/{name}", size)


@lru_cache(maxsize=16)
def _inventory(store: str, key: str, modified: float) -> tuple[Inventory, bytes]:
    """Return the inventory of a product and the text of its marker, read once while that is the same."""
    folder = Folder(store)
    return read_marker(folder, key) or {}, folder.get(f"{key}/{MARKER}") or b""


def _asked(action: Callable[[], Result]) -> Result:
    """Return what a store says; 503 where it cannot be asked."""
    try:
        return action()
    except StoreError as error:
        raise Problem(503, str(error), {"Retry-After": _RETRY_SECONDS}) from None


def _find(product: str, unit: str, id_: str) -> _Product:
    key = f"{check_name(product)}/{check_unit(unit)}/{check_id(id_)}"

    def look() -> _Product | None:
        for folder in stores(None):
            modified = folder.modified(f"{key}/{MARKER}")
            if modified:
                return _Product(folder, key, modified)
        return None

    found = _asked(look)
    if found is None:
        raise _absent(f"the product {key}", "See /products for what is there")
    if MARKER in found.inventory:
        raise _absent(f"a readable list of the files of {key}", "Make the product again")
    return found


def _absent(what: str, action: str) -> Problem:
    store = settings().store
    if "://" not in store and not Path(store).is_dir():
        return Problem(
            503,
            "store: its folder is not there; expected a store. Mount it, or correct TASOC_STORE.",
            {"Retry-After": _RETRY_SECONDS},
        )
    return Problem(404, f"download: there is no {what.removeprefix('the ')}; expected one. {action}.")


@router.head("/raw/{sha256}", include_in_schema=False)
@router.get("/raw/{sha256}", response_class=Response, responses=BYTES)
def raw_file(sha256: Sha256, who: Reads) -> Response:
    """Send a raw file by the SHA-256 of its bytes, under the name that it came with."""
    row = find_file(sha256)
    if row is None:
        raise Problem(404, f"download: no raw file has the SHA-256 {sha256}; expected one. See /raw.")
    path = Path(row["location"])
    try:
        content = FileContent(path, local_path(settings().data), row["bytes"])
    except (OSError, StoreError):
        raise Problem(
            503, f"download: {row['name']} cannot be read now; expected it in TASOC_DATA. Ask again later."
        ) from None
    return Sending(
        content,
        etag=sha256,
        modified=row["received"].timestamp(),
        media_type="application/gzip" if path.suffix == ".gz" else "application/fits",
        filename=path.name,
    )


@router.head("/runs/{unit}/{name}", include_in_schema=False)
@router.get("/runs/{unit}/{name}", response_class=Response, responses=BYTES)
def executed_notebook(unit: LogUnit, name: Log, who: Reads) -> Response:
    """Send an executed notebook, as ``17_sky-0123456789ab.ipynb``; that of a job is ``17_sky-job3.ipynb``."""
    key = f"runs/{unit}/{name}"
    if not LOG.fullmatch(key):
        raise Problem(
            422,
            f"download: {key[:120]!r} is no executed notebook; expected runs/UNIT/NOTEBOOK-ID.ipynb. "
            "See the 'log' in what /jobs/N answers.",
        )

    def look() -> tuple[bytes, float] | None:
        for folder in stores(None):
            if folder.modified(key):
                _open(folder, key).close()
                return folder.get(key) or b"", folder.modified(key)
        return None

    found = _asked(look)
    if found is None:
        raise _absent(f"executed notebook {unit}/{name}", "See /products")
    data, modified = found
    return Sending(
        TextContent(data),
        etag=hashlib.sha256(data).hexdigest(),
        modified=modified,
        media_type="application/x-ipynb+json",
        filename=name,
    )


@router.head("/products/{product}/{unit}/{id}.tar", include_in_schema=False)
@router.get("/products/{product}/{unit}/{id}.tar", response_class=Response, responses=BYTES)
def product_tar(product: Name, unit: Unit, id: Id, who: Reads) -> Response:
    """Send a whole product as a tar: unpacked in a store it is there, for its marker comes last."""
    found = _find(product, unit, id)
    _whole(found)
    files = [
        (f"{found.key}/{name}", size, partial(found.open, name, size))
        for name, (size, _) in sorted(found.inventory.items())
    ]
    last = (f"{found.key}/{MARKER}", len(found.marker), partial(TextContent, found.marker))
    # A store tells by the time of its marker whether a product is there, and which is the newest.
    completed = int(found.modified)
    return Sending(
        tar_of([*files, last], completed),
        etag=f"tar-{hashlib.sha256(found.marker).hexdigest()}-{completed:x}",
        modified=found.modified,
        media_type="application/x-tar",
        filename=f"{product}-{unit}-{id}.tar",
    )


def _whole(found: _Product) -> None:
    """Refuse a product of which files are absent, before the first byte is sent."""
    present = _asked(lambda: found.folder.sizes(found.key))
    lost = sorted(name for name, (size, _) in found.inventory.items() if present.get(name) != size)
    if lost:
        raise _absent(f"{lost[0]} in {found.key}, which has lost {len(lost)} files", "Make it again")


@router.head("/products/{product}/{unit}/{id}/{key:path}", include_in_schema=False)
@router.get("/products/{product}/{unit}/{id}/{key:path}", response_class=Response, responses=BYTES)
def product_key(product: Name, unit: Unit, id: Id, key: Key, request: Request, who: Reads) -> Response:
    """Send one file of a product by its key in the Zarr group, or a page with the names in a folder."""
    found = _find(product, unit, id)
    if key == MARKER:
        etag = hashlib.sha256(found.marker).hexdigest()
        return Sending(
            TextContent(found.marker), etag=etag, modified=found.modified, media_type="application/json"
        )
    for name in (key, f"{DATA}/{key}"):
        if name in found.inventory:
            return _file(found, name)
    names = _names(found.inventory, key)
    if not names:
        raise _absent(f"{key[:200]!r} in {found.key}", "See complete.json for its files")
    return _page(names, request)


@router.get("/products/{product}/{unit}/{id}", response_class=HTMLResponse, responses=BYTES)
def product_names(product: Name, unit: Unit, id: Id, request: Request, who: Reads) -> Response:
    """Show what a product consists of; its address is what Zarr opens, and with ``.tar`` the whole."""
    found = _find(product, unit, id)
    return _page(_names(found.inventory, ""), request)


def _file(found: _Product, name: str) -> Response:
    size, checksum = found.inventory[name]
    try:
        content = _asked(lambda: found.open(name, size))
    except OSError:
        raise _absent(f"{name} in {found.key}, which is damaged", "Make it again") from None
    return Sending(
        content,
        etag=f"{found.key.rpartition('/')[2]}-{checksum}-{size:x}",
        modified=found.modified,
        media_type="application/json" if name.endswith(".json") else "application/octet-stream",
    )


def _open(folder: Folder, key: str) -> Content:
    try:
        return content_of(folder, key)
    except OSError:
        raise _absent(key, "See /products") from None


def _names(inventory: Inventory, key: str) -> list[str]:
    """Return the names in a folder of the Zarr group."""
    start = "/".join(part for part in (DATA, key.strip("/")) if part) + "/"
    inside = (name.removeprefix(start) for name in inventory if name.startswith(start))
    return sorted({name.partition("/")[0] for name in inside})


def _page(names: list[str], request: Request) -> HTMLResponse:
    """Return links by which people and fsspec walk through a folder."""
    here = request.url.path.rstrip("/")
    links = "\n".join(
        f'<li><a href="{html.escape(f"{here}/{quote(name)}")}">{html.escape(name)}</a></li>' for name in names
    )
    title = html.escape(here)
    return HTMLResponse(
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body>\n<h1>{title}</h1>\n<ul>\n{links}\n</ul>\n</body>\n</html>\n"
    )
