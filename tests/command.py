"""The command in the process of a test, as the shell would run it."""

from __future__ import annotations

import sys

import pytest

from tasoc_kit import cli


def tasoc(
    *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Run the command, errors included, and return code, output and errors."""
    monkeypatch.setattr(sys, "argv", ["tasoc", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err
