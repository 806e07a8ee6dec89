"""What every benchmark shares: claims and bounds, rows by name, a scratch folder, the last line."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["Claim", "Row", "make_parser", "print_rows", "scratch_folder"]


class Claim(NamedTuple):
    """One row: its unit, and the bounds it lies between."""

    unit: str
    most: float = math.inf
    least: float = -math.inf

    @property
    def goal(self) -> str:
        """The bounds in words."""
        if math.isinf(self.least):
            return f"<= {self.most:g}"
        return f">= {self.least:g}" if math.isinf(self.most) else f"{self.least:g} to {self.most:g}"

    def kept(self, value: float | None) -> bool:
        """Tell whether a value lies between the bounds; what could not be measured does not."""
        return value is not None and bool(self.least <= value <= self.most)


class Row(NamedTuple):
    """What was measured, and the claim that it is held against."""

    name: str
    value: float | None
    claim: Claim


def make_parser(text: str | None, claims: Mapping[str, Claim], room: int) -> argparse.ArgumentParser:
    """Return the parser of a benchmark: some rows by name, and a folder with ``room`` GB."""

    def some_rows(names: str) -> set[str]:
        wanted = {name.strip() for name in names.split(",") if name.strip()}
        unknown = sorted(wanted - claims.keys())
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {unknown}; expected some of {', '.join(claims)}")
        return wanted

    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=some_rows, default=set(claims), metavar="ROW,ROW", help="some rows")
    parser.add_argument(
        "--scratch", type=Path, help=f"folder for up to {room} GB, which are removed at the end"
    )
    return parser


@contextmanager
def scratch_folder(bench: str, inside: Path | None, threads: int) -> Iterator[Path]:
    """Give a benchmark a folder with store and cache, which is gone afterwards, after SIGTERM too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if inside is not None:
        inside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"tasoc-{bench}-", dir=inside) as folder:
        scratch = Path(folder)
        os.environ |= {
            "TASOC_STORE": str(scratch / "products"),
            "TASOC_DATABASE": "",
            "TASOC_CACHE": str(scratch / "cache"),
            "TASOC_THREADS": str(threads),
            "OPENBLAS_NUM_THREADS": "1",
        }
        yield scratch


def print_rows(
    bench: str, claims: Mapping[str, Claim], wanted: set[str], values: Mapping[str, float]
) -> None:
    """Print the JSON object with one row for each claim that was wanted, in their order."""
    rows = []
    for name in (name for name in claims if name in wanted):
        value, claim = values.get(name), claims[name]
        told = None if value is None else float(f"{value:.4g}")
        rows.append(
            {"name": name, "value": told, "unit": claim.unit, "goal": claim.goal, "ok": claim.kept(value)}
        )
    print(json.dumps({"bench": bench, "rows": rows}), flush=True)
