"""What people say of a star, or of a CCD as a whole: two buttons, a comment, the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn
import panel_material_ui as pmui

from tasoc_kit.dashboards import theme
from tasoc_kit.errors import TasocKitError

__all__ = ["WHOLE_CCD", "Verdict"]

WHOLE_CCD = -1
"""Stands for the star in a review of the whole CCD."""

_BUTTONS = {"accept": ("Accept", "success"), "reject": ("Reject", "error"), "": ("Undo", "default")}


class Verdict(pn.viewable.Viewer):
    """One standing verdict and comment, and what changes them; the button that stands is filled."""

    def __init__(self, save: Callable[[str, str], None], keys: dict[str, str] | None = None) -> None:
        """
        Make the controls.

        Parameters
        ----------
        save
            Called with a verdict (``accept``, ``reject``, or empty) and a comment; may raise TasocKitError.
        keys
            Verdict → the key that gives it, for the labels.
        """
        super().__init__()
        self._save, self.verdict = save, ""
        self.comment = pmui.TextInput(
            label="Comment", placeholder="Enter keeps it", sizing_mode="stretch_width", size="small"
        )
        self.comment.param.watch(lambda _event: self.say(self.verdict), "enter_pressed")
        self.alert = pmui.Alert(severity="error", visible=False, sizing_mode="stretch_width")
        self.buttons = {}
        for verdict, (title, color) in _BUTTONS.items():
            key = f" ({keys[verdict]})" if keys else ""
            button = pmui.Button(label=f"{title}{key}", color=color, variant="outlined", size="small")
            button.on_click(lambda _event, verdict=verdict: self.say(verdict))
            self.buttons[verdict] = button

    def show(self, verdict: str, comment: str) -> None:
        """Show what stands."""
        self.verdict, self.comment.value = verdict, comment
        for name, button in self.buttons.items():
            button.variant = "contained" if name and name == verdict else "outlined"
        self.buttons[""].disabled = not verdict

    def say(self, verdict: str) -> bool:
        """Keep a verdict with the comment that is written; tell whether that was possible."""
        comment = self.comment.value_input or self.comment.value or ""
        try:
            self._save(verdict, comment)
        except TasocKitError as error:
            self.alert.param.update(object=str(error), visible=True)
            return False
        self.alert.visible = False
        self.show(verdict, comment)
        return True

    def row(self, *before: Any) -> pn.Column:
        """Return the controls in one row, behind others, or below each other where there is no room."""
        row = theme.beside(*before, *self.buttons.values(), self.comment, each=240)
        return pn.Column(row, self.alert, sizing_mode="stretch_width")
