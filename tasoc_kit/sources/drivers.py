"""Intake drivers: what an entry of ``catalogs/*.yaml`` names in ``driver``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import xarray as xr
from intake.source.base import DataSource, Schema

from tasoc_kit.config import settings
from tasoc_kit.sources.cube import open_cube
from tasoc_kit.sources.ffi import open_ffi
from tasoc_kit.sources.light_curve_files import open_light_curve_files
from tasoc_kit.sources.target_pixels import open_target_pixels
from tasoc_kit.sources.tasoc_vectors import open_tasoc_vectors

__all__ = [
    "FFISource",
    "LightCurveSource",
    "ProductSource",
    "StarSource",
    "TargetPixelSource",
    "VectorSource",
]


class _LazySource(DataSource):
    """A source whose data is a lazy Dataset: discovering, reading and ``to_dask`` give the same."""

    container = "xarray"
    version = "1"
    partition_access = False

    @abstractmethod
    def _open(self) -> xr.Dataset:
        """Return the Dataset; each driver says how."""

    def _get_schema(self) -> Schema:
        dataset = self.to_dask()
        return Schema(
            datashape=None,
            dtype={str(name): str(v.dtype) for name, v in dataset.data_vars.items()},
            shape={str(name): v.shape for name, v in dataset.data_vars.items()},
            npartitions=1,
            extra_metadata={"attrs": dict(dataset.attrs)},
        )

    def to_dask(self) -> xr.Dataset:
        """Return the lazy Dataset, opened once."""
        if getattr(self, "_dataset", None) is None:
            self._dataset = self._open()
        return self._dataset

    def read(self) -> xr.Dataset:
        """Return the lazy Dataset: no cube fits into memory as a whole."""
        return self.to_dask()

    def _close(self) -> None:
        self._dataset = None


class FFISource(_LazySource):
    """FFIs of one CCD of one sector: a folder, a glob, files or an index."""

    name = "tess_ffi"

    def __init__(
        self,
        urlpath: str | list[str],
        sector: int | None = None,
        camera: int | None = None,
        ccd: int | None = None,
        base: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self.urlpath, self.base = urlpath or settings().data, base or None
        self.unit = {"sector": sector or None, "camera": camera or None, "ccd": ccd or None}

    def _open(self) -> xr.Dataset:
        return open_ffi(self.urlpath, **self.unit, base=self.base)


class TargetPixelSource(_LazySource):
    """A TESScut cube, also in a zip, or a target pixel file."""

    name = "tess_target_pixels"

    def __init__(
        self, urlpath: str, sector: int | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(metadata=metadata)
        self.urlpath, self.sector = urlpath, sector or None

    def _open(self) -> xr.Dataset:
        if self.urlpath.endswith((".fits", ".fits.gz", ".zip")):
            return open_target_pixels(self.urlpath, self.sector)
        return open_cube(self.urlpath, self.sector)


class LightCurveSource(_LazySource):
    """Light curves of other pipelines: a file, a folder or a glob."""

    name = "light_curve_files"

    def __init__(self, urlpath: str, column: str = "", metadata: dict[str, Any] | None = None) -> None:
        super().__init__(metadata=metadata)
        self.urlpath, self.column = urlpath, column

    def _open(self) -> xr.Dataset:
        return open_light_curve_files(self.urlpath, self.column)


class ProductSource(_LazySource):
    """A product of the store."""

    name = "tasoc_product"

    def __init__(
        self,
        product: str,
        sector: int | None = None,
        camera: int | None = None,
        ccd: int | None = None,
        field: str | None = None,
        tag: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self.product = product
        self.unit = {"sector": sector or None, "camera": camera or None, "ccd": ccd or None}
        self.field, self.tag = field or None, tag or None

    def _open(self) -> xr.Dataset:
        from tasoc_kit.store import open_product

        return open_product(self.product, **self.unit, field=self.field, tag=self.tag)


class VectorSource(_LazySource):
    """Co-trending vectors of one CCD, from TASOC's files: one, a folder or a glob."""

    name = "tasoc_vectors"

    def __init__(self, urlpath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(metadata=metadata)
        self.urlpath = urlpath

    def _open(self) -> xr.Dataset:
        return open_tasoc_vectors(self.urlpath)


class StarSource(_LazySource):
    """Stars of a piece of the sky, from a star catalogue on this machine."""

    name = "star_catalogue"

    def __init__(
        self,
        catalogue: str,
        ra: float = 0.0,
        dec: float = 0.0,
        radius: float = 0.0,
        sector: int = 0,
        camera: int = 0,
        ccd: int = 0,
        faintest: float = 0.0,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(metadata=metadata)
        self.catalogue, self.faintest = catalogue, faintest or None
        circle = {"ra": ra, "dec": dec, "radius": radius} if radius else {}
        self.place = circle | {"sector": sector or None, "camera": camera or None, "ccd": ccd or None}

    def _open(self) -> xr.Dataset:
        from tasoc_kit.sources.targets import find_footprint, open_targets

        return open_targets(self.catalogue, find_footprint(**self.place), self.faintest)
