"""``tasoc inject``: send raw files to an API; what it has already is not sent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from tasoc_kit.errors import SourceError, TasocKitError, without_secrets

if TYPE_CHECKING:
    import requests

__all__ = ["inject"]

_CHUNK = 2**20
_SILENT_SECONDS = 300.0
"""How long a server may check a file before it answers."""
_SHOWN = 5


def inject(
    files: Annotated[list[Path], typer.Argument(help="FFIs, TESScut cubes, target pixel files; or folders.")],
    to: Annotated[str, typer.Option(help="Address of the API, as http://127.0.0.1:8000.")],
    pipeline: Annotated[
        str | None, typer.Option(help="Pipeline to start on the unit of each file, as photometry.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File that holds the token. Default: the variable TASOC_TOKEN.")
    ] = None,
) -> None:
    """
    Send raw files to an API, which checks and catalogues them; what it has already is not sent.

    [bold]Examples[/]

    tasoc inject frames/ --to http://127.0.0.1:8000

    tasoc inject tess-s0002-1-2_astrocut.fits --to http://127.0.0.1:8000 --pipeline photometry
    """
    raise typer.Exit(_inject(_files(files), to.rstrip("/"), pipeline, _token(token_file)))


def _token(path: Path | None) -> str:
    """Return the token: an argument would be seen by everybody on the machine."""
    try:
        text = path.read_text() if path is not None else os.environ.get("TASOC_TOKEN", "")
    except (OSError, UnicodeDecodeError) as error:
        raise TasocKitError(f"inject: {path} cannot be read ({error}). Give a file with a token.") from None
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise TasocKitError(
            "inject: there is no token; expected one of scope write in TASOC_TOKEN or with --token-file. "
            "Make one where the API runs: tasoc token create NAME --scope write"
        )
    return token


def _files(given: Sequence[Path]) -> list[Path]:
    from tasoc_kit.sources.byte_source import list_files

    found: list[Path] = []
    for path in given:
        here = [Path(name) for name in list_files(path)]
        if not here:
            raise SourceError.for_file(path, "there is no FITS file there", "Give a file or a folder.")
        found += here
    return list(dict.fromkeys(found))


def _inject(files: Sequence[Path], url: str, pipeline: str | None, token: str) -> int:
    import requests
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    from tasoc_kit.commands.look import as_size, console, show_error

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    new, kept, problems, sent, jobs = 0, 0, [], 0, set[int]()
    hidden = not console.is_terminal
    with (
        requests.Session() as session,
        Progress("{task.description}", *columns, console=console, transient=True, disable=hidden) as bars,
    ):
        session.headers["Authorization"] = f"Bearer {token}"
        task = bars.add_task(f"{len(files)} files", total=sum(path.stat().st_size for path in files))
        for path in files:
            try:
                row = _send(session, url, path, pipeline, lambda number: bars.advance(task, number))
            except SourceError as error:
                problems.append(str(error))
                continue
            new, kept = new + row["new"], kept + (not row["new"])
            sent += row["bytes"] * row["new"]
            jobs |= {row["job"]} - {None}
    for problem in problems[:_SHOWN]:
        show_error(problem)
    console.print(f"{new} files are new there, {as_size(sent)}; {kept} were there; {len(problems)} refused.")
    if jobs:
        console.print(f"Jobs: {', '.join(map(str, sorted(jobs)))}. Look: {url}/jobs")
    return 1 if problems else 0


class _Body:
    """A file that is sent, and tells how far it is; it has a length, so it is not sent in chunks."""

    def __init__(self, path: Path, progress: Callable[[int], None]) -> None:
        self._path, self._progress = path, progress
        self._size = path.stat().st_size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as opened:
            while data := opened.read(_CHUNK):
                yield data
                self._progress(len(data))


def _send(
    session: requests.Session, url: str, path: Path, pipeline: str | None, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Send one file, held against its SHA-256; one that is there already is asked for its row alone."""
    import requests

    try:
        with path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        asked = {"sha256": sha256} | ({"pipeline": pipeline} if pipeline else {})
        there = session.head(f"{url}/download/raw/{sha256}", timeout=_SILENT_SECONDS).status_code == 200
        if there and not pipeline:
            progress(path.stat().st_size)
            return {"new": False, "bytes": path.stat().st_size, "job": None}
        answer = session.put(
            f"{url}/inject/{quote(path.name, safe='')}",
            params=asked,
            data=_Body(path, progress),
            timeout=_SILENT_SECONDS,
        )
    except (OSError, requests.RequestException) as error:
        raise SourceError.for_file(
            path,
            f"it could not be sent to {without_secrets(url)} ({error})",
            "See whether the API runs, and send it again.",
        ) from None
    return _row(path, answer)


def _row(path: Path, answer: requests.Response) -> dict[str, Any]:
    try:
        told = dict(answer.json())
    except ValueError:
        told = {}
    if answer.ok and "sha256" in told:
        return told
    problem = told.get("error") or f"HTTP {answer.status_code}, and not from an API of tasoc_kit"
    raise SourceError.for_file(path, problem, told.get("next") or "Correct --to, or look at its log.")
