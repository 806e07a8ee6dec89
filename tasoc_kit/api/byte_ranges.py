"""The bytes that a request asks for: ``Range``, and the conditions under which they are sent.

RFC 9110, sections 13 (conditions) and 14 (ranges).
"""

from __future__ import annotations

import re
from email.utils import formatdate, parsedate_to_datetime

from starlette.datastructures import Headers

__all__ = ["MOST_RANGES", "OutOfRange", "asked_ranges", "is_fulfilled", "is_unchanged", "http_date"]

MOST_RANGES = 32
"""Who asks for more is sent all."""

_RANGE = re.compile(r"[0-9]{1,20}-[0-9]{0,20}|-[0-9]{1,20}")
"""One range. A text is split before it is matched: one expression for all could be matched in many ways."""


class OutOfRange(ValueError):
    """None of the bytes that were asked for is there."""


def http_date(moment: float) -> str:
    """Return seconds since 1970 as a date of HTTP."""
    return formatdate(moment, usegmt=True)


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}


def _not_later(date: str, modified: float) -> bool:
    """Tell whether something was last changed not after a date; a text that is no date says nothing."""
    try:
        return int(modified) <= parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return False


def is_fulfilled(headers: Headers, etag: str) -> bool:
    """Tell whether ``If-Match``, where there is one, names what would be sent."""
    wanted = headers.get("if-match", "*").strip()
    return wanted == "*" or etag in {tag.strip() for tag in wanted.split(",")}


def is_unchanged(headers: Headers, etag: str, modified: float) -> bool:
    """Tell whether the one who asks has it already, by ``If-None-Match``, else ``If-Modified-Since``."""
    known = headers.get("if-none-match")
    if known is not None:
        return known.strip() == "*" or etag in _tags(known)
    since = headers.get("if-modified-since")
    return since is not None and _not_later(since, modified)


def asked_ranges(headers: Headers, size: int, etag: str, modified: float) -> list[tuple[int, int]]:
    """
    Return the first byte and the byte behind the last one of every range; none where all is to be sent.

    Ranges that touch are joined. What is no range of bytes is passed over, as the standard wants it, and so
    are ranges of something that has changed since (``If-Range``).

    Raises
    ------
    OutOfRange
        If all of them begin behind the end.
    """
    unit, _, listed = headers.get("range", "").partition("=")
    if unit.strip().lower() != "bytes" or not _still(headers.get("if-range"), etag, modified):
        return []
    texts = [text for part in listed.split(",") if (text := part.strip())]
    if not 0 < len(texts) <= MOST_RANGES or not all(map(_RANGE.fullmatch, texts)):
        return []
    ranges = [_bounds(text, size) for text in texts]
    if None in ranges:
        return []
    inside = sorted(found for found in ranges if found and found[0] < found[1])
    if not inside:
        raise OutOfRange(headers["range"])
    joined = [inside[0]]
    for start, end in inside[1:]:
        if start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _bounds(text: str, size: int) -> tuple[int, int] | None:
    """Return the bounds of one range; None for one that ends before it begins."""
    first, _, last = text.partition("-")
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _still(condition: str | None, etag: str, modified: float) -> bool:
    return condition is None or condition.strip() in (etag, http_date(modified))
