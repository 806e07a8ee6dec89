"""What becomes of a page after it was answered: figures further down, and what ran beside the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import panel as pn
from bokeh.document import Document
from panel.io.state import set_curdoc

__all__ = ["later", "on_page"]


def later(make: Callable[[], Any]) -> pn.Column:
    """
    Return a place that is filled once the page is on the screen; where no server runs, at once.

    What stands below the first picture is drawn while people look at that. Between two such places the page
    answers, and ``failed.tell`` hears what fails.

    Parameters
    ----------
    make
        Makes what stands there.
    """
    place = pn.Column(sizing_mode="stretch_width", margin=0)

    def fill() -> None:
        place.objects = [make()]

    pn.state.onload(partial(on_page, pn.state.curdoc, fill))
    return place


def on_page(document: Document | None, change: Callable[[], Any]) -> None:
    """
    Change a page from a task beside it, under the lock of the page; ``failed.tell`` hears what fails.

    Parameters
    ----------
    document
        Of the page; None where no server runs, and the change is made at once.
    change
        Makes it.
    """
    if document is None:
        change()
        return
    with set_curdoc(document):
        pn.state.execute(change, schedule=True)
