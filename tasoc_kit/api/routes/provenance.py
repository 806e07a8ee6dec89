"""What made a product: its record, all that it was made from, and what was made from it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from tasoc_kit.api.access import Reads
from tasoc_kit.errors import NotFoundError
from tasoc_kit.records.product_list import ancestors, children, list_page

__all__ = ["router"]

router = APIRouter()


class Record(BaseModel):
    """What decides the numbers of one product."""

    id: str
    step: str
    version: int
    parameters: dict[str, Any]
    parents: list[str]
    libraries: dict[str, str]


class Child(BaseModel):
    """Something that was made from it at once."""

    id: str
    step: str


class Provenance(BaseModel):
    """One product among those that it comes from and that come from it."""

    record: Record
    products: list[str] = Field(description="Where it lies: name/unit/id; raw input lies nowhere.")
    lineage: list[Record] = Field(description="All that it was made from, the nearest first.")
    children: list[Child]


@router.get("/provenance/{id}")
def provenance(
    id: Annotated[
        str,
        Path(
            pattern="^[0-9a-f]{12}$",
            description="Id of a product or of raw input.",
            examples=["0123456789ab"],
        ),
    ],
    who: Reads,
) -> Provenance:
    """Tell what made a product, down to the raw files, and what was made from it."""
    found = ancestors(id)
    if id not in found:
        raise NotFoundError(
            f"provenance: no record of {id}; expected the id of a product in the database. See /products, or "
            "run 'tasoc database rebuild'."
        )
    records = [_record(key, values) for key, values in found.items()]
    rows = list_page(id=id, limit=100)
    return Provenance(
        record=records[0],
        products=[f"{row['product']}/{row['unit']}/{row['id']}" for row in rows],
        lineage=records[1:],
        children=[Child(**child) for child in children(id)],
    )


def _record(id: str, values: dict[str, Any]) -> Record:
    # A setting may be infinite, which JSON cannot say.
    plain = json.loads(json.dumps(values["parameters"]), parse_constant=lambda text: None)
    return Record(id=id, **{**values, "parameters": plain})
