"""Each metric of an embedding equals an independent computation, and metrics of plugins are used too."""

import pickle

import numpy as np
import pytest
from helpers.embedded import distances, groups, nearest
from scbasset_zoo_plugins import metrics
from scipy.optimize import brentq
from scipy.stats import chisquare
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, homogeneity_score, silhouette_samples

import scbasset_zoo as sz
from scbasset_zoo import hookimpl, plugin_manager
from scbasset_zoo.extend.chance import AT_CHANCE
from scbasset_zoo.extend.embedding import EmbeddedCells, UndefinedScore, reasons_of_undefined
from scbasset_zoo.running.embedding_scores import compare_with_chance, score_embedding


@pytest.fixture(scope="module")
def cells():
    """300 cells that overlap, with labels, clusters, three uneven batches and RNA."""
    rng = np.random.default_rng(3)
    embedding, table = groups(300, 3, spread=1.5, seed=3)
    batches = np.where(rng.random(300) < 0.2, "c", np.where(embedding[:, 0] > 1, "a", "b"))
    return {
        "embedding": embedding,
        "labels": table["cell_type"].to_numpy(),
        "clusters": rng.integers(0, 4, 300),
        "batches": batches,
        "rna": embedding + rng.normal(0, 1, embedding.shape),
    }


@pytest.fixture(scope="module")
def scores(cells):
    return score_embedding(EmbeddedCells(**cells))


@pytest.mark.parametrize("k", [10, 50, 100])
def test_the_label_score_is_the_mean_share_of_neighbours_of_the_cells_label(cells, scores, k):
    labels, neighbours = cells["labels"], nearest(cells["embedding"], k)
    expected = np.mean([np.mean([labels[j] == labels[i] for j in neighbours[i]]) for i in range(300)])
    assert scores[f"label score at {k}"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [10, 50, 100])
def test_the_neighbour_score_is_the_mean_share_of_neighbours_that_are_neighbours_in_rna(cells, scores, k):
    in_embedding, in_rna = nearest(cells["embedding"], k), nearest(cells["rna"], k)
    expected = np.mean([len(set(in_embedding[i]) & set(in_rna[i])) / k for i in range(300)])
    assert scores[f"neighbour score at {k}"] == pytest.approx(expected, abs=1e-12)


def test_agreement_with_labels_is_scikit_learns(cells, scores):
    labels, clusters = cells["labels"], cells["clusters"]
    assert scores["ARI"] == pytest.approx(adjusted_rand_score(labels, clusters))
    assert scores["AMI"] == pytest.approx(adjusted_mutual_info_score(labels, clusters))
    assert scores["homogeneity"] == pytest.approx(homogeneity_score(labels, clusters))
    assert scores["cell-type ASW"] == pytest.approx((silhouette_samples(cells["embedding"], labels).mean() + 1) / 2)


def test_kbet_is_the_share_of_neighbourhoods_that_a_chi_squared_test_accepts(cells, scores):
    batches, k = cells["batches"], 25  # a quarter of 300 / 3
    names, counts = np.unique(batches, return_counts=True)
    neighbours = nearest(cells["embedding"], k - 1)
    accepted = 0
    for i in range(300):
        around = batches[[i, *neighbours[i]]]
        accepted += chisquare([(around == name).sum() for name in names], k * counts / 300).pvalue >= 0.05
    assert 0 < accepted < 300
    assert scores["kBET acceptance"] == pytest.approx(accepted / 300)


@pytest.mark.parametrize(("n_cells", "n_batches", "expected"), [(300, 3, 25), (30, 3, 10), (10_000, 2, 70), (8, 2, 8)])
def test_kbets_neighbourhoods_are_a_quarter_of_a_batch_within_limits(n_cells, n_batches, expected):
    assert metrics.kbet_neighbours(n_cells, n_batches) == expected


