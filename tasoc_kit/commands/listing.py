"""The verbs that list: parameters, products, provenance, places on the sky, frames, this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.progress import Progress

from tasoc_kit.commands.look import as_size, confirm, console, show_frame, table
from tasoc_kit.pipeline.schema import find_pipeline

__all__ = [
    "index_frames",
    "prune_store",
    "show_doctor",
    "show_parameters",
    "show_products",
    "show_provenance",
    "show_where",
]


def show_parameters(pipeline: str) -> None:
    """Show the settings of every step, from its own schema, and the tables that it may be given."""
    from tasoc_kit.pipeline.parameters import read_parameters

    found = find_pipeline(pipeline)
    rows = []
    for stage in found.notebooks:
        step = stage.load_step()
        for info in step.schema() if step else ():
            value = stage.parameters.get(info.name, info.default)
            rows.append((f"{stage.name}.{info.name}", info.type, json.dumps(value), info.unit, info.meaning))
        for given in read_parameters(stage.path) if stage.side_tables else ():
            if given.name in stage.side_tables:
                kind = getattr(given.annotation, "__name__", str(given.annotation))
                default = json.dumps(given.default)
                rows.append((f"{stage.name}.{given.name}", kind, default, "", given.comment))
    table(
        f"{found.name}: {found.title}",
        ("parameter", "type", "default", "unit", "meaning"),
        rows,
        ("default",),
    )
    console.print(f"Change one: tasoc run {found.name} --set {rows[0][0]}=VALUE, or --config FILE")


def show_products(name: str | None) -> None:
    """Show the products of the store."""
    from tasoc_kit.store import list_products

    found = list_products(name)
    rows = [
        (r.product, r.unit, r.id, r.tags, f"{r.created:%Y-%m-%d %H:%M}", as_size(r.bytes), r.store)
        for r in found.itertuples()
    ]
    columns = ("product", "unit", "id", "tags", "created (UTC)", "size", "store")
    table("products", columns, rows, ("size",))
    console.print(f"{len(rows)} products, {as_size(float(found['bytes'].sum()))}")


def prune_store(*, dry_run: bool, ask: bool) -> None:
    """Show what may go, and remove it unless this is a dry run or the person says no."""
    from tasoc_kit.products import prune

    going = prune(dry_run=True)
    rows = [(r.product, r.unit, r.id, r.reason, as_size(r.bytes)) for r in going.itertuples()]
    table("may go", ("product", "unit", "id", "reason", "size"), rows, ("size",))
    told = f"{len(rows)} folders, {as_size(float(going['bytes'].sum()))}"
    if dry_run or not rows:
        console.print(f"{told}. Nothing was removed.")
    elif not ask or confirm(f"Remove {told}?", default=False):
        prune(dry_run=False)
        console.print(f"Removed {told}.")


def show_provenance(beginning: str) -> None:
    """Show the records of a product and of its ancestors."""
    from tasoc_kit.products import show

    rows = [
        (
            id_,
            f"{record['step']} v{record['version']}",
            _pairs(record["parameters"]),
            "\n".join(record["parents"]),
            _pairs(record["libraries"]),
        )
        for id_, record in show(beginning).items()
    ]
    table("provenance, the product first", ("id", "step", "parameters", "inputs", "libraries"), rows)


def _pairs(values: dict[str, Any]) -> str:
    return "\n".join(f"{name}={value}" for name, value in values.items())


def show_where(target: str, catalogue: str | None) -> None:
    """Show the sectors in which TESS saw a place."""
    from tasoc_kit.sources.pointings import where

    found = where(target, catalogue)
    if not len(found):
        console.print(f"{target}: TESS has not had it on a CCD.")
        return
    show_frame(str(target), found.round(1), list(found.columns))


def index_frames(
    source: str, output: Path | None, *, sector: int | None, camera: int | None, ccd: int | None
) -> None:
    """Scan headers with a bar, and show how many frames there are of each unit."""
    from tasoc_kit import catalog

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("headers", total=None)

        def progress(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        found = catalog.index(source, output, sector=sector, camera=camera, ccd=ccd, progress=progress)
    counts = found.groupby(["sector", "camera", "ccd"], dropna=False).size().reset_index(name="frames")
    show_frame(source, counts, list(counts.columns))
    console.print(f"{len(found)} frames" + (f", index in {output}" if output else ""))


def show_doctor() -> int:
    """Show what is present and what is missing; return 1 where nothing runs without it."""
    from tasoc_kit.doctor import examine

    findings = examine()
    rows = [(f.name, "ok" if f.present else "missing", f.needed_for, f.version) for f in findings]
    table("this machine", ("what", "state", "needed for", "found"), rows)
    for finding in findings:
        if not finding.present:
            console.print(f"[yellow]{finding.name}[/]: {escape(finding.install)}", soft_wrap=True)
    lacking = [f.name for f in findings if f.required and not f.present]
    console.print(f"Missing: {', '.join(lacking)}" if lacking else "Everything that is needed is there.")
    return 1 if lacking else 0
