"""The products of the store: which there are, and what one of them holds."""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Any

import zarr
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from tasoc_kit.api.access import Reads
from tasoc_kit.api.paging import Cursor, Limit, decode, encode
from tasoc_kit.errors import NotFoundError
from tasoc_kit.records.product_list import list_page
from tasoc_kit.storage.remote import data_of
from tasoc_kit.storage.units import UNIT_PATTERN, ProductRef, check_id, check_name, check_unit, parse_unit
from tasoc_kit.store import find_product

__all__ = ["Name", "ProductId", "UnitName", "router"]

router = APIRouter()

Name = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="Name of a product.", examples=["light_curves"])
]
UnitName = Annotated[
    str,
    Path(
        pattern=UNIT_PATTERN,
        description="Sector, camera and CCD.",
        examples=["s0001-1-2"],
    ),
]
ProductId = Annotated[
    str,
    Path(
        pattern=r"^([0-9a-f]{12}|current)$",
        description="Its id: 12 hexadecimal digits; or `current`.",
        examples=["current"],
    ),
]


class Row(BaseModel):
    """One product."""

    product: str
    unit: str
    sector: int
    camera: int = Field(description="0 where the unit is all cameras.")
    ccd: int
    field: str = Field(description="Name of a cutout; empty for a whole CCD.")
    id: str
    tags: list[str]
    bytes: int
    recorded: datetime.datetime = Field(description="When it was entered into the database (UTC).")
    download: str = Field(description="Where its files are, below the address of the API.")


class Rows(BaseModel):
    """A page of products."""

    products: list[Row]
    next: str | None = Field(description="What `cursor` takes for the next page; null on the last.")


class Variable(BaseModel):
    """One variable of a product."""

    name: str
    dims: list[str]
    shape: list[int]
    dtype: str
    units: str


class Contents(BaseModel):
    """What one product holds."""

    product: str
    unit: str
    id: str
    created: datetime.datetime = Field(description="When it was completed (UTC).")
    attributes: dict[str, Any]
    variables: list[Variable]
    provenance: str = Field(description="Where what made it is told.")
    download: str


def _row(found: dict[str, Any]) -> Row:
    key = f"{found['product']}/{found['unit']}/{found['id']}"
    known = {name: value for name, value in found.items() if name != "url"}
    return Row(
        **known,
        **parse_unit(found["unit"]),
        download=f"/download/products/{key}",
    )


@router.get("/products")
def products(
    who: Reads,
    product: Annotated[str | None, Query(max_length=64, description="Name, as light_curves.")] = None,
    unit: Annotated[str | None, Query(max_length=96, description="Unit, as s0001-1-2.")] = None,
    sector: Annotated[int | None, Query(ge=1, le=9999, description="Sector.")] = None,
    camera: Annotated[int | None, Query(ge=1, le=4, description="Camera.")] = None,
    ccd: Annotated[int | None, Query(ge=1, le=4, description="CCD.")] = None,
    id: Annotated[str | None, Query(max_length=12, description="Id: 12 hexadecimal digits.")] = None,
    tag: Annotated[str | None, Query(max_length=64, description="Only what has this tag.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Rows:
    """List products in order of name, unit and id, page by page; every filter is exact."""
    found = list_page(
        product=product,
        unit=unit,
        sector=sector,
        camera=camera,
        ccd=ccd,
        id=id,
        tag=tag,
        after=decode(cursor, str, str, str),
        limit=limit + 1,
    )
    page = [_row(row) for row in found[:limit]]
    last = page[-1] if len(found) > limit else None
    return Rows(products=page, next=encode((last.product, last.unit, last.id) if last else None))


@router.get("/products/{product}/{unit}/{id}")
def product(product: Name, unit: UnitName, id: ProductId, who: Reads) -> Contents:
    """Tell what one product holds: its attributes, its variables with dimensions, types and units."""
    ref = find_ref(product, unit, id)
    group = zarr.open_group(data_of(ref), mode="r")
    attributes = {name: _plain(value) for name, value in group.attrs.items() if name != "provenance"}
    return Contents(
        product=ref.name,
        unit=ref.unit,
        id=ref.id,
        created=datetime.datetime.fromtimestamp(ref.created, datetime.UTC),
        attributes=attributes,
        variables=[_variable(name, array) for name, array in sorted(group.arrays())],
        provenance=f"/provenance/{ref.id}",
        download=f"/download/products/{ref.key}",
    )


def find_ref(product: str, unit: str, id: str) -> ProductRef:
    """
    Return one product by its names, as they stand in an address.

    Raises
    ------
    NotFoundError
        If it is not there.
    """
    check_name(product)
    wanted = parse_unit(check_unit(unit))
    ref = find_product(product, **wanted, id=None if id == "current" else check_id(id))
    if ref is None:
        raise NotFoundError(
            f"store: there is no product {product}/{unit}/{id}; expected one that is complete. See /products."
        )
    return ref


def _variable(name: str, array: Any) -> Variable:
    return Variable(
        name=name,
        dims=list(array.metadata.dimension_names or ()),
        shape=list(array.shape),
        dtype=str(array.dtype),
        units=str(array.attrs.get("units", "")),
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: there is no NaN in it."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda text: None)