def test_ilisi_is_the_median_inverse_simpson_index_of_the_batches_at_perplexity_30(cells, scores):
    """Written out from Korsunsky et al. 2019: the 89 nearest weigh as exp(-beta * distance), beta for an entropy of log 30."""
    batches, all_distances = cells["batches"], distances(cells["embedding"])
    indices = []
    for i in range(300):
        order = np.argsort(all_distances[i])[:89]
        to = all_distances[i][order]

        def weights(beta, to=to):
            weight = np.exp(-beta * (to - to.min()))
            return weight / weight.sum()

        def excess(log_beta, weights=weights):
            p = weights(np.exp(log_beta))
            return -(p * np.log(p + 1e-300)).sum() - np.log(30)

        p = weights(np.exp(brentq(excess, -10, 10)))
        indices.append(1 / sum(p[batches[order] == name].sum() ** 2 for name in "abc"))
    assert scores["iLISI"] == pytest.approx(np.median(indices), rel=1e-3)
    assert scores["iLISI, rescaled"] == pytest.approx((np.median(indices) - 1) / 2, rel=2e-3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"labels"}, {"cell-type ASW", *(f"label score at {k}" for k in (10, 50, 100))}),
        ({"clusters"}, set()),
        ({"batches"}, {"kBET acceptance", "iLISI", "iLISI, rescaled"}),
        ({"rna"}, {f"neighbour score at {k}" for k in (10, 50, 100)}),
    ],
)
def test_scores_are_those_for_which_there_are_data(cells, given, expected):
    assert set(score_embedding(EmbeddedCells(cells["embedding"], **{name: cells[name] for name in given}))) == expected


@pytest.fixture(scope="module")
def compared(cells):
    return compare_with_chance(EmbeddedCells(**cells))


def test_each_score_stands_beside_its_chance(scores, compared):
    assert list(compared.columns) == ["score", "chance", "chance_sd", "n_cells", "note"]
    assert compared["score"].to_dict() == pytest.approx(scores)
    assert set(compared["n_cells"]) == {300}
    assert (compared["chance_sd"] > 0).all()


@pytest.mark.parametrize("k", [10, 50, 100])
def test_chance_of_neighbours_is_what_combinatorics_gives(cells, compared, k):
    """Of two cells that are drawn at random, the labels are equal; of two sets of k cells, k / (n - 1) are shared."""
    sizes = np.unique(cells["labels"], return_counts=True)[1]
    expected = {f"label score at {k}": (sizes * (sizes - 1)).sum() / (300 * 299), f"neighbour score at {k}": k / 299}
    for name, value in expected.items():
        chance, deviation = compared.loc[name, ["chance", "chance_sd"]]
        assert chance == pytest.approx(value, abs=4 * deviation / 20**0.5), name
        assert deviation < 0.02
    assert compared.loc["ARI", "chance"] == pytest.approx(0, abs=4 * compared.loc["ARI", "chance_sd"] / 20**0.5)


def test_scores_of_permuted_labels_batches_and_rna_are_within_error_of_the_stated_chance(cells, compared):
    for seed in range(5):
        order = np.random.default_rng(100 + seed).permutation(300)
        permuted = {name: values[order] if name in ("labels", "batches", "rna") else values for name, values in cells.items()}
        found = score_embedding(EmbeddedCells(**permuted))
        for name, value in found.items():
            assert value == pytest.approx(compared.loc[name, "chance"], abs=4.5 * compared.loc[name, "chance_sd"]), name


def test_the_note_says_which_scores_are_no_better_than_chance(cells, compared):
    """The clusters of the fixture are drawn at random; the labels are not."""
    at_chance = set(compared.index[compared["note"] == AT_CHANCE])
    assert at_chance == {"ARI", "AMI", "homogeneity"}


def test_chance_of_many_cells_is_computed_from_some(cells, monkeypatch):
    monkeypatch.setattr(metrics.LabelSilhouette, "most_cells_for_chance", 50)
    found = compare_with_chance(EmbeddedCells(cells["embedding"], labels=cells["labels"])).loc["cell-type ASW"]
    assert found["n_cells"] == 300
    assert found["chance"] == pytest.approx(0.5, abs=0.02)


def reasons(**cells):
    """The reasons of undefined scores. Each score is either a number or NaN with its reason."""
    found = score_embedding(EmbeddedCells(**cells))
    undefined = reasons_of_undefined(found)
    assert all(np.isnan(score) == (name in undefined) for name, score in found.items())
    return undefined


def test_scores_with_more_neighbours_than_there_are_cells_are_undefined():
    """With 52 cells, 50 neighbours are chosen among 51. With 51 cells they are all others, wherever those lie."""
    for n_cells, undefined in ((52, {100}), (51, {50, 100}), (11, {10, 50, 100})):
        embedding, table = groups(n_cells)
        found = reasons(embedding=embedding, labels=table["cell_type"], rna=embedding)
        assert set(found) == {f"{kind} score at {k}" for kind in ("label", "neighbour") for k in undefined}
        assert found["label score at 100"] == f"there are {n_cells} cells; 102 or more are needed"


def test_labels_that_are_all_equal_or_all_differ_define_no_score():
    embedding, _ = groups(60)
    names = {"ARI", "AMI", "homogeneity", "cell-type ASW", *(f"label score at {k}" for k in (10, 50, 100))}
    for labels, reason in ((["a"] * 60, "all cells have the same label"), (range(60), "each cell has a label of its own")):
        assert reasons(embedding=embedding, labels=labels, clusters=np.arange(60) % 2) == dict.fromkeys(names, reason)


