"""Codes, one-hot encoding and reverse complement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import N, as_codes, decode, encode, one_hot, reverse_complement

letters = st.text("ACGTN", min_size=1, max_size=60)


def test_encode_reads_lower_case_and_takes_other_letters_as_n():
    assert encode("ACGTacgtNnRYU-é").tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 4, 4, 4, 3, 4, 4]
    assert encode(b"GATTACA").tolist() == [2, 0, 3, 3, 0, 1, 0]


def test_one_hot_has_channels_a_c_g_t_and_a_quarter_for_n():
    assert one_hot(encode("ACGTN")).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0.25] * 4]
    assert one_hot(encode("ACGTN")).dtype == np.float32


@given(letters)
def test_decode_undoes_encode(sequence):
    assert decode(encode(sequence)) == sequence


@given(letters)
def test_reverse_complement_agrees_with_letters(sequence):
    expected = sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert decode(reverse_complement(encode(sequence))) == expected


def test_reverse_complement_works_on_the_last_axis():
    codes = np.stack([encode("AACG"), encode("TTNA")])
    assert [decode(row) for row in reverse_complement(codes)] == ["CGTT", "TNAA"]


@given(letters)
def test_all_forms_of_a_sequence_give_the_same_codes(sequence):
    expected = encode(sequence)[None]
    for form in (sequence, [sequence], expected, expected.astype(np.int64), one_hot(expected), one_hot(expected[0])):
        np.testing.assert_array_equal(as_codes(form), expected)


def test_zeros_in_every_channel_are_n():
    assert as_codes(np.zeros((1, 3, 4), dtype=np.float32)).tolist() == [[N, N, N]]


@pytest.mark.parametrize(
    ("sequences", "length", "message"),
    [
        (["ACGT", "ACG"], None, "Sequence 1 has 3 bp; expected 4 bp"),
        ("ACGT", 5, "has 4 bp; expected 5 bp"),
        (np.zeros((2, 4), dtype=np.int8), 5, "have 4 bp; expected 5 bp"),
        (np.array([[0, 5]]), None, r"0\.\.4"),
        (np.array([[-1, 0]]), None, r"0\.\.4"),
        (np.array([[[0.5, 0.5, 0, 0]]]), None, "neither one-hot nor N"),
        (np.array([[[1.0, 1.0, 0, 0]]]), None, "neither one-hot nor N"),
        (np.array([[[np.nan, 0, 0, 1.0]]]), None, "neither one-hot nor N"),
        (np.zeros((2, 3, 5)), None, "must have shape"),
        (np.zeros((2, 3, 4, 1), dtype=np.int8), None, "Sequences must be"),
    ],
)
def test_impossible_sequences_are_refused(sequences, length, message):
    with pytest.raises(InputError, match=message):
        as_codes(sequences, length)


def test_u_of_rna_is_t():
    assert encode("ACGUacgu").tolist() == encode("ACGTACGT").tolist()
