"""Ragged masks: the pixels of star after star, with how each mask came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

__all__ = ["Masks", "add_minimum_masks", "star_of_pixel"]

_AROUND = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
_PIXEL_FIELDS = ("rows", "columns")


def star_of_pixel(row_size: np.ndarray) -> np.ndarray:
    """Return for each pixel of a ragged table the position of its star."""
    return np.repeat(np.arange(row_size.size), row_size)


@dataclass(frozen=True)
class Masks:
    """The masks of some stars; places are indices into the image."""

    row_size: np.ndarray
    """Pixels of each star (star)."""
    rows: np.ndarray
    """Row of each pixel, star after star (pixel)."""
    columns: np.ndarray
    """Column of each pixel (pixel)."""
    edge_flux: np.ndarray
    """Flux on a border that the mask met and could not pass, electron/s; 0 where it met none (star)."""
    bleeds: np.ndarray
    """True where the mask follows saturated columns (star)."""
    filled: np.ndarray
    """True where holes were filled (star)."""
    minimal: np.ndarray
    """True where the star stood out too little and has the minimum aperture (star)."""
    stamp: np.ndarray
    """Height and width of the stamp that the mask was grown on, and how often it was enlarged (star, 3)."""

    @property
    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns, to index an image with."""
        return self.rows.astype(np.int64), self.columns.astype(np.int64)

    def take(self, keep: np.ndarray) -> Masks:
        """Return the masks of the stars for which ``keep`` is True."""
        if keep.all():
            return self
        of_pixel = np.repeat(keep, self.row_size)
        return Masks(
            *(getattr(self, f.name)[of_pixel if f.name in _PIXEL_FIELDS else keep] for f in fields(self))
        )

    @classmethod
    def in_catalogue_order(cls, parts: Sequence[Masks], stars: Sequence[np.ndarray], count: int) -> Masks:
        """
        Return the masks of all ``count`` stars, empty where no part holds the star.

        Parameters
        ----------
        parts
            Masks of disjoint groups of stars.
        stars
            Positions in the catalogue of the stars of each part.
        count
            Stars in the catalogue.
        """
        where = np.concatenate(stars)
        gathered = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        order = np.argsort(where)
        size = gathered["row_size"].astype(np.int64)
        first, ordered = np.cumsum(size) - size, size[order]
        pixel = np.arange(ordered.sum()) + np.repeat(first[order] - np.cumsum(ordered) + ordered, ordered)
        for name, values in gathered.items():
            if name in _PIXEL_FIELDS:
                gathered[name] = values[pixel]
            else:
                gathered[name] = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
                gathered[name][where] = values
        return cls(**gathered)


def add_minimum_masks(
    masks: Masks, image: np.ndarray, star_row: np.ndarray, star_column: np.ndarray
) -> Masks:
    """
    Give stars without a mask the pixels within 1 pixel of them: 2 × 2, or 3 on an axis that is centred.

    Parameters
    ----------
    masks
        Masks of the stars, some of them empty.
    image
        Star light (row, column); pixels without a value are left out.
    star_row, star_column
        Positions of the stars, as fractional indices into the image.
    """
    bare = np.flatnonzero(masks.row_size == 0)
    if not bare.size:
        return masks
    position = np.column_stack([star_row[bare], star_column[bare]])
    pixel = np.rint(position).astype(np.int64)[:, None] + _AROUND
    near = (np.abs(pixel - position[:, None]) <= 1).all(-1)
    near &= ((pixel >= 0) & (pixel < image.shape)).all(-1)
    inside = np.clip(pixel, 0, np.array(image.shape) - 1)
    near &= np.isfinite(image[inside[..., 0], inside[..., 1]])
    size = near.sum(1).astype(np.int32)
    nothing = np.zeros(bare.size)
    minimum = Masks(
        size,
        pixel[near][:, 0].astype(np.int16),
        pixel[near][:, 1].astype(np.int16),
        nothing,
        nothing > 0,
        nothing > 0,
        size > 0,
        masks.stamp[bare],
    )
    others = masks.row_size > 0
    parts = [masks.take(others), minimum]
    return Masks.in_catalogue_order(parts, [np.flatnonzero(others), bare], masks.row_size.size)