@pytest.mark.parametrize(
    ("clusters", "reason"), [(np.zeros(60), "all cells are in one cluster"), (np.arange(60), "each cell is a cluster of its own")]
)
def test_clusters_that_are_one_or_single_cells_agree_with_no_labels(clusters, reason):
    embedding, table = groups(60)
    found = reasons(embedding=embedding, labels=table["cell_type"], clusters=clusters)
    assert {name: found.get(name) for name in ("ARI", "AMI", "homogeneity")} == dict.fromkeys(("ARI", "AMI", "homogeneity"), reason)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_the_scale_of_an_embedding_does_not_matter(scale):
    embedding, table = groups(60)
    given = {"labels": table["cell_type"], "batches": table["batch"], "rna": embedding}
    expected = score_embedding(EmbeddedCells(embedding, **given))
    found = score_embedding(EmbeddedCells(embedding * np.float32(scale), **given))
    assert found == pytest.approx(expected, rel=1e-3, nan_ok=True)
    assert score_embedding(EmbeddedCells(embedding.tolist(), **given)) == pytest.approx(expected, rel=1e-3, nan_ok=True)


def test_cells_at_one_point_have_no_neighbours():
    points = np.ones((120, 3))
    halves = np.arange(120) % 2
    found = reasons(embedding=points, labels=halves, batches=halves, rna=points)
    assert len(found) == 3 + 1 + 3 + 3
    assert set(found.values()) == {"all cells have the same position in the embedding"}
    found = reasons(embedding=groups(120)[0], rna=points)
    assert set(found.values()) == {"all cells have the same position in the RNA"}


@pytest.mark.parametrize(
    ("sizes", "kbet", "ilisi"),
    [
        (
            (297, 3),
            "kBET would accept 99% of the neighbourhoods of 37 cells even if the batches lay apart",
            "297 of 300 cells are of",
        ),
        ((37, 3), "kBET would accept 92% of the neighbourhoods of 10 cells", "37 of 40 cells are of one batch: 13 neighbours"),
        ((6, 5), "kBET would accept 100% of the neighbourhoods of 10 cells", None),
        ((2, 1), "kBET would accept 100% of the neighbourhoods of 3 cells", "2 of 3 cells are of one batch: 0 neighbours"),
        ((40,), "all cells have the same batch", "all cells have the same batch"),
        ((150, 150), None, None),
        ((150, 147, 3), None, None),
        ((200, 40), None, None),
    ],
)
def test_mixing_is_undefined_where_batches_apart_would_score_as_batches_that_mix(sizes, kbet, ilisi):
    batches = np.repeat(np.arange(len(sizes)), sizes)
    for shift in (0, 100):  # mixed, and apart
        embedding = np.random.default_rng(0).normal(size=(len(batches), 2)) + shift * batches[:, None]
        found = reasons(embedding=embedding, batches=batches)
        for name, reason in (("kBET acceptance", kbet), ("iLISI", ilisi), ("iLISI, rescaled", ilisi)):
            assert (name in found) == (reason is not None)
            assert found.get(name, "").startswith(reason or "")


def test_kbet_is_undefined_if_most_neighbourhoods_of_batches_apart_are_accepted():
    """The share of neighbourhoods that are accepted is counted from cells, not from the expected neighbourhoods."""
    for sizes in ((297, 3), (275, 25), (150, 150), (120, 100, 20)):
        batches = np.repeat(np.arange(len(sizes)), sizes)
        k = metrics.kbet_neighbours(len(batches), len(sizes))
        accepted = 0.0
        for own, size in enumerate(sizes):
            around = batches[np.argsort(batches != own, kind="stable")][:k] if size >= k else None
            if around is not None:
                observed = np.bincount(around, minlength=len(sizes))
                accepted += size * (chisquare(observed, k * np.array(sizes) / len(batches)).pvalue >= 0.05)
        is_undefined = "kBET acceptance" in reasons(embedding=groups(len(batches))[0], batches=batches)
        assert is_undefined == (accepted / len(batches) > 0.5), sizes


