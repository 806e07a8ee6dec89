"""Places and sizes, read once from the environment, and who runs this.

Nothing here touches a number in a product, so none of it enters a provenance id.
"""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Settings", "local_user", "settings"]

_VIZIER = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"


@dataclass(frozen=True)
class Settings:
    """Where things are on this machine."""

    store: str
    """URL of the product store (``TASOC_STORE``)."""
    shared_stores: tuple[str, ...]
    """URLs of stores that are read through and never written (``TASOC_SHARED_STORES``)."""
    database: str
    """SQLAlchemy URL of the database (``TASOC_DATABASE``)."""
    data: str
    """Folder or URL of raw files (``TASOC_DATA``)."""
    cache: Path
    """Folder of header indexes, star catalogues and simulated sectors (``TASOC_CACHE``)."""
    shared_caches: tuple[Path, ...]
    """Caches whose star catalogues are read and never written (``TASOC_SHARED_CACHES``)."""
    tap_server: str
    """Address of the server that star catalogues are fetched from (``TASOC_TAP_SERVER``)."""
    catalogs: tuple[Path, ...]
    """Folders of catalogs: one's own (``TASOC_CATALOGS``), then those shipped."""
    notebooks: tuple[Path, ...]
    """Folders of notebooks and pipelines: one's own (``TASOC_NOTEBOOKS``), then those shipped."""
    threads: int
    """Threads for pixel work (``TASOC_THREADS``)."""
    wait: float
    """Seconds to wait for another run that writes the same product (``TASOC_WAIT``)."""
    patience: float
    """Seconds over which what a server fails at is tried again (``TASOC_PATIENCE``)."""
    public: str
    """What may be done without a token: ``read``, ``none``, or empty for the usual (``TASOC_PUBLIC``)."""
    largest_upload: int
    """Bytes that one raw file may have that is sent to the API (``TASOC_LARGEST_UPLOAD``)."""


def _shipped(name: str) -> Path:
    """Return the folder in the checkout or, for an installed wheel, in the package."""
    package = Path(__file__).parent
    checkout = package.parent / name
    return checkout if (package.parent / "pyproject.toml").exists() else package / "share" / name


def _own_and_shipped(variable: str, name: str) -> tuple[Path, ...]:
    """Return one's own folders, then the one that is shipped."""
    return tuple(dict.fromkeys([*map(Path, _several(variable)), _shipped(name)]))


def _near(name: str) -> str:
    """Return a folder beside the checkout's files from anywhere inside it, else here."""
    checkout = Path(__file__).parent.parent
    inside = (checkout / "pyproject.toml").exists() and checkout in Path.cwd().parents
    return str(checkout / name) if inside else f"./{name}"


def _database(store: str) -> str:
    local = "://" not in store
    folder = Path(store).absolute() if local else Path.cwd()
    return f"sqlite:///{folder / 'tasoc.sqlite'}"


def _several(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in os.environ.get(name, "").split(",") if part.strip())


def _threads() -> int:
    given = os.environ.get("TASOC_THREADS", "")
    return max(1, int(given)) if given.isdigit() else len(os.sched_getaffinity(0))


def _seconds(name: str, usual: float) -> float:
    try:
        return max(0.0, float(os.environ.get(name) or usual))
    except ValueError:
        return usual


def _public() -> str:
    """Return what is open to all; a word that nobody knows opens nothing."""
    given = os.environ.get("TASOC_PUBLIC", "").strip().lower()
    return given if given in ("", "read") else "none"


def local_user() -> str:
    """Return the name of the account that runs this process; empty where it has none."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return ""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process; ``settings.cache_clear()`` reads them anew."""
    get = os.environ.get
    store = get("TASOC_STORE") or _near("store")
    return Settings(
        store=store,
        shared_stores=_several("TASOC_SHARED_STORES"),
        database=get("TASOC_DATABASE") or _database(store),
        data=get("TASOC_DATA") or _near("data"),
        cache=Path(get("TASOC_CACHE") or _near("cache")),
        shared_caches=tuple(map(Path, _several("TASOC_SHARED_CACHES"))),
        tap_server=get("TASOC_TAP_SERVER") or _VIZIER,
        catalogs=_own_and_shipped("TASOC_CATALOGS", "catalogs"),
        notebooks=_own_and_shipped("TASOC_NOTEBOOKS", "notebooks"),
        threads=_threads(),
        wait=_seconds("TASOC_WAIT", 0.0),
        patience=_seconds("TASOC_PATIENCE", 30.0),
        public=_public(),
        largest_upload=int(min(_seconds("TASOC_LARGEST_UPLOAD", 8e9), 1e18)),
    )
