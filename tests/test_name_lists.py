"""A text has a list of names, and each name can be written so that it is read as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scbasset_zoo.name_lists import split_names, written_name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("HSC", ["HSC"]),
        ("HSC,B cell , NK", ["HSC", "B cell", "NK"]),
        (",HSC,,", ["HSC"]),
        ("", []),
        (" ", []),
        ('"T cell, naive",B', ["T cell, naive", "B"]),
        ('B, "T ""naive"", CD4" ', ["B", 'T "naive", CD4']),
        ('5" end,B', ['5" end', "B"]),
        ('"open,B', ['"open', "B"]),
        ("chr1:100-600,chr2:5-10", ["chr1:100-600", "chr2:5-10"]),
        ("chr1:4,100,000-4,100,500,chr2:5-10", ["chr1:4,100,000-4,100,500", "chr2:5-10"]),
        ("AAAC-1,100,200", ["AAAC-1", "100", "200"]),
    ],
)
def test_names_are_between_commas(text, names):
    assert split_names(text) == names


@given(st.text(min_size=1))
def test_a_written_name_is_read_as_it_is(name):
    assert split_names(written_name(name)) == [name]


@given(st.lists(st.text(st.characters(exclude_characters=":"), min_size=1)))
def test_written_names_may_be_joined(names):
    assert split_names(",".join(map(written_name, names))) == names
