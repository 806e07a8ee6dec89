"""Every message says who, what was wrong with its value, what was expected, and the next action."""

from __future__ import annotations

import pytest

from tasoc_kit import errors
from tasoc_kit.errors import (
    CatalogError,
    StepInputError,
    StepParameterError,
    TasocKitError,
    suggest,
    without_secrets,
)


def test_every_error_can_be_caught_as_one():
    kinds = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(kinds) == 12
    assert all(issubclass(kind, TasocKitError) for kind in kinds)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("sftp://me:pa-ss@host/store: no room", "sftp://me:***@host/store: no room"),
        ("https://:key@host:80/x and ftp://a:b@c", "https://:***@host:80/x and ftp://a:***@c"),
        ("https://h/f?a=1&X-Amz-Signature=0f&b=2", "https://h/f?a=1&X-Amz-Signature=***&b=2"),
        ("tcp://127.0.0.1:8786, ask me@host", "tcp://127.0.0.1:8786, ask me@host"),
        ("s3://bucket/a:b@c: process 12", "s3://bucket/a:b@c: process 12"),
    ],
)
def test_no_message_holds_a_password_or_a_signature(told, shown):
    assert without_secrets(told) == shown
    for name in errors.__all__:
        if name.endswith("Error"):
            assert str(getattr(errors, name)(told)) == shown


def test_the_nearest_name_is_suggested():
    assert suggest("boxsize", ["box_size", "percentile"]) == "; did you mean 'box_size'?"


def test_nothing_is_suggested_where_nothing_is_near():
    assert "did you mean" not in suggest("zzz", ["box_size", "percentile"])


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            CatalogError.for_unknown_entry("simulaton.demo", ["simulation.demo", "ffi.tess"]),
            [
                "catalog: no entry 'simulaton.demo'; did you mean 'simulation.demo'?",
                "ffi.tess",
                "tasoc catalog list",
            ],
        ),
        (
            CatalogError.for_unknown_parameter("ffi.tess", "sektor", ["sector", "camera", "ccd"]),
            [
                "ffi.tess: unknown parameter 'sektor'; did you mean 'sector'?",
                "tasoc catalog describe ffi.tess",
            ],
        ),
        (
            CatalogError.for_bad_value("ffi.tess", "camera", 5, "1 to 4"),
            ["ffi.tess: camera=5; expected 1 to 4.", "tasoc catalog describe ffi.tess"],
        ),
        (
            StepInputError.for_missing_variables("fit_sky", "stream", ["cells"], ["flux"]),
            ["fit_sky: stream has no ['cells']; it has ['flux'].", "Pass the product that holds them."],
        ),
        (
            StepInputError.for_not_a_dataset("fit_sky", "stream", 3),
            ["fit_sky: stream is a int; expected an xarray.Dataset.", "tasoc_kit.open_product"],
        ),
        (
            StepParameterError.for_unknown("fit_sky", "boxsize", ["box_size"]),
            ["fit_sky: unknown parameter 'boxsize'; did you mean 'box_size'?", "It takes ['box_size']"],
        ),
        (
            StepParameterError.for_value("fit_sky", "box_size", -1, "must be at least 1"),
            ["fit_sky: box_size=-1: must be at least 1."],
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_message_names_who_what_and_the_next_action(error, parts):
    for part in parts:
        assert part in str(error)


def test_a_message_without_a_suggestion_is_still_two_sentences():
    told = str(StepParameterError.for_unknown("fit_sky", "zzz", ["box_size"]))
    assert "unknown parameter 'zzz'. It takes ['box_size']." in told
