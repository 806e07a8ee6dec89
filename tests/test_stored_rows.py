"""Claims about reading rows of stored images in compiled code."""

import os

import numpy as np
import pytest

from tasoc_kit.numerics.stored_rows import ROWS_AT_ONCE, copy_rows, read_window
from tasoc_kit.sources.frame_files import Windows

HEADER = 37


@pytest.fixture
def stored(tmp_path):
    """Return an image, and an open file that holds it big-endian behind a header of odd length."""
    image = np.random.default_rng(1).normal(size=(3 * ROWS_AT_ONCE + 1, 21)).astype(np.float32)
    image[2, 3], image[4, 5], image[6, 7] = np.nan, np.inf, -0.0
    path = tmp_path / "image"
    path.write_bytes(b"h" * HEADER + image.astype(">f4").tobytes())
    handle = os.open(path, os.O_RDONLY)
    yield image, handle
    os.close(handle)


def test_a_window_holds_the_bits_of_the_image(stored):
    image, handle = stored
    out = np.empty((2 * ROWS_AT_ONCE + 3, 11), np.float32)
    assert read_window(handle, HEADER + 2 * 21 * 4, 21, 6, out)
    part = image[2 : 2 + len(out), 6:17]
    np.testing.assert_array_equal(out.view(np.uint32), np.ascontiguousarray(part).view(np.uint32))


def test_rows_of_one_of_several_frames_come_from_its_file_or_from_memory(stored):
    image, handle = stored
    held = np.zeros((2, *image.shape), np.float32)
    held[0] = 7.0
    windows = Windows(
        np.array([-1, handle], np.int32), *np.array([[0, HEADER], [0, 21], [0, 0]], np.int64), held
    )
    out = np.empty((5, 21), np.float32)
    assert copy_rows(windows, 0, 3, out)
    assert (out == 7.0).all()
    assert copy_rows(windows, 1, 3, out)
    np.testing.assert_array_equal(out, image[3:8])


def test_a_file_that_ends_early_and_one_that_is_closed_are_told(stored):
    image, handle = stored
    out = np.empty(image.shape, np.float32)
    assert read_window(handle, HEADER, 21, 0, out)
    assert not read_window(handle, HEADER + 4, 21, 0, out)
    assert not read_window(9999, HEADER, 21, 0, out)
