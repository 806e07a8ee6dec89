"""The way to another star: by its number, or to the next brighter or fainter one."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import panel_material_ui as pmui

from tasoc_kit.dashboards import theme
from tasoc_kit.errors import TasocKitError

__all__ = ["star_walk"]


def star_walk(choose: Callable[[int], None], step: Callable[[int], None]) -> list[Any]:
    """
    Return what stands beside a page of single stars.

    Parameters
    ----------
    choose
        Goes to the star with a TIC number; its TasocKitError is shown below the field.
    step
        Goes to the next brighter star (−1) or fainter one (+1).
    """
    search = pmui.TextInput(
        label="TIC number", placeholder="press Enter", size="small", sizing_mode="stretch_width"
    )
    trouble = theme.markup("")

    def look(_event: Any) -> None:
        said = str(search.value or "").upper().removeprefix("TIC").strip()
        trouble.object = ""
        try:
            if said:
                choose(int(said) if said.isdigit() else -1)
        except TasocKitError as error:
            trouble.object = f"<p class='soft'>{html.escape(str(error))}</p>"

    search.param.watch(look, "value")
    buttons = []
    for title, way in (("← Brighter", -1), ("Fainter →", 1)):
        button = pmui.Button(label=title, variant="outlined", size="small", color="default")
        button.on_click(lambda _event, way=way: step(way))
        buttons.append(button)
    return [search, trouble, theme.beside(*buttons)]
