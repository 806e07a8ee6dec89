"""Who asks, and what they may: the same for programs and for people at a page."""

from __future__ import annotations

from dataclasses import dataclass

from tasoc_kit.records.tokens import SCOPES, find_token

__all__ = ["NOBODY", "READER", "SCOPES", "Identity", "by_token"]


@dataclass(frozen=True)
class Identity:
    """Somebody, and the widest of the ``SCOPES`` that they have."""

    name: str
    scope: str
    """Empty for none."""
    source: str
    """How they are known: ``token``, ``hub``, or ``nobody`` where they showed nothing."""

    def may(self, scope: str) -> bool:
        """Tell whether what they have allows this."""
        return self.scope in SCOPES and SCOPES.index(self.scope) >= SCOPES.index(scope)


NOBODY = Identity("", "", "nobody")
"""Who showed nothing, where that lets nobody in."""
READER = Identity("", "read", "nobody")
"""Who showed nothing, where anybody may read."""


def by_token(token: str, *, url: str | None = None) -> Identity | None:
    """Return who shows this token, or None where it is not good, or not any more."""
    row = find_token(token, url=url)
    return None if row is None else Identity(row["name"], row["scope"], "token")
