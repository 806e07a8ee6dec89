"""Raw files that were brought in: one row for each content, whatever it was called.

A file is known by the SHA-256 of its bytes. Who brings the same bytes again is given the row of the
first time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from tasoc_kit.errors import DatabaseError
from tasoc_kit.records.engine import rows, writing
from tasoc_kit.records.tables import File

__all__ = ["CHECKSUM", "WHOLE", "add_file", "check_sha256", "find_file"]

WHOLE = "whole"
"""State of a file that is as it should be."""
CHECKSUM = "checksum"
"""State of a file that does not have the checksums that it states itself."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_sha256(text: str) -> str:
    """Return the SHA-256 of a file, or raise DatabaseError where it is none."""
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise DatabaseError(
            f"files: sha256 {text[:80]!r} is none; expected 64 hexadecimal digits in lower case. Correct it."
        )
    return text


def find_file(sha256: str, *, url: str | None = None) -> dict[str, Any] | None:
    """Return the row of a file, or None where its bytes never came."""
    found = rows(sa.select(*File.__table__.columns).where(File.sha256 == check_sha256(sha256)), url)
    return dict(found[0]) if found else None


def add_file(row: Mapping[str, Any], *, url: str | None = None) -> tuple[dict[str, Any], bool]:
    """
    Enter a file; of one whose bytes are known only the place may be another one than it was.

    Parameters
    ----------
    row
        Every column of the table ``files``.

    Returns
    -------
    The row that the table has, and whether it is new.
    """
    sha256 = check_sha256(row["sha256"])
    with writing(url) as session:
        known = session.get(File, sha256)
        if known is None:
            session.add(File(**row))
        else:
            known.location = row["location"]
    return find_file(sha256, url=url) or dict(row), known is None
