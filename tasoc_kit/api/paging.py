"""Pages that are cut by a key: an opaque cursor says where the next one begins.

A cursor is no secret and gives no right: it holds the last key of a page. So the thousandth page costs
what the first one does, and rows that come or go in between are neither doubled nor lost.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Annotated, Any

import orjson
from fastapi import Query

from tasoc_kit.api.problems import Problem

__all__ = ["MOST_ROWS", "Cursor", "Limit", "decode", "encode"]

MOST_ROWS = 1000
_LONGEST = 400

Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Most rows of this page.")]
Cursor = Annotated[
    str | None, Query(max_length=_LONGEST, description="`next` of the page before; nothing for the first.")
]


def encode(key: tuple[Any, ...] | None) -> str | None:
    """Return the cursor of a key of numbers and texts; None for none."""
    if key is None:
        return None
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode().rstrip("=")


def decode(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """
    Return the key of a cursor; None for no cursor.

    Parameters
    ----------
    kinds
        Type of each part: ``str``, ``int`` or ``float``.

    Raises
    ------
    Problem
        If it is not one that this query gave.
    """
    if cursor is None:
        return None
    try:
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        key = None
    if not isinstance(key, list) or len(key) != len(kinds) or not all(map(_fits, key, kinds)):
        raise Problem(
            422,
            f"cursor={cursor[:40]!r}: it is none of this query; expected the 'next' of a page before. "
            "Leave it out for the first page.",
        )
    return tuple(kind(value) for value, kind in zip(key, kinds, strict=True))


def _fits(value: Any, kind: type) -> bool:
    if kind is str or isinstance(value, str | bool):
        return kind is str and isinstance(value, str)
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) >= 2**53:
        return False
    return kind is float or isinstance(value, int)
