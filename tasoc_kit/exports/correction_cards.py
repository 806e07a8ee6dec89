"""What the file of a star says of its corrections, with TASOC's names (Lund+ 2021, ApJS 257 53)."""

from __future__ import annotations

import io

import numpy as np
from astropy.io import fits

from tasoc_kit.exports.corrected import Corrected
from tasoc_kit.exports.family import Family
from tasoc_kit.exports.stamp import Card
from tasoc_kit.provenance import lineage
from tasoc_kit.sources.header_text import BLOCK
from tasoc_kit.vocabulary import Correction

__all__ = ["correction_cards", "ensemble_tables", "extension_bytes"]

_NAME = {Correction.CBV: "cbv", Correction.ENSEMBLE: "ensemble", Correction.FILTER: "kasoc_filter"}


def correction_cards(corrected: Corrected, star: int) -> list[Card]:
    """Return the cards of the primary header that tell of a star's correction; none where it has none."""
    kind = Correction(int(corrected.kind[star]))
    if not kind:
        return []
    cards: list[Card] = [
        ("CORRMET", _NAME[kind], "Method of the correction"),
        ("CORRID", corrected.identity(star), "tasoc_kit id of the product of FLUX_CORR"),
    ]
    if kind is Correction.CBV:
        cards += _vector_cards(corrected, star)
    elif kind is Correction.ENSEMBLE:
        size = int(corrected.told[kind]["ensemble_size"][star])
        cards.append(("ENS_NUM", size, "Stars of the ensemble"))
    return cards


def _vector_cards(corrected: Corrected, star: int) -> list[Card]:
    table = corrected.told[Correction.CBV]
    made = [
        r for r in lineage(corrected.tables[Correction.CBV]).values() if r["step"] == "make_cbv_light_curves"
    ]
    prior = bool(made and made[0]["parameters"].get("prior", True))
    area = None if corrected.area is None else int(corrected.area[star])
    slow, spikes = (table[f"{name}_coefficient"][star].values.astype(float) for name in ("cbv", "spike"))
    used = np.flatnonzero((np.nan_to_num(slow) != 0) | (np.nan_to_num(spikes) != 0))
    return [
        ("CBV_AREA", area, "CBV area of star"),
        ("CBV_MET", "MAP" if prior else "LS", "Method used to fit CBVs"),
        ("CBV_BIC", not prior, "Was BIC used to select no of CBVs"),
        ("CBV_PRI", prior, "Was prior used"),
        ("CBV_MAX", int(slow.size), "Maximum number of possible CBVs to use"),
        ("CBV_NUM", int(table["cbv_number"][star]) if not prior else int(used.size), "Number of CBVs used"),
        *((f"CBV_C{n + 1}", slow[n], f"CBV{n + 1} coefficient") for n in used.tolist()),
        *((f"CBVS_C{n + 1}", spikes[n], f"Spike-CBV{n + 1} coefficient") for n in used.tolist()),
    ]


def ensemble_tables(family: Family, corrected: Corrected, star: int) -> list[bytes]:
    """Return ENSEMBLE, the stars that a star was divided by; nothing for other corrections."""
    if corrected.kind[star] != Correction.ENSEMBLE:
        return []
    table = corrected.told[Correction.ENSEMBLE]
    members = table["ensemble_star"][star].values
    known = members >= 0
    columns = [
        fits.Column("TIC", "K", array=family.light_curves["tic"].values[members[known]]),
        fits.Column("SCALE", "E", array=table["ensemble_scale"][star].values[known]),
    ]
    return [extension_bytes(fits.BinTableHDU.from_columns(columns, name="ENSEMBLE"))]


def extension_bytes(hdu: fits.BinTableHDU) -> bytes:
    """Return an extension that astropy made."""
    hdu.add_checksum(when="by astropy")
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(buffer)
    return buffer.getvalue()[BLOCK:]
