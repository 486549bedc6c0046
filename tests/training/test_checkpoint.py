"""Files of weights are read as they were written, or refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.training.checkpoint import not_finite, read_arrays, write_arrays

ARRAYS = {"weight/a": np.arange(300, dtype=np.float32), "weight/b": np.ones((3, 4)), "seed": np.array([1, 2], np.uint32)}
STATE = {"epoch": 3, "best_auroc": float("-inf")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    write_arrays(path, ARRAYS, STATE)
    return path.read_bytes()


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), is_cut=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_read_as_it_was(whole, tmp_path_factory, place, bit, is_cut):
    path = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    damaged = bytearray(whole)
    at = int(place * len(whole))
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged[:at] if is_cut else damaged)
    try:
        arrays, state = read_arrays(path)
    except InputError:
        return
    # Some bytes of a ZIP file, such as its dates, mean nothing here; a name that changed is noticed by what reads it.
    assert state == STATE
    for name in arrays.keys() & ARRAYS.keys():
        np.testing.assert_array_equal(arrays[name], ARRAYS[name])
    assert len(arrays.keys() & ARRAYS.keys()) >= len(ARRAYS) - 1


def test_arrays_with_values_that_are_not_finite_are_named():
    assert not_finite(ARRAYS) == ""
    assert not_finite(ARRAYS | {"weight/c": np.array([1, np.nan])}) == "weight/c"
    assert not_finite({"b": np.array(np.inf), "n": np.array(3), "a": np.array([-np.inf])}) == "b and 1 more"
