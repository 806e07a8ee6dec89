"""What a damaged FITS file raises when astropy reads it: it holds few of its assumptions against the file."""

from __future__ import annotations

from astropy.io.fits.verify import VerifyError

__all__ = ["UNREADABLE"]

UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    TypeError,
    ValueError,
    VerifyError,
)
