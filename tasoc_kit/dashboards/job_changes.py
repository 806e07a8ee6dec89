"""Buttons that change the job that is looked at, for those who may."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import panel as pn
import panel_material_ui as pmui

from tasoc_kit.dashboards import theme
from tasoc_kit.dashboards.visitor import check_write, identity
from tasoc_kit.errors import JobError, TasocKitError
from tasoc_kit.records.jobs import CHANGES, OPEN, change_job

__all__ = ["JobChanges"]

_TITLES = {
    "cancel": "Cancel job {}",
    "hold": "Hold job {}",
    "release": "Release job {}",
    "retry": "Try job {} again",
}


class JobChanges(pn.viewable.Viewer):
    """What may be done to one job, as it is now."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """
        Make the buttons; none shows before a job does.

        Parameters
        ----------
        changed
            Called when a job was changed.
        """
        super().__init__()
        self._changed = changed
        self._seen: tuple[Any, ...] = ()
        self._job: Mapping[str, Any] = {}
        self.buttons = {
            change: pmui.Button(
                variant="outlined", size="small", color="default", visible=False, margin=(8, 10, 0, 0)
            )
            for change in _TITLES
        }
        for change, button in self.buttons.items():
            button.on_click(partial(self._change, change))
        self.told = theme.markup("")

    def show(self, job: Mapping[str, Any] | None) -> None:
        """Offer what may be done to a job; nothing without one."""
        seen = () if job is None else (job["job"], job["state"], job["cancelled"])
        if seen == self._seen:
            return
        self._job, self._seen = job or {}, seen
        allowed = self._allowed()
        for change, button in self.buttons.items():
            button.param.update(
                label=_TITLES[change].format(seen[0] if seen else ""), visible=change in allowed
            )
        self.told.object = self._words()

    def _allowed(self) -> list[str]:
        if not self._job or self._is_ending():
            return []
        mine = identity().may_change(self._job["submitter"])
        return [change for change in _TITLES if mine and self._job["state"] in CHANGES[change]]

    def _is_ending(self) -> bool:
        return bool(self._job["cancelled"]) and self._job["state"] in OPEN

    def _words(self) -> str:
        """Return why there is no button where somebody would look for one."""
        if not self._job or self._job["state"] not in OPEN:
            return ""
        if self._is_ending():
            return "<p class='soft'>Its worker is asked to end it.</p>"
        who, owner = identity(), self._job["submitter"]
        if who.may_change(owner) or not who.may("write"):
            return ""
        return (
            f"<p class='soft'>It is {html.escape(owner or 'nobody')}'s: they, or an admin, may change it.</p>"
        )

    def _change(self, change: str, _event: object) -> None:
        job = int(self._job["job"])
        try:
            check_write(f"job {job}")  # a token may be revoked while its page is open
            who = identity()
            if not who.may_change(self._job["submitter"]):
                raise JobError(f"job {job}: it is not {who.name}'s; expected one's own. Ask an admin.")
            change_job(job, change, who.name)
        except TasocKitError as error:
            self.told.object = f"<p>{html.escape(str(error))}</p>"
            return
        self._changed()

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Column(
            theme.beside(*self.buttons.values(), each=0), self.told, sizing_mode="stretch_width", margin=0
        )
