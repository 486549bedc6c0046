"""The k-let preserving shuffle."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import decode, encode
from scbasset_zoo.inputs.shuffle import shuffle

letters = st.text("ACGTN", min_size=1, max_size=60)


def klets(sequence, k):
    return Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))


@given(letters, st.integers(1, 4), st.integers(0, 2**32))
def test_shuffle_keeps_the_count_of_every_klet(sequence, k, seed):
    for copy in shuffle(encode(sequence), np.random.default_rng(seed), k=k, n=2):
        for shorter in range(1, k + 1):
            assert klets(decode(copy), shorter) == klets(sequence, shorter)


def test_shuffle_draws_all_sequences_of_the_same_dinucleotides_equally_often():
    sequence = "AACAGACA"
    # Independent: of all orders of the letters, those with the same dinucleotides.
    alike = {"".join(p) for p in permutations(sequence)}
    alike = sorted(s for s in alike if klets(s, 2) == klets(sequence, 2))
    drawn = Counter(decode(copy) for copy in shuffle(encode(sequence), np.random.default_rng(0), k=2, n=6000))
    assert sorted(drawn) == alike
    assert len(alike) > 5
    expected = 6000 / len(alike)
    # Chi-square with len(alike) - 1 degrees of freedom: mean + 5 standard deviations.
    statistic = sum((drawn[s] - expected) ** 2 / expected for s in alike)
    df = len(alike) - 1
    assert statistic < df + 5 * np.sqrt(2 * df)


def test_shuffle_is_repeatable_and_refuses_k_below_one():
    codes = encode("ACGTTGCAAC" * 5)
    assert np.array_equal(shuffle(codes, np.random.default_rng(3)), shuffle(codes, np.random.default_rng(3)))
    assert not np.array_equal(shuffle(codes, np.random.default_rng(3)), codes[None])
    with pytest.raises(InputError, match="1 or more"):
        shuffle(codes, np.random.default_rng(0), k=0)
