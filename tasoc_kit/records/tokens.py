"""What people and programs show to be let in: made once, shown once, kept as a hash.

A token is 32 random bytes, so nobody can try them all: a fast hash keeps it as well as a slow one,
and a look-up by the hash tells nothing by its time.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import secrets
from typing import Any

import pandas as pd
import sqlalchemy as sa

from tasoc_kit.errors import DatabaseError, NotFoundError, OutOfReachError
from tasoc_kit.records.engine import frame, rows, writing
from tasoc_kit.records.tables import Token

__all__ = [
    "MOST_DAYS",
    "PREFIX",
    "SCOPES",
    "find_token",
    "list_tokens",
    "make_token",
    "revoke_token",
    "token_of_hash",
]

SCOPES = ("read", "write", "admin")
"""Each allows what stands before it, too."""

PREFIX = "tasoc_"
"""What every token begins with, so that people and scanners know one when they see it."""


MOST_DAYS = 3650

_NOTED_EVERY = datetime.timedelta(hours=12)
_log = logging.getLogger(__name__)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def make_token(name: str, scope: str = "read", *, days: float | None = None, url: str | None = None) -> str:
    """
    Make a token and return it; nobody can read it again.

    Parameters
    ----------
    name
        Whose it is, or what it is for.
    scope
        One of ``SCOPES``.
    days
        How long it lasts; by default until it is revoked.

    Raises
    ------
    DatabaseError
        If the name is empty, the scope is another word, or the days are not above 0.
    """
    if scope not in SCOPES:
        raise DatabaseError(f"token {name!r}: scope {scope!r}; expected one of {SCOPES}. Choose one.")
    if not name.strip() or len(name) > 64:
        raise DatabaseError(f"token: name {name[:70]!r}; expected 1 to 64 characters. Say whose it is.")
    if days is not None and not 0 < days <= MOST_DAYS:
        raise DatabaseError(
            f"token {name!r}: days={days}; expected above 0, at most {MOST_DAYS}. Leave it out for no end."
        )
    token, now = PREFIX + secrets.token_urlsafe(32), _now()
    row = Token(
        name=name,
        hash=_hash(token),
        scope=scope,
        made=now,
        expires=None if days is None else now + datetime.timedelta(days=days),
        used=None,
        revoked=None,
    )
    with writing(url) as session:
        session.add(row)
    return token


def find_token(token: str, *, url: str | None = None) -> dict[str, Any] | None:
    """Return the row of a token that is still good, or None; the day of its use is noted."""
    found = token_of_hash(_hash(token), url=url)
    if found and (found["used"] is None or found["used"] < _now() - _NOTED_EVERY):
        _note_use(found["token"], url)
    return found


def token_of_hash(hash: str, *, url: str | None = None) -> dict[str, Any] | None:
    """Return the row of the token that has this hash, if it is still good, or None."""
    found = rows(sa.select(*Token.__table__.columns).where(Token.hash == hash), url)
    if not found or found[0]["revoked"] is not None:
        return None
    expires = found[0]["expires"]
    if expires is not None and expires <= _now():
        return None
    return dict(found[0])


def _note_use(number: int, url: str | None) -> None:
    """Who may only read a database may still be let in."""
    try:
        with writing(url) as session:
            session.execute(sa.update(Token).where(Token.token == number).values(used=_now()))
    except OutOfReachError as error:
        _log.warning("token %d was used, which could not be noted: %s", number, error)


def list_tokens(*, url: str | None = None) -> pd.DataFrame:
    """Return every token that was made, without its hash, the newest first."""
    statement = sa.select(*Token.__table__.columns).order_by(Token.token.desc())
    return frame(Token, statement, url).drop(columns="hash")


def revoke_token(number: int, *, url: str | None = None) -> None:
    """
    Let nobody in by a token from now on.

    Raises
    ------
    NotFoundError
        If there is no such token.
    """
    with writing(url) as session:
        found = session.get(Token, number)
        if found is None:
            raise NotFoundError(
                f"token {number}: there is none; expected its number. See 'tasoc token list'."
            )
        found.revoked = found.revoked or _now()
