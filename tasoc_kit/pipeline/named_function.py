"""Functions that the file of a pipeline names, as ``module:function``; any package may bring them."""

from __future__ import annotations

import importlib
from typing import Any

from tasoc_kit.errors import NotebookError

__all__ = ["named_function"]


def named_function(name: str, who: str, role: str) -> Any:
    """
    Return what a name leads to.

    Parameters
    ----------
    name
        ``module:function``.
    who, role
        What names it, and what for: "21_apertures", "step".

    Raises
    ------
    NotebookError
        If it cannot be imported.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotebookError(
            f"{who}: its {role} {name!r} cannot be imported ({error}); expected 'module:function' of a "
            "package that is installed here. Install it, or correct the pipeline."
        ) from error
