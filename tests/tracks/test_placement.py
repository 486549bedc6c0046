"""Each base has the value of the region whose centre is nearest."""

import numpy as np
import pandas as pd
import pytest
from helpers import toy

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.windows import peak_windows, sequence_windows
from scbasset_zoo.tracks import placement
from scbasset_zoo.tracks.placement import place


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("placement") / "toy.fa")


def windows_of(regions, genome):
    peaks = pd.DataFrame(regions, columns=["chrom", "start", "end"])
    return peak_windows(peaks, genome, toy.LENGTH, assembly="toy1", chromosome_sizes=toy.CHROMOSOME_SIZES)


def naive_owners(chroms, starts, ends):
    """Return the region of each base by chromosome; -1 for none."""
    owners = {chrom: np.full(size, -1) for chrom, size in toy.CHROMOSOME_SIZES.items()}
    for chrom, of_bases in owners.items():
        for base in range(len(of_bases)):
            covers = [i for i in range(len(starts)) if chroms[i] == chrom and starts[i] <= base < ends[i]]
            near = [(abs(2 * base + 1 - starts[i] - ends[i]), starts[i], ends[i], i) for i in covers]
            of_bases[base] = min(near)[3] if near else -1
    return owners


@pytest.mark.parametrize("length", [None, 200])
@pytest.mark.parametrize("part", [placement.PART, 64])
def test_overlaps_are_resolved_as_by_a_plain_loop(genome, length, part, monkeypatch):
    monkeypatch.setattr(placement, "PART", part)
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 1500, 24)
    regions = [(("chr2", "chr1")[i % 2], start, start + rng.integers(1, 400)) for i, start in enumerate(starts)]
    regions += [("chr1", 19_900, 20_050), regions[0], ("chr2", 5000, 5001)]
    placed = place(windows_of(regions, genome), length)
    chroms, first, last = zip(*regions, strict=True)
    if length is not None:
        first = [(a + b) // 2 - length // 2 for a, b in zip(first, last, strict=True)]
        last = [start + length for start in first]
    np.testing.assert_array_equal(placed.starts, first)
    owners = naive_owners(chroms, first, last)
    found = {chrom: np.full(size, -1) for chrom, size in toy.CHROMOSOME_SIZES.items()}
    for piece in placed.pieces.itertuples():
        assert (found[piece.chrom][piece.start : piece.end] == -1).all(), "pieces overlap"
        found[piece.chrom][piece.start : piece.end] = piece.region
    # Regions that are listed twice are the same region.
    for chrom, of_bases in owners.items():
        same = {-1: -1} | {i: regions.index(region) for i, region in enumerate(regions)}
        np.testing.assert_array_equal([same[i] for i in found[chrom]], [same[i] for i in of_bases])
    order = placed.pieces[["chrom", "start"]]
    assert order.equals(order.sort_values(["chrom", "start"]))


def test_sequences_without_coordinates_are_refused():
    with pytest.raises(InputError, match="sequences have no coordinates. Give peaks or regions with genome"):
        place(sequence_windows(toy.random_sequences(2), toy.LENGTH))
