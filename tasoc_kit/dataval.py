"""The bits of data validation and what a check says: a part of the vocabulary, which has them as its own."""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = ["Dataval", "Verdict"]


class Dataval(IntFlag):
    """What is wrong with the numbers of a star; TASOC's bits of data validation."""

    MAG_VS_FLUX_HIGH = 1
    MAG_VS_FLUX_LOW = 2
    FLUX_FFI_OVER_TPF = 4
    FLUX_TPF_OVER_FFI = 8
    MINIMAL_MASK = 16
    SMALL_MASK = 32
    LARGE_MASK = 64
    SMALL_STAMP = 128
    LOW_PTP = 256
    LOW_RMS = 512
    INVALID_CONTAMINATION = 1024
    CONTAMINATION_HIGH = 2048
    INVALID_FLUX = 4096
    INVALID_NOISE = 8192


class Verdict(IntEnum):
    """What a check says; of several the highest counts."""

    NOT_DONE = 0
    """There was too little to go by."""
    PASS = 1
    WARN = 2
    FAIL = 3