def test_duplicates_of_cells_and_rows_of_one_value_are_cells_like_others():
    embedding, table = groups(60)
    embedding[7] = embedding[11] = 2.0
    doubled = np.concatenate([embedding, embedding])
    labels = np.tile(table["cell_type"], 2)
    found = score_embedding(EmbeddedCells(doubled, labels=labels, batches=np.repeat([0, 1], 60), rna=doubled))
    assert np.isfinite(list(found.values())).all()
    assert found["label score at 10"] > 0.9
    assert found["neighbour score at 10"] == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": ["a", None, "b"]}, "labels has no value for 1 cells, such as cell 1"),
        ({"batches": [1.0, 2.0, np.nan]}, "batches has no value for 1 cells, such as cell 2"),
        ({"embedding": np.zeros((0, 2))}, r"embedding must be cells x dimensions, with one cell or more"),
        ({"labels": ["a", "b"]}, r"labels must have a value for each of the 3 cells; found shape \(2,\)"),
        ({"rna": np.zeros((2, 2))}, r"rna must be cells x dimensions, with 3 cells; found shape \(2, 2\)"),
        ({"embedding": np.array([[0.0], [np.inf], [1.0]])}, "embedding has NaN or infinite values, such as those of cell 1"),
    ],
)
def test_cells_without_values_are_refused(given, message):
    with pytest.raises(sz.InputError, match=message):
        EmbeddedCells(**{"embedding": np.zeros((3, 2)), **given})


def test_a_number_of_a_plugin_that_is_not_finite_is_undefined(cells):
    class Odd(sz.EmbeddingMetric):
        name = "odd"

        def score(self, cells):
            return {"nan": np.nan, "infinite": np.float32(np.inf), "why": UndefinedScore("too few cells")}

    class Plugin:
        @hookimpl
        def register_embedding_metrics(self):
            return [Odd]

    plugin_manager.register(Plugin(), "test")
    try:
        found = score_embedding(EmbeddedCells(cells["embedding"]))
    finally:
        plugin_manager.unregister("test")
    expected = {"nan": "the metric 'odd' returned nan", "infinite": "the metric 'odd' returned inf", "why": "too few cells"}
    assert reasons_of_undefined(found) == expected
    assert np.isnan(list(found.values())).all()
    assert pickle.loads(pickle.dumps(found["why"])).reason == "too few cells"


def test_neighbours_leave_the_cell_out_even_among_copies_of_it():
    points = np.repeat(np.arange(3.0)[:, None], 5, axis=0)
    found = EmbeddedCells(points).neighbours(4)
    for cell, neighbours in enumerate(found):
        assert cell not in neighbours
        assert set(neighbours) == set(range(cell // 5 * 5, cell // 5 * 5 + 5)) - {cell}


def test_of_many_cells_some_are_drawn_and_their_neighbours_sought_among_all(cells):
    drawn = EmbeddedCells(cells["embedding"], labels=cells["labels"], seed=5, most_cells=60)
    assert len(np.unique(drawn.sample)) == 60
    assert (drawn.sample == EmbeddedCells(cells["embedding"], seed=5, most_cells=60).sample).all()
    assert (drawn.sample != EmbeddedCells(cells["embedding"], seed=6, most_cells=60).sample).any()
    expected = nearest(cells["embedding"], 10)[drawn.sample]
    assert (drawn.neighbours(10) == expected).all()
    same = cells["labels"][expected] == cells["labels"][drawn.sample][:, None]
    assert score_embedding(drawn)["label score at 10"] == pytest.approx(same.mean())


def test_a_plugins_metric_joins_and_one_that_fails_costs_only_itself(cells, capsys):
    class Width(sz.EmbeddingMetric):
        name = "width"

        def score(self, cells):
            return {"width": np.ptp(cells.embedding)}

    class FirstLabel(sz.EmbeddingMetric):
        name = "first"
        needs = frozenset({"labels"})

        def score(self, cells):
            return {"first label": cells.labels[0]}

    class Broken(sz.EmbeddingMetric):
        name = "broken"

        def score(self, cells):
            raise RuntimeError("no such luck")

    class Plugin:
        @hookimpl
        def register_embedding_metrics(self):
            return [Broken, Width, FirstLabel]

    plugin_manager.register(Plugin(), "test")
    try:
        found = score_embedding(EmbeddedCells(cells["embedding"]))
        with_chance = compare_with_chance(EmbeddedCells(cells["embedding"], labels=np.sort(cells["labels"]))).loc[
            ["width", "first label"]
        ]
    finally:
        plugin_manager.unregister("test")
    assert found == {"width": pytest.approx(np.ptp(cells["embedding"]))}
    assert with_chance["score"].to_dict() == {"width": found["width"], "first label": 0}
    assert np.isnan(with_chance.loc["width", "chance"])
    assert 0 < with_chance.loc["first label", "chance"] < 2
    assert "metric 'broken' of this process failed and is left out: RuntimeError: no such luck" in capsys.readouterr().err
