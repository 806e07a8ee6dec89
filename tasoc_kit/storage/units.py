"""The names that a product is found by: product, unit, id; and that of an executed notebook.

A *unit* is what a pipeline works on at a time: one CCD of one sector, or a cutout of it. Light curves of
files are a unit of their own, in sector 0 where they are of none, without camera or CCD where they are of
several. All names are checked before they become a path, so none can lead out of the store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from tasoc_kit.errors import StoreError

__all__ = [
    "LOG",
    "UNIT_PATTERN",
    "ProductRef",
    "check_id",
    "check_name",
    "check_unit",
    "is_id",
    "is_name",
    "parse_unit",
    "product_unit",
    "unit_matches",
    "unit_name",
]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_UNIT = re.compile(
    r"s(?P<sector>[0-9]{4})(-(?P<camera>[1-4])(-(?P<ccd>[1-4]))?)?(-(?P<field>[a-z][a-z0-9_]{0,63}))?"
)
_ID = re.compile(r"[0-9a-f]{12}")

UNIT_PATTERN = f"^{re.sub(r'[?]P<[a-z]+>', '', _UNIT.pattern)}$"
"""What names a unit, as a pattern that other languages read too."""

LOG = re.compile(
    rf"runs/(?P<unit>{UNIT_PATTERN[1:-1]}|jobs)/(?P<notebook>\w[\w.-]{{0,80}}?)"
    rf"-(?:(?P<id>{_ID.pattern})|job[0-9]{{1,18}})(?P<failed>-failed)?\.ipynb"
)
"""Key of an executed notebook in a store; no other file is read for one. It has the id of its product, or the
number of the job that ran it alone; such a job lies in ``jobs`` where it names no unit."""


@dataclass(frozen=True)
class ProductRef:
    """One complete product."""

    name: str
    unit: str
    id: str
    store: str
    created: float
    """When it was completed, in seconds since 1970."""

    @property
    def key(self) -> str:
        """Its folder, relative to the store."""
        return f"{self.name}/{self.unit}/{self.id}"

    @property
    def url(self) -> str:
        """Its folder."""
        return f"{self.store}/{self.key}"


def _checked(kind: str, value: str, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise StoreError(f"store: {kind} {value!r} is not usable; expected {expected}. Correct it.")
    return value


def check_name(name: str) -> str:
    """Return the name of a product, or raise StoreError where it is none."""
    return _checked("product", name, _NAME, "lower-case letters, digits and _")


def check_id(value: str) -> str:
    """Return an id, or raise StoreError where it is none."""
    return _checked("id", value, _ID, "12 hexadecimal digits")


def check_unit(unit: str) -> str:
    """Return the name of a unit, or raise StoreError where it is none."""
    return _checked("unit", unit, _UNIT, "a name like s0001-1-2, or s0001-1-2-r0123c0456 of a cutout")


def unit_name(
    sector: int, camera: int | None = None, ccd: int | None = None, field: str | None = None
) -> str:
    """
    Return the name of a unit: ``s0001-1-2``, or with a field ``s0001-1-2-r0123c0456``.

    Raises
    ------
    StoreError
        If camera or CCD are not 1 to 4, or the field is not a plain word that begins with a letter.
    """
    parts = [f"s{int(sector):04d}", *(str(part) for part in (camera, ccd) if part is not None)]
    return check_unit("-".join([*parts, field] if field else parts))


def product_unit(dataset: xr.Dataset) -> str:
    """Return the unit that a Dataset belongs to, from its attributes."""
    attrs = dataset.attrs
    if "sector" not in attrs:
        raise StoreError(
            f"store: a Dataset has no attribute 'sector'; it has {sorted(map(str, attrs))}. "
            "Set sector, camera, ccd (and field for a cutout), or make it with a step."
        )
    return unit_name(attrs["sector"], attrs.get("camera"), attrs.get("ccd"), attrs.get("field") or None)


def is_name(text: str) -> bool:
    """Tell whether a text is the name of a product."""
    return bool(_NAME.fullmatch(text))


def is_id(text: str) -> bool:
    """Tell whether a text is an id."""
    return bool(_ID.fullmatch(text))


def parse_unit(unit: str) -> dict[str, Any]:
    """Return sector, camera, ccd (0 where the unit has none) and field; empty where it is no unit."""
    found = _UNIT.fullmatch(unit)
    if not found:
        return {}
    numbers = {name: int(found[name] or 0) for name in ("sector", "camera", "ccd")}
    return {**numbers, "field": found["field"] or ""}


def unit_matches(unit: str, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a unit has the wanted sector, camera, ccd and field; None fits all."""
    parts = parse_unit(unit)
    return all(value is None or parts.get(name) == value for name, value in wanted.items())
