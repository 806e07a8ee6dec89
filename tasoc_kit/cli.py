"""The ``tasoc`` command: its verbs, their options and examples.

Every verb imports what it needs when it is used, so ``tasoc --help`` answers at once. An error
that a person can act on is one red line and exit code 2; a run with failures ends with 1.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import typer

from tasoc_kit import __version__
from tasoc_kit.commands.api import api
from tasoc_kit.commands.archive import app as archives
from tasoc_kit.commands.catalog import app as catalogs
from tasoc_kit.commands.database import app as tables
from tasoc_kit.commands.export import app as exports
from tasoc_kit.commands.fetch import fetch
from tasoc_kit.commands.inject import inject
from tasoc_kit.commands.job import app as jobs
from tasoc_kit.commands.options import OPTIONS, read_numbers
from tasoc_kit.commands.provenance import app as records
from tasoc_kit.commands.targets import app as star_catalogues
from tasoc_kit.commands.token import app as tokens
from tasoc_kit.commands.worker import worker
from tasoc_kit.errors import TasocKitError

__all__ = ["app", "main"]

_STOPPED = 130
"""Exit code of typer after Ctrl-C."""

app = typer.Typer(help="TESS Full-Frame Images to reviewed light curves.", **OPTIONS)
app.add_typer(catalogs, name="catalog")
app.add_typer(records, name="provenance")
app.add_typer(tables, name="database")
app.add_typer(star_catalogues, name="targets")
app.add_typer(exports, name="export")
app.add_typer(archives, name="archive")
app.add_typer(tokens, name="token")
app.add_typer(jobs, name="job")
app.command()(fetch)
app.command()(inject)
app.command()(api)
app.command()(worker)

Pipeline = Annotated[str, typer.Argument(help="Name of the pipeline: photometry, seismology, or one's own.")]
Unit = Annotated[str | None, typer.Option(help="Only this unit, as s0001-1-2.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tasoc_kit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """TESS Full-Frame Images to reviewed light curves."""


def _whole(path: str) -> str:
    """Return a path that means the same in any folder; URLs stay."""
    return path if "://" in path else str(Path(path).expanduser().absolute())


@app.command()
def run(
    pipeline: Pipeline = "photometry",
    cube: Annotated[
        str | None,
        typer.Option(
            help="Catalog entry, folder, file or URL of the frames. Default: ffi.local; simulation.demo "
            "where no sector, camera or CCD is given."
        ),
    ] = None,
    sector: Annotated[str | None, typer.Option(help="Sector, or several: 14 or 14,15.")] = None,
    camera: Annotated[str | None, typer.Option(help="Camera, or several: 1 or 1,2. All by default.")] = None,
    ccd: Annotated[str | None, typer.Option(help="CCD, or several. All by default.")] = None,
    catalogue: Annotated[
        str | None,
        typer.Option(
            help="Star catalogue: a file, targets.tic or targets.gaia. Default: stars.parquet beside the "
            "frames, else the TIC where tasoc targets fetch has brought it."
        ),
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Your list of targets: TIC numbers or positions, CSV, parquet or text.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First step.")] = None,
    last: Annotated[str | None, typer.Option("--until", help="Last step.")] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="step.parameter=value; may be repeated.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings by step.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, and what it takes.")
    ] = False,
    executor: Annotated[str, typer.Option(help="local (processes) or dask.")] = "local",
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Notebooks at the same time. Default: 1; with dask one for each worker."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another run of a unit to end.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one notebook cell may take.")] = 86_400,
    to_queue: Annotated[
        str | None, typer.Option("--queue", help="Do not run: put a job for each unit into this queue.")
    ] = None,
) -> None:
    """
    Run a pipeline; what the store has already is kept, so a run that was killed goes on.

    [bold]Examples[/]

    tasoc run photometry                                      the demonstration

    tasoc run photometry --sector 1 --camera 1 --ccd 2        frames below TASOC_DATA

    tasoc run photometry --cube frames/ --camera 1,2 --dry-run

    tasoc run photometry --sector 1 --targets mine.csv --set stars.only_targets=true

    tasoc run photometry --sector 1 --queue default           a job for each CCD, for tasoc worker

    tasoc run photometry --cube tic25155310.fits --from apertures --set apertures.threshold=1.0
    """
    from tasoc_kit.commands.run import Options, run_pipeline

    options = Options(
        pipeline=pipeline,
        cube=cube,
        sectors=read_numbers("--sector", sector),
        cameras=read_numbers("--camera", camera),
        ccds=read_numbers("--ccd", ccd),
        catalogue=catalogue,
        first=first,
        last=last,
        assignments=[*(assign or []), *([f"stars.targets={_whole(targets)}"] if targets else [])],
        config=config,
        dry_run=dry_run,
        executor=executor,
        scheduler=scheduler,
        workers=workers,
        wait=wait,
        timeout=timeout,
        to_queue=to_queue,
    )
    raise typer.Exit(run_pipeline(options))


@app.command()
def parameters(pipeline: Pipeline = "photometry") -> None:
    """
    List the settings of every step: name, unit, default, meaning.

    [bold]Example[/]

    tasoc parameters photometry
    """
    from tasoc_kit.commands.listing import show_parameters

    show_parameters(pipeline)


@app.command()
def status(unit: Unit = None) -> None:
    """
    Show what is done, what runs, and what failed with its reason and log.

    [bold]Examples[/]

    tasoc status

    tasoc status --unit s0001-1-2
    """
    from tasoc_kit.commands.status import show_status

    show_status(unit)


@app.command()
def products(
    name: Annotated[str | None, typer.Argument(help="Only this product.")] = None,
) -> None:
    """
    List the products of the store.

    [bold]Examples[/]

    tasoc products

    tasoc products light_curves
    """
    from tasoc_kit.commands.listing import show_products

    show_products(name)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; remove nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """
    Remove superseded products without a tag, and what killed runs left.

    [bold]Example[/]

    tasoc prune --dry-run
    """
    from tasoc_kit.commands.listing import prune_store

    prune_store(dry_run=dry_run, ask=not yes)


@app.command()
def where(
    target: Annotated[str, typer.Argument(help="TIC number, or 'RA DEC' in degrees.")],
    catalogue: Annotated[
        str | None, typer.Option(help="Star catalogue in which a TIC number is looked up.")
    ] = None,
) -> None:
    """
    Say in which sectors, on which camera, CCD and pixel TESS saw a place; without the internet.

    [bold]Examples[/]

    tasoc where "84.291 -80.469"

    tasoc where 261136679 --catalogue stars.csv
    """
    from tasoc_kit.commands.listing import show_where

    show_where(target, catalogue)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the FITS files go.")],
    sector: Annotated[int, typer.Option(min=1)] = 1,
    camera: Annotated[int, typer.Option(min=1, max=4)] = 1,
    ccd: Annotated[int, typer.Option(min=1, max=4)] = 2,
    frames: Annotated[int, typer.Option(min=0)] = 64,
    size: Annotated[int, typer.Option(min=32, max=2048, help="Science rows and columns.")] = 256,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting, as structure=5; may be repeated.")
    ] = None,
) -> None:
    """
    Write a simulated sector as SPOC FITS files, with its truth and its stars.

    [bold]Examples[/]

    tasoc simulate frames/ --frames 96 --size 512

    tasoc simulate frames/ --set structure=5 --set cadence=200
    """
    from tasoc_kit.commands.simulate import simulate_sector

    fixed = {"sector": sector, "camera": camera, "ccd": ccd, "frames": frames, "seed": seed}
    simulate_sector(folder, fixed | {"rows": size, "columns": size}, assign or [])


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 5006,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    origin: Annotated[
        list[str] | None, typer.Option(help="Further host:port that browsers may use; may be repeated.")
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="Path that a proxy in front leaves in, as /services/dashboard/.")
    ] = "",
) -> None:
    """
    Serve the dashboards: frames, and light curves to review.

    [bold]Example[/]

    tasoc dashboard --port 5006
    """
    from tasoc_kit.commands.look import console
    from tasoc_kit.dashboards.app import serve
    from tasoc_kit.dashboards.visitor import sign_in_address
    from tasoc_kit.hub_users import end_with_hub

    def ready(url: str) -> None:
        console.print(f"Dashboards at {url} (Ctrl-C ends them)")
        if console.is_terminal:  # a log is no place for what lets people in
            console.print(f"To judge stars and to run things, open {sign_in_address(url)}", soft_wrap=True)

    end_with_hub()
    serve(address, port, origins=tuple(origin or ()), prefix=prefix, ready=ready)


@app.command()
def doctor() -> None:
    """
    Say what this machine has and lacks, and the line that installs it.

    [bold]Example[/]

    tasoc doctor
    """
    from tasoc_kit.commands.listing import show_doctor

    raise typer.Exit(show_doctor())


@contextmanager
def _stopped_as_by_hand() -> Iterator[list[int]]:
    """Let a command that is told to end tidy up as it does after Ctrl-C; give the signals that came."""
    came: list[int] = []

    def stop(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        came.append(number)
        raise KeyboardInterrupt

    # Whoever lets a signal be ignored, as nohup does, means it.
    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield came
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def main() -> None:
    """Run the command; errors that a person can act on are one line."""
    with _stopped_as_by_hand() as signals:
        try:
            app()
        except TasocKitError as error:
            from tasoc_kit.commands.look import show_error

            show_error(str(error))
            sys.exit(2)
        except SystemExit as ended:
            if ended.code != _STOPPED:
                raise
            from tasoc_kit.commands.look import show_error

            show_error("Stopped. What was done is kept; the same command goes on from there.")
            sys.exit(128 + signals[0] if signals else _STOPPED)


if __name__ == "__main__":
    main()
