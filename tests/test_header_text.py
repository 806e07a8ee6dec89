"""Headers as text are what astropy reads, with checksums that it finds right."""

from __future__ import annotations

import io
import math
import warnings

import numpy as np
import pytest
from astropy.io import fits

from tasoc_kit.sources.header_text import BLOCK, card, hdu_bytes

FIRST = [("SIMPLE", True, ""), ("BITPIX", -32, ""), ("NAXIS", 2, ""), ("NAXIS1", 5, ""), ("NAXIS2", 3, "")]


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        -17,
        2457000,
        "TESS",
        "",
        "it's",
        1.0,
        -80.469170123456,
        1325.3188123456789,
        1e-30,
        5e300,
    ],
)
def test_a_card_is_read_as_what_was_written(value):
    text = card("KEYWORD", value, "what it means")
    assert len(text) == 80
    read = fits.Card.fromstring(text)
    read.verify("exception")
    assert type(read.value) is type(value)
    assert read.value == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)
    assert read.comment == "what it means"


@pytest.mark.parametrize("value", [None, math.nan, np.float64("nan"), math.inf])
def test_a_value_that_is_not_known_is_blank(value):
    assert isinstance(fits.Card.fromstring(card("TEFF", value, "[K]")).value, fits.card.Undefined)


@pytest.mark.parametrize("more", [0, 29, 30, 31, 100])
def test_astropy_finds_the_checksums_right_and_a_changed_byte_wrong(more):
    image = np.linspace(-1, 1, 15).reshape(3, 5).astype(">f4")
    content = hdu_bytes([*FIRST, *((f"KEY{k}", k, "a card") for k in range(more))], image)
    assert len(content) % BLOCK == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(io.BytesIO(content), checksum=True) as hdus:
            hdus.verify("exception")
            np.testing.assert_array_equal(hdus[0].data, image)
    damaged = bytearray(content)
    damaged[-BLOCK] ^= 1
    with pytest.warns(UserWarning, match="Checksum|Datasum"), fits.open(io.BytesIO(damaged), checksum=True):
        pass
