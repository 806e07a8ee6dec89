"""What every group of commands has in common."""

from __future__ import annotations

from typing import Any

from tasoc_kit.errors import NotebookError

__all__ = ["OPTIONS", "read_numbers"]

OPTIONS: dict[str, Any] = {
    "no_args_is_help": True,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
    "add_completion": False,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


def read_numbers(option: str, text: str | None) -> list[int]:
    """Read ``1,2`` or ``1-4`` as numbers."""
    found: list[int] = []
    for part in (text or "").split(","):
        first, dash, last = part.strip().partition("-")
        try:
            if first:
                found += range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise NotebookError(
                f"{option} {text!r}: expected numbers, as 1, 1,2 or 1-4. Correct the option."
            ) from None
    return found
