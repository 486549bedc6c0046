"""Chance is the score after labels, batches or RNA moved to other cells: by a permutation that keeps positions and neighbours."""

import numpy as np
import pytest
from helpers.embedded import groups, nearest

from scbasset_zoo.extend.chance import NO_CHANCE, Chance, chance_of
from scbasset_zoo.extend.embedding import EmbeddedCells


@pytest.fixture(params=[40, 1_000], ids=["some cells sampled", "all cells sampled"])
def cells(request):
    embedding, table = groups(90)
    rna = np.random.default_rng(1).normal(size=(90, 3))
    return EmbeddedCells(embedding, labels=table["cell_type"], batches=table["batch"], rna=rna, most_cells=request.param)


def test_what_moves_is_permuted_together_and_the_rest_stays(cells):
    moved = cells.permuted({"labels", "batches"}, seed=3)
    pairs = [sorted(zip(one.labels, one.batches, strict=True)) for one in (cells, moved)]
    assert pairs[0] == pairs[1]
    assert (moved.labels != cells.labels).any()
    assert moved.embedding is cells.embedding
    assert moved.rna is cells.rna
    np.testing.assert_array_equal(moved.labels, cells.permuted({"labels"}, seed=3).labels)
    assert (moved.labels != cells.permuted({"labels"}, seed=4).labels).any()
    sampled = [sorted(one.labels[one.sample]) for one in (cells, moved)]
    assert sampled[0] == sampled[1]


@pytest.mark.parametrize("most_cells", [15, 10_000])
def test_neighbours_in_permuted_rna_are_those_that_a_search_finds(cells, most_cells):
    cells.neighbours(5), cells.neighbours(5, "rna")
    moved = cells.permuted({"rna"}, seed=0, most_cells=most_cells)
    assert len(moved.sample) == min(most_cells, len(cells.sample))
    assert set(moved.sample) <= set(cells.sample)
    assert (moved.rna != cells.rna).any()
    np.testing.assert_array_equal(moved.neighbours(5, "rna"), nearest(moved.rna, 5)[moved.sample])
    np.testing.assert_array_equal(moved.neighbours(5), nearest(moved.embedding, 5)[moved.sample])


def test_chance_is_the_mean_and_deviation_over_permutations(cells):
    def first_is_alike(cells):
        return {"alike": float(np.mean(cells.labels[cells.sample] == cells.labels[cells.sample[0]])), "nan": np.nan, "one": 1.0}

    found = chance_of(lambda cells: {"label": cells.labels[cells.sample[0]]}, cells, ["labels"], n_permutations=60)["label"]
    expected = [cells.permuted(["labels"], seed=i).labels[cells.sample[0]] for i in range(60)]
    assert found == (pytest.approx(np.mean(expected)), pytest.approx(np.std(expected, ddof=1)))
    assert set(chance_of(first_is_alike, cells, ["labels"])) == {"alike", "one"}
    assert chance_of(first_is_alike, cells, ["labels"])["one"] == (1, 0)


def test_a_score_that_fails_is_not_computed_again(cells):
    calls = []
    assert chance_of(lambda cells: calls.append(cells) or {}, cells, ["labels"]) == {}
    assert len(calls) == 1


def test_within_three_deviations_is_within_error_of_chance():
    chance = Chance(0.5, 0.1)
    assert [chance.covers(score) for score in (0.19, 0.21, 0.79, 0.81, np.nan)] == [False, True, True, False, False]
    assert Chance(1.0, 0.0).covers(1.0)
    assert not NO_CHANCE.covers(0.5)
