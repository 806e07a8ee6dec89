"""The page on which the PSF of a CCD is looked at, and what it makes of a star."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import holoviews as hv
import numpy as np
import panel as pn
import panel_material_ui as pmui
import param
import xarray as xr

from tasoc_kit.dashboards import products, theme
from tasoc_kit.dashboards.controls import Shortcuts
from tasoc_kit.dashboards.later import later
from tasoc_kit.dashboards.links import SameCcd
from tasoc_kit.dashboards.star_walk import star_walk
from tasoc_kit.dashboards.unit_page import asked_tic, unit_page
from tasoc_kit.errors import StoreError, TasocKitError
from tasoc_kit.photometry.psfs.psf_shape import psf_profile, psf_shape, psf_stamps, star_on_psf
from tasoc_kit.plots import psf as figures
from tasoc_kit.plots.frame import title_of
from tasoc_kit.plots.light_curve import find_star
from tasoc_kit.plots.theme import SELECTED, place_options
from tasoc_kit.products import open_ancestor

__all__ = ["PsfView", "page"]

_KEYS = "<kbd>←</kbd> <kbd>→</kbd> brighter and fainter star"


class PsfView(pn.viewable.Viewer):
    """The PSF of one CCD."""

    place = param.NumericTuple(default=(0.0, 0.0), length=2, doc="(row, column) whose profile is drawn.")
    star = param.Integer(default=-1, doc="Index of the star in view; -1 where none has a PSF flux.")

    def __init__(self, product: xr.Dataset, tic: int | None = None) -> None:
        super().__init__()
        reference, apertures = (open_ancestor(product, name) for name in ("reference", "apertures"))
        if reference is None or apertures is None:
            raise StoreError(
                f"PSF page: the reference or the apertures that psf {product.attrs['provenance_id']} was "
                "made from is no longer in the store; expected both. Run 'tasoc run photometry' again."
            )
        self.product, self.reference = product.load(), reference
        self.tmag, self.tic = apertures["tmag"].values.astype(float), apertures["tic"].values
        self._stamps = psf_stamps(self.product)
        nodes = [product[name].values for name in ("node_row", "node_column")]
        middle = [float(labels.mean()) for labels in nodes]
        self._middle = psf_profile(self.product, *middle)
        served = np.isfinite(self.product["psf_flux"].values)
        self.order = np.flatnonzero(served)[np.argsort(self.tmag[served], kind="stable")]
        self.place = (middle[0], middle[1])
        self.links = SameCcd("psf", product)
        self._stamp: tuple[int, xr.Dataset] | None = None
        self._make_controls()
        self.star = self._first(tic)

    @cached_property
    def shape(self) -> xr.Dataset:
        """Width and elongation of the PSF over the CCD."""
        return psf_shape(self.product)

    # The star

    def _first(self, tic: int | None) -> int:
        """Return the star that is asked for, else the brightest that does not bleed over its neighbours."""
        if tic is not None and tic in self.tic[self.order]:
            return find_star(self.product, tic)
        usual = self.order[self.tmag[self.order] > 7.5]
        return int(usual[0] if usual.size else self.order[0]) if self.order.size else -1

    def choose(self, tic: int) -> None:
        """
        Go to a star by its number.

        Raises
        ------
        TasocKitError
            If it is not there, or has no PSF flux.
        """
        star = find_star(self.product, tic)
        if star not in self.order:
            raise TasocKitError(
                f"PSF page: TIC {tic} has no PSF flux; expected a star down to the faintest that gets PSF "
                "photometry. Choose a brighter one."
            )
        self.star = star

    def step(self, step: int) -> None:
        """Go to a brighter or fainter star."""
        here = np.flatnonzero(self.order == self.star)
        if here.size:
            self.star = int(self.order[np.clip(here[0] + step, 0, self.order.size - 1)])

    def stamp(self, star: int) -> xr.Dataset:
        """Return data, model and what is left of a star; the last is kept, for three figures ask for it."""
        if self._stamp is None or self._stamp[0] != star:
            self._stamp = (star, star_on_psf(self.product, self.reference, star))
        return self._stamp[1]

    @param.depends("star", watch=True)
    def _star_changed(self) -> None:
        if self.star < 0:
            return
        tic = int(self.tic[self.star])
        self.place = tuple(float(self.product[f"psf_{axis}"][self.star]) for axis in ("row", "column"))
        self.heading.object = theme.heading_markup(
            f"PSF · {title_of(self.product)}", "Tap a region for its profile; choose a star for its stamps."
        )
        self.facts.object = theme.facts_markup(self.facts_of(self.star))
        self.links.show(tic)
        theme.in_address(tic=tic)

    def _name(self, star: int) -> str:
        return f"TIC {int(self.tic[star])}" if self.tic[star] else f"Star {star}"

    def facts_of(self, star: int) -> dict[str, str]:
        """Return what is known of a star, for ``theme.readout``."""
        one = {name: float(self.product[f"psf_{name}"][star]) for name in ("row", "column", "flux")}
        left = self.stamp(star)["left"].values
        source = int(self.product["psf_source"][star])
        return {
            "star": self._name(star),
            "Tmag": f"{self.tmag[star]:.2f}",
            "place": f"row {one['row']:.2f}, column {one['column']:.2f}",
            "PSF flux": f"{one['flux']:,.1f} e⁻/s",
            "left in the stamp": f"{float(np.sqrt(np.nanmean(left**2))):.2f} σ of one exposure",
            "source": "its own" if source == star else f"shared with {self._name(source)}",
        }

    # Figures

    def _profiles(self) -> list[hv.DynamicMap]:
        def of(draw: Any) -> hv.DynamicMap:
            return hv.DynamicMap(
                pn.bind(
                    lambda place: draw(psf_profile(self.product, *place), self._middle),
                    self.param.place,
                )
            )

        return [of(figures.profile), of(figures.light_within)]

    def map(self, **size: int) -> hv.Overlay:
        """Return the map of the width with the chosen place marked; a tap goes to another place."""
        drawn = figures.shape_map(self.shape, **size)
        here = hv.DynamicMap(
            pn.bind(
                lambda place: hv.Points([place[::-1]], kdims=["column", "row"]).opts(
                    marker="circle", size=14, fill_color=None, line_color=SELECTED, line_width=2.5
                ),
                self.param.place,
            )
        )
        self._on_map = hv.streams.SingleTap(source=drawn.Image.I)
        self._on_map.add_subscriber(self._map_tapped)
        shape = [labels[-1] - labels[0] for labels in (self.shape["row"].values, self.shape["column"].values)]
        return (drawn * here).opts(**place_options(*(round(side * 9 / 8) for side in shape), **size))

    def _map_tapped(self, x: float | None, y: float | None) -> None:
        if x is not None and y is not None:
            self.place = (float(y), float(x))

    def mosaic(self, **size: int) -> hv.Image:
        """Return the PSF of every region; a tap goes to its place."""
        drawn = figures.mosaic(self._stamps, **size)
        self._on_mosaic = hv.streams.SingleTap(source=drawn)
        self._on_mosaic.add_subscriber(self._mosaic_tapped)
        return drawn

    def _mosaic_tapped(self, x: float | None, y: float | None) -> None:
        if x is None or y is None:
            return
        row, column = (self._stamps[name].values for name in ("node_row", "node_column"))
        i, j = (int(np.clip(at, 0, nodes.size - 1)) for at, nodes in ((y, row), (x, column)))
        self.place = (float(row[i]), float(column[j]))

    # The page

    def _make_controls(self) -> None:
        self.heading, self.facts = theme.markup(""), theme.markup("", margin=(12, 6))

    def sidebar(self) -> list[Any]:
        """Return the way to other stars, and what is known of the one in view."""
        keys = theme.markup(f"<p class='keys'>{_KEYS}</p>")
        return [*star_walk(self.choose, self.step), self.facts, keys]

    def main(self) -> list[Any]:
        """Return the figures."""
        keys = {"ArrowRight": lambda: self.step(1), "ArrowLeft": lambda: self.step(-1)}
        size = {"width": 350, "height": 350}
        mosaic = theme.panel_card(
            theme.caption("PSF of each region, 11 × 11 pixels"),
            theme.markup("<p class='soft'>Share of a star's light in a pixel, logarithmic.</p>"),
            theme.figure(self.mosaic(**size)),
        )
        return [
            Shortcuts(keys),
            theme.panel_card(self.heading, self.links.pane),
            theme.beside(mosaic, later(lambda: self._map_card(**size)), each=380),
            later(self._profile_card),
            later(lambda: theme.panel_card(*self._stamp_figures())),
            theme.panel_card(
                theme.caption("Where these numbers come from"), theme.readout(products.describe(self.product))
            ),
        ]

    def _map_card(self, **size: int) -> pmui.Paper:
        longest = float(self.shape["elongation"].max())
        return theme.panel_card(
            theme.caption("Width at half maximum (pix)"),
            theme.markup(f"<p class='soft'>Lines: its longer axis, elongated by {longest:.1%} at most.</p>"),
            theme.figure(self.map(**size)),
        )

    def _profile_card(self) -> pmui.Paper:
        place = pn.bind(
            lambda at: f"<h2>Profile at row {at[0]:.0f}, column {at[1]:.0f}</h2>", self.param.place
        )
        profiles = [theme.figure(figure, wide=True) for figure in self._profiles()]
        return theme.panel_card(theme.markup(place), theme.beside(*profiles))

    def _stamp_figures(self) -> list[Any]:
        if self.star < 0:
            return [theme.markup("<p>No star of this CCD has a PSF flux.</p>")]
        title = pn.bind(
            lambda star: f"<h2>{self._name(star)} · Tmag {self.tmag[star]:.2f}</h2>", self.param.star
        )
        figures_of = [
            pn.Column(
                theme.markup(f"<p class='soft'>{text}</p>"),
                theme.figure(
                    hv.DynamicMap(
                        pn.bind(
                            lambda star, name=name: figures.star_stamp(
                                self.stamp(star), name, width=190, height=190
                            ),
                            self.param.star,
                        )
                    )
                ),
                sizing_mode="stretch_width",
            )
            for name, text in figures.STAMPS.items()
        ]
        return [theme.markup(title), theme.beside(*figures_of, each=230)]

    def __panel__(self) -> pn.viewable.Viewable:
        return pn.Row(pn.Column(*self.sidebar(), width=320), pn.Column(*self.main()))


def page() -> pmui.Page:
    """Return the page; ``?unit=…&id=…&tic=…`` asks for a star of a psf product."""
    return unit_page(
        "psf",
        "psf",
        lambda product: PsfView(product, asked_tic()),
        lacks="PSF",
        about=(
            "This page shows the PSF of a CCD as its stars show it, region by region, and what is "
            "left of a star once its light is taken away."
        ),
    )


if pn.state.served:
    page().servable()
