"""Overlaps of intervals, compared with every pair of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.intervals import overlapping, overlaps, refuse_overlaps

TABLES = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "2"]), st.integers(0, 40), st.integers(1, 15)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    max_size=15,
).map(lambda rows: pd.DataFrame(rows, columns=["chrom", "start", "end"]))


def share_a_base(one, other):
    return one.chrom == other.chrom and not set(range(one.start, one.end)).isdisjoint(range(other.start, other.end))


@settings(deadline=None)
@given(TABLES, TABLES)
def test_overlaps_are_those_of_every_pair(table, regions):
    expected = [any(share_a_base(row, region) for region in regions.itertuples()) for row in table.itertuples()]
    assert overlaps(table, regions).tolist() == expected


@settings(deadline=None)
@given(TABLES)
def test_overlapping_intervals_are_those_of_every_pair(table):
    rows = list(table.itertuples())
    expected = [any(share_a_base(one, other) for other in rows if other is not one) for one in rows]
    assert overlapping(table).tolist() == expected
    if not any(expected):
        refuse_overlaps(table, "x", "Merge them.")
        return
    pairs = [(i, j) for i, one in enumerate(rows) for j, other in enumerate(rows) if i < j and share_a_base(one, other)]
    (first, second), shifted = min(pairs), table.set_axis(np.arange(len(table)) + 100)
    with pytest.raises(
        InputError, match=rf"^x: {sum(expected)} of .*\(row {first + 100}, .*\(row {second + 100}\). Merge them. Or take"
    ):
        refuse_overlaps(shifted, "x", "Merge them.")


def test_a_long_region_before_short_ones_is_seen():
    regions = pd.DataFrame({"chrom": "chr1", "start": [0, 10, 20], "end": [1_000, 11, 21]})
    table = pd.DataFrame({"chrom": "chr1", "start": [500, 1_000, 999], "end": [501, 1_001, 1_000]})
    assert overlaps(table, regions).tolist() == [True, False, True]


def test_positions_near_the_largest_number_do_not_overflow():
    start = 10**18 - 10
    table = pd.DataFrame({"chrom": ["a", "a", "b"], "start": [start, start + 1, start], "end": [start + 2, start + 3, start + 1]})
    assert overlapping(table).tolist() == [True, True, False]
