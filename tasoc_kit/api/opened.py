"""Products that were opened stay open, for a product never changes; the last used ones, and not for ever.

What *belongs* to a product may change, as a correction that is made of light curves: so it is looked for
again after a minute.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
import xarray as xr

from tasoc_kit import store
from tasoc_kit.api.problems import Problem
from tasoc_kit.exports.corrected import Corrected, open_corrected
from tasoc_kit.exports.family import Family, open_family
from tasoc_kit.storage.star_rows import StarRows
from tasoc_kit.storage.units import ProductRef, parse_unit, product_unit

__all__ = ["Kept", "Opened", "open_curves", "open_one", "ref_of"]

AT_MOST, SECONDS = 12, 60.0

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """
    Values by key, made once however many ask at the same time; the last used ones are kept.

    Parameters
    ----------
    most
        Values that are kept.
    seconds
        After which one is made anew.
    """

    def __init__(self, most: int = AT_MOST, seconds: float = SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, made where it is not there or too old."""
        found = self._fresh(key)
        if found is not None:
            return found[1]
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self._fresh(key)
            if found is not None:
                return found[1]
            try:
                value = make()
                self._keep(key, value)
            finally:
                # Who comes from now on finds what is kept, or makes it.
                with self._lock:
                    self._making.pop(key, None)
            return value

    def _keep(self, key: Hashable, value: Value) -> None:
        with self._lock:
            self._values[key] = time.monotonic(), value
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)

    def _fresh(self, key: Hashable) -> tuple[float, Value] | None:
        with self._lock:
            found = self._values.get(key)
            if found is None or time.monotonic() - found[0] > self._seconds:
                return None
            self._values.move_to_end(key)
            return found

    def forget(self, key: Hashable) -> None:
        """Drop the value of a key."""
        with self._lock:
            self._values.pop(key, None)


class Opened:
    """The light curves of one unit, with all that belongs to them, and their rows star by star."""

    def __init__(self, ref: ProductRef) -> None:
        self.ref = ref
        self.family: Family = open_family(ref)
        self._rows: dict[str, StarRows] = {}
        self._corrected: dict[str, Corrected] = {}
        self._lock = threading.Lock()

    @cached_property
    def method(self) -> np.ndarray:
        """(star) The method that serves each star."""
        return self.family.method

    def rows(self, dataset: xr.Dataset) -> StarRows:
        """Return the rows of a product of this unit."""
        id_ = str(dataset.attrs["provenance_id"])
        with self._lock:
            if id_ not in self._rows:
                self._rows[id_] = StarRows(ref_of(str(dataset.attrs["product"]), product_unit(dataset), id_))
            return self._rows[id_]

    def corrected(self, correction: str) -> Corrected:
        """Return the corrections of these light curves, by the name of one, or the best of each star."""
        with self._lock:
            if correction not in self._corrected:
                self._corrected[correction] = open_corrected(self.family, correction)
            return self._corrected[correction]


_curves: Kept[Opened] = Kept()
_products: Kept[xr.Dataset] = Kept(2 * AT_MOST, 3600)


def ref_of(name: str, unit: str, id: str) -> ProductRef:
    """
    Return a product by its id.

    Raises
    ------
    Problem
        If the store does not have it, or not any more.
    """
    found = store.find_product(name, **parse_unit(unit), id=id)
    if found is None:
        raise Problem(
            404,
            f"{name} {unit} {id}: the store does not have it any more; expected a product that is there. "
            "Ask again without an id, or run 'tasoc database rebuild'.",
        )
    return found


def open_curves(unit: str, id: str) -> Opened:
    """Return light curves of a unit, opened; at most a dozen stay so, for a minute."""
    return _curves.get((unit, id), lambda: Opened(ref_of("light_curves", unit, id)))


def open_one(name: str, unit: str, id: str) -> xr.Dataset:
    """Return a product, opened; what it says of each star or cadence is in memory."""
    return _products.get((name, unit, id), lambda: store.open_ref(ref_of(name, unit, id)))
