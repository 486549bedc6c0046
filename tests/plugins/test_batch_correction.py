"""The analysis `batch-correction`: what it compares, and that its scores follow what a correction does."""

import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers.embedded import PENALTY, embedded_package, fitted, groups
from scbasset_zoo_plugins.batch_correction.analysis import BatchCorrection
from scbasset_zoo_plugins.batch_correction.harmony import Harmony
from scbasset_zoo_plugins.batch_correction.lsi import lsi
from scbasset_zoo_plugins.batch_correction.warnings import cramers_v, warnings_of_mixing
from scipy import sparse

import scbasset_zoo as sz
from scbasset_zoo import InputError, hookimpl, plugin_manager
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo.graph.gauge import Gauge
from scbasset_zoo.running.embedding_scores import compare_with_chance, score_embedding

SHIFT = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Packages of the same cells, whose batches lie apart in `plain` and mix in `corrected`; `strong` mixes types as well."""
    folder = tmp_path_factory.mktemp("models")
    corrected, cells = groups()
    apart, _ = groups(shift=SHIFT)
    order = np.random.default_rng(0).permutation(len(cells))
    embedded_package(folder / "plain", apart[order], cells.iloc[order])
    embedded_package(folder / "corrected", corrected, cells.assign(alone="b1"), batch="batch")
    blurred = corrected + np.random.default_rng(1).normal(0, 2, corrected.shape)
    embedded_package(folder / "strong", blurred, cells, batch="batch", penalty=1e-4)
    embedded_package(folder / "fewer", corrected[:100], cells.iloc[:100], batch="batch")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return sz.open_model(folder / "corrected", "cpu")


@pytest.fixture(scope="module")
def counts(model):
    """Cells x 400 peaks in another order of cells: peaks of each type, of each batch, and of all."""
    rng = np.random.default_rng(2)
    cells = model.cells.sample(frac=1, random_state=0)
    open_share = np.full((240, 400), 0.08)
    for i, name in enumerate(sorted(cells["cell_type"].unique())):
        open_share[cells["cell_type"] == name, 40 * i : 40 * i + 40] = 0.5
    open_share[cells["batch"] == "b1", 200:260] = 0.4
    is_open = rng.random((240, 400)) < open_share * rng.uniform(0.4, 1.6, (240, 1))
    return ad.AnnData(sparse.csr_matrix(is_open.astype(np.float32)), obs=cells[[]])


@pytest.fixture(scope="module")
def result(model, folder, counts, tmp_path_factory):
    """Everything compared, as read from its file."""
    out = tmp_path_factory.mktemp("result") / "cells.h5ad"
    options = {"group_by": "cell_type", "plain": folder / "plain", "models": [str(folder / "strong")], "counts": counts}
    sz.run("batch-correction", model, out=out, n_components=10, quiet=True, **options)
    return ad.read_h5ad(out)


def test_everything_asked_for_is_compared_and_kept(result, model):
    table = result.uns["comparison"]
    assert table["kind"].to_dict() == {
        "LSI": "uncorrected",
        "Harmony on LSI": "Harmony",
        "scBasset": "uncorrected",
        "Harmony on scBasset": "Harmony",
        "scBasset-BC, λ = 1e-06": "scBasset-BC",
        "scBasset-BC, λ = 0.0001": "scBasset-BC",
    }
    assert table["l2_cell"].dropna().tolist() == [PENALTY, 1e-4]
    assert list(result.obs_names) == list(model.cells.index)
    for key in table["obsm"]:
        assert len(result.obsm[key]) == 240
        assert result.obsm[key.replace("X_", "X_umap_", 1)].shape == (240, 2)
    np.testing.assert_array_equal(result.obsm["X_scbasset_bc"], model.cell_embedding)
    np.testing.assert_array_equal(result.obsm["X_scbasset"][:, :7], model.cell_embedding[:, :7])


@pytest.fixture(scope="module")
def gauged(folder, tmp_path_factory):
    """The same plain and corrected models with a gauge of dimensions of different lengths."""
    with_gauge = tmp_path_factory.mktemp("gauged")
    scale = np.array([3.0, 3, 3, 3, 1, 1, 1, 0.5])
    gauge = Gauge(np.arange(8.0), np.diag(scale**2))
    for name, batch in (("plain", None), ("corrected", "batch")):
        old = sz.open_model(folder / name, "cpu")
        embedded_package(with_gauge / name, old.cell_embedding, old.cells, batch=batch, gauge=gauge)
    return with_gauge


@pytest.mark.parametrize("space", [None, "published"])
def test_all_models_are_compared_in_one_space_and_kept_in_both(gauged, counts, tmp_path, space, capsys):
    model, plain = (sz.open_model(gauged / name, "cpu") for name in ("corrected", "plain"))
    options = {"plain": plain, "counts": counts, "group_by": "cell_type", "n_components": 10, "space": space, "umap": False}
    out, report = tmp_path / "cells.h5ad", tmp_path / "report.html"
    sz.run("batch-correction", model, out=out, report=report, quiet=True, **options)
    assert "no gauge" not in capsys.readouterr().err
    result = ad.read_h5ad(out)
    chosen = space or "canonical"
    assert result.uns["scbasset_zoo"]["space"] == result.uns["batch_correction"]["space"] == chosen
    end = "_canonical" if chosen == "canonical" else ""
    table, other = result.uns["comparison"], result.uns["other_space"]
    assert table["obsm"].to_dict() == {
        "LSI": "X_lsi",
        "Harmony on LSI": "X_lsi_harmony",
        "scBasset": f"X_scbasset{end}",
        "Harmony on scBasset": f"X_scbasset{end}_harmony",
        "scBasset-BC": f"X_scbasset_bc{end}",
    }
    assert table["space"].tolist() == ["", "", chosen, chosen, chosen]
    order = plain.cells.index.get_indexer(model.cells.index)
    np.testing.assert_array_equal(result.obsm["X_scbasset"], plain.cell_embedding[order])
    np.testing.assert_array_equal(result.obsm["X_scbasset_canonical"], plain.canonical_embedding[order])
    np.testing.assert_array_equal(result.obsm["X_scbasset_bc"], model.cell_embedding)
    np.testing.assert_array_equal(result.obsm["X_scbasset_bc_canonical"], model.canonical_embedding)
    harmony = Harmony().integrate(result.obsm[f"X_scbasset{end}"], result.obs["batch"].to_numpy(), seed=0)
    np.testing.assert_allclose(result.obsm[f"X_scbasset{end}_harmony"], harmony, atol=1e-4)
    assert other["space"].tolist() == ["published" if chosen == "canonical" else "canonical"] * 2
    for rows in (table, other):
        for _, row in rows.iterrows():
            cells = EmbeddedCells(result.obsm[row["obsm"]], labels=result.obs["cell_type"], batches=result.obs["batch"])
            for name, value in score_embedding(cells).items():
                assert row[name] == pytest.approx(value), name
    assert "in the canonical space, since all have a gauge" in report.read_text() or space == "published"
    # The shift of the second batch is along the shortest dimension of the gauge.
    by_space = {rows.loc["scBasset", "space"]: rows.loc["scBasset", "iLISI"] for rows in (table, other)}
    assert by_space["canonical"] > by_space["published"]


def test_the_published_space_gives_exactly_the_scores_without_a_gauge(gauged, folder, result):
    options = {"group_by": "cell_type", "umap": False, "quiet": True}
    published = sz.run("batch-correction", gauged / "corrected", plain=gauged / "plain", space="published", device="cpu", **options)
    before = result.uns["comparison"].rename({"scBasset-BC, λ = 1e-06": "scBasset-BC"}).loc[published.uns["comparison"].index]
    pd.testing.assert_frame_equal(published.uns["comparison"], before, check_exact=True, check_dtype=False)


def test_one_model_without_a_gauge_puts_all_in_the_published_space_and_says_so(gauged, folder, capsys):
    options = {"umap": False, "methods": [], "quiet": True, "device": "cpu"}
    mixed = sz.run("batch-correction", gauged / "corrected", plain=folder / "plain", **options)
    assert capsys.readouterr().err.count("has no gauge") == 1
    assert mixed.uns["comparison"]["obsm"].tolist() == ["X_scbasset", "X_scbasset_bc"]
    assert "other_space" not in mixed.uns
    assert "X_scbasset_bc_canonical" in mixed.obsm
    assert "X_scbasset_canonical" not in mixed.obsm
    assert "since not all models have a gauge" in " ".join(BatchCorrection().describe(mixed).findings)
    with pytest.raises(InputError, match="no gauge.*scbasset-zoo add-gauge"):
        sz.run("batch-correction", gauged / "corrected", plain=folder / "plain", space="canonical", **options)


def test_the_command_chooses_the_space(gauged, folder, tmp_path):
    def run(model, *options):
        command = [sys.executable, "-m", "scbasset_zoo", "run", "batch-correction", model, "--no-umap", "--device", "cpu", *options]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)

    assert run(gauged / "corrected", "--space", "published", "--out", tmp_path / "cells.h5ad").returncode == 0
    assert ad.read_h5ad(tmp_path / "cells.h5ad").uns["scbasset_zoo"]["space"] == "published"
    refused = run(folder / "corrected", "--space", "canonical", "--out", tmp_path / "none.h5ad")
    assert refused.returncode == 1
    assert "no gauge" in refused.stderr
    assert not (tmp_path / "none.h5ad").exists()


def test_each_row_has_the_scores_of_its_embedding(result):
    for _, row in result.uns["comparison"].iterrows():
        cells = EmbeddedCells(result.obsm[row["obsm"]], labels=result.obs["cell_type"], batches=result.obs["batch"])
        for name, value in score_embedding(cells).items():
            assert row[name] == pytest.approx(value), name


def test_corrections_mix_the_batches_and_keep_the_types(result):
    table = result.uns["comparison"]
    for uncorrected in ("LSI", "scBasset"):
        assert table.loc[f"Harmony on {uncorrected}", "iLISI"] > table.loc[uncorrected, "iLISI"] + 0.3
        assert table.loc[f"Harmony on {uncorrected}", "kBET acceptance"] > table.loc[uncorrected, "kBET acceptance"] + 0.3
        assert table.loc[f"Harmony on {uncorrected}", "label score at 10"] > 0.9
    assert table.loc["scBasset", "iLISI"] < 1.4
    assert table.loc["scBasset-BC, λ = 1e-06", "iLISI"] > 1.7
    assert table.loc["scBasset-BC, λ = 1e-06", "label score at 10"] > 0.99
    assert table.loc["scBasset-BC, λ = 0.0001", "label score at 10"] < 0.8


def test_figures_are_made_of_the_file(result):
    figures = BatchCorrection().plot(result)
    assert set(figures) == {"trade_off", "umaps"}
    names = [text.get_text() for text in figures["trade_off"].legends[0].get_texts()]
    assert names == list(result.uns["comparison"].index)
    titled = [ax.get_title() for ax in figures["umaps"].axes if ax.get_title()]
    assert titled == 2 * names
    figures["umaps"].draw_without_rendering()
    grids = {ax.get_subplotspec().get_gridspec().get_geometry() for ax in figures["umaps"].axes}
    assert grids == {(4, 4)}
    assert [ax.get_ylabel() for ax in figures["umaps"].axes if ax.get_ylabel()] == 2 * ["coloured by batch"] + 2 * [
        "coloured by cell_type"
    ]
    assert [ax.get_title() for ax in figures["umaps"].axes if ax.get_legend()] == 2 * [names[3]]


def test_the_chance_of_each_score_stands_beside_the_comparison(result, model):
    """Permuted batches mix: the corrected model is about there, and the plain one is not."""
    chance, comparison = result.uns["chance"], result.uns["comparison"]
    assert set(chance.index) == {name for name in comparison if name.startswith(("label score", "cell-type", "kBET", "iLISI"))}
    cells = EmbeddedCells(model.cell_embedding, labels=model.cells["cell_type"], batches=model.cells["batch"])
    expected = compare_with_chance(cells)[["chance", "chance_sd"]]
    pd.testing.assert_frame_equal(chance, expected)
    mixing = {name: chance.loc[name, "chance"] - comparison.loc[name_of, name] for name, name_of in _MIXING}
    assert abs(mixing.pop("iLISI, rescaled")) < 4 * chance.loc["iLISI, rescaled", "chance_sd"]
    assert mixing["kBET acceptance"] > 0.3


_MIXING = (("iLISI, rescaled", "scBasset-BC, λ = 1e-06"), ("kBET acceptance", "scBasset"))


def test_nothing_is_warned_of_where_batches_are_large_unrelated_to_types_and_mix_better(result):
    assert list(result.uns["batch_correction"]["warnings"]) == []


def warnings(capsys, *args, **options):
    """The warnings in the result; each is also shown."""
    result = sz.run("batch-correction", *args, methods=[], umap=False, quiet=True, **options)
    kept = list(result.uns["batch_correction"]["warnings"])
    shown = capsys.readouterr().err.splitlines()
    assert all(warning in shown for warning in kept)
    return kept


@pytest.fixture(scope="module")
def misleading(tmp_path_factory):
    """A package whose batches lie apart, with columns of batches that are small or follow the types; and one of other data."""
    folder = tmp_path_factory.mktemp("misleading")
    apart, cells = groups(shift=SHIFT)
    few = np.where(np.arange(240) < 20, "few", "many")
    follows = cells["cell_type"].isin(["type0", "type1"]).map({True: "b0", False: "b1"}).where(np.arange(240) % 8 > 0, "b0")
    embedded_package(folder / "apart", apart, cells.assign(few=few, follows=follows), batch="batch")
    mixed, _ = groups()
    sources = {"sources": [{"name": "other.h5ad", "bytes": 9, "sha256": "0" * 64}]}
    embedded_package(folder / "mixed", mixed, cells)
    embedded_package(folder / "ours", mixed, cells, batch="batch", training={"sources": [{"name": "a.h5ad", "sha256": "1" * 64}]})
    embedded_package(folder / "other", mixed, cells, training=sources)
    return folder


def test_mixing_that_falls_is_warned_of(misleading, capsys):
    (warning,) = warnings(capsys, misleading / "apart", plain=misleading / "mixed", device="cpu")
    assert warning.startswith("scBasset-BC mixes the batches less than scBasset without correction: kBET acceptance ")
    assert warning.endswith(". To mix more, train with a larger l2_cell.")
    assert "rose" not in warning
    assert warnings(capsys, misleading / "ours", plain=misleading / "mixed", device="cpu") == []


def test_less_mixing_of_an_embedding_that_keeps_types_better_is_told_apart():
    scores = {"kBET acceptance": [0.9, 0.5], "label score at 50": [0.4, 0.6]}
    table = pd.DataFrame({"kind": ["uncorrected", "Harmony"], "corrects": ["", "LSI"], **scores}, index=["LSI", "Harmony on LSI"])
    chance = pd.DataFrame({"chance": [1.0, 0.25], "chance_sd": [0.05, 0.05]}, index=list(scores))
    assert warnings_of_mixing(table, chance) == [
        "Harmony on LSI mixes the batches less than LSI without correction: kBET acceptance 0.90 to 0.50. But its label score "
        "at 50 rose, 0.40 to 0.60: an embedding that tells fewer cells apart mixes batches more by itself."
    ]
    assert warnings_of_mixing(table, chance.assign(chance_sd=0.2)) == []
    assert warnings_of_mixing(table, chance.assign(chance_sd=np.nan)) == []


def test_batches_of_few_cells_are_warned_of(misleading, capsys):
    found = warnings(capsys, misleading / "apart", batch_key="few", device="cpu")
    assert found == ["Batches of fewer than 50 cells hardly change the scores of mixing, which say little about them: few (20)."]


def test_batches_that_follow_the_types_are_warned_of(misleading, capsys):
    association, alone = warnings(capsys, misleading / "apart", batch_key="follows", group_by="cell_type", device="cpu")
    assert association.startswith("Batches and groups go together (Cramér's V 0.9")
    assert alone.startswith("Some groups are in one batch only")
    assert "type0 (60 cells, batch b0), type1 (60 cells, batch b0)." in alone
    assert "type2" not in alone


def test_models_of_other_data_are_warned_of(misleading, capsys):
    (warning,) = warnings(capsys, misleading / "ours", plain=misleading / "other", device="cpu")
    assert warning.startswith("plain: scbasset/toy 1.0.0 was trained on other files than scbasset/toy 1.0.0, by the SHA-256")
    assert warnings(capsys, misleading / "ours", plain=misleading / "mixed", device="cpu") == []


def test_cramers_v_is_1_for_equal_groupings_and_about_0_for_unrelated_ones():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 20, 100).astype(str)
    assert cramers_v(labels, labels) == pytest.approx(1)
    assert cramers_v(labels, np.repeat("b", 100)) == 0
    related = [cramers_v(labels, rng.permutation(np.repeat(["a", "b"], 50))) for _ in range(20)]
    assert np.mean(related) < 0.15  # the uncorrected V has a mean of 0.43
    half = np.where(rng.random(4_000) < 0.5, "a", "b")
    other = np.where(rng.random(4_000) < 0.5, half, np.where(rng.random(4_000) < 0.5, "a", "b"))
    assert cramers_v(half, other) == pytest.approx(np.corrcoef(half == "a", other == "a")[0, 1], abs=0.01)


def test_alone_a_model_is_scored_for_mixing(model):
    result = sz.run("batch-correction", model, umap=False, quiet=True)
    table = result.uns["comparison"]
    assert list(table.index) == ["scBasset-BC"]
    assert {"kBET acceptance", "iLISI"} <= set(table.columns)
    assert not [column for column in table if column.startswith("label")]
    assert BatchCorrection().plot(result) == {}


def test_lsi_is_the_svd_of_tf_idf_without_the_component_of_depth(counts):
    is_open = counts.X.toarray()
    weights = np.log(1 + 1e4 * is_open / is_open.sum(axis=1, keepdims=True) * 240 / is_open.sum(axis=0))
    u, s, _ = np.linalg.svd(weights, full_matrices=False)
    expected = (u * s)[:, :6]
    depth = np.log(is_open.sum(axis=1))
    correlation = [abs(np.corrcoef(component, depth)[0, 1]) for component in expected.T]
    assert np.argmax(correlation) == 0
    assert max(correlation) > 0.5
    found = lsi(sparse.csr_matrix(is_open), 6, seed=1)
    assert found.shape == (240, 5)
    for mine, theirs in zip(found.T[:3], expected[:, 1:].T, strict=False):
        assert abs(np.corrcoef(mine, theirs)[0, 1]) > 0.9999
        assert np.linalg.norm(mine) == pytest.approx(np.linalg.norm(theirs), rel=1e-3)


def test_lsi_keeps_all_components_where_none_follows_depth():
    rng = np.random.default_rng(0)
    x = np.zeros((60, 80))
    for row in x:
        row[rng.choice(80, 10, replace=False)] = 1
    x[0, np.flatnonzero(x[0] == 0)[0]] = 1  # depths must not all be one, or nothing correlates
    assert lsi(sparse.csr_matrix(x), 5).shape == (60, 5)


def test_the_seed_decides_and_harmony_leaves_what_it_is_given():
    embedding, cells = groups(shift=SHIFT)
    before = embedding.copy()
    once, again = (Harmony().integrate(embedding, cells["batch"].to_numpy(), seed=2) for _ in "ab")
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(embedding, before)
    assert once.shape == embedding.shape


class Centred(sz.IntegrationMethod):
    """Batches moved onto each other."""

    name = "centred"

    def integrate(self, embedding, batches, *, seed):
        return embedding - pd.DataFrame(embedding).groupby(batches).transform("mean").to_numpy()


class Short(sz.IntegrationMethod):
    """Loses a cell."""

    name = "short"

    def integrate(self, embedding, batches, *, seed):
        return embedding[1:]


class Plugin:
    @hookimpl
    def register_integration_methods(self):
        return [Centred, Short]


def test_a_plugins_method_is_compared_and_one_that_fails_costs_only_itself(model, folder, capsys):
    plugin_manager.register(Plugin(), "test")
    try:
        options = {"group_by": "cell_type", "plain": folder / "plain", "umap": False, "quiet": True}
        table = sz.run("batch-correction", model, **options).uns["comparison"]
        fewer = sz.run("batch-correction", model, methods=["centred"], **options).uns["comparison"]
    finally:
        plugin_manager.unregister("test")
    assert list(table.index) == ["scBasset", "Harmony on scBasset", "centred on scBasset", "scBasset-BC"]
    assert table.loc["centred on scBasset", "iLISI"] > table.loc["scBasset", "iLISI"] + 0.3
    assert list(fewer.index) == ["scBasset", "centred on scBasset", "scBasset-BC"]
    message = (
        "integration method 'short' of this process failed and is left out: ValueError: it must return finite numbers of shape"
    )
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_key": "lane"}, "batch_key: the cells of scbasset/toy have no column 'lane'; they have cell_type, batch, alone"),
        ({"batch_key": "alone"}, "batch_key: all 240 cells have the alone"),
        ({"group_by": "tissue"}, "group_by: the cells of scbasset/toy have no column 'tissue'"),
        ({"plain": "corrected"}, "plain: scbasset/toy 1.0.0 is batch-corrected; give it as one of models"),
        ({"plain": "fewer"}, "plain: scbasset/toy 1.0.0 has 100 cells, of which 100 are among the 240 cells of"),
        ({"models": ["plain"]}, "scbasset/toy 1.0.0 was trained without batch correction"),
        ({"methods": ["scVI"]}, "methods: 'scVI' is not installed; installed methods are Harmony"),
        ({"counts": "few"}, "counts lacks 40 of the model's 240 cells, such as 'cell"),
        (
            {"counts": "all", "n_components": 240},
            "n_components must be less than the number of cells and of peaks in counts, 240; found 240",
        ),
        ({"counts": "all", "n_components": 1}, "n_components: .*must be at least 2"),
        ({"n_neighbours": 500}, "n_neighbours=500: the model has 240 cells; give a number below that"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_work(model, folder, counts, tmp_path, options, message):
    data = {"few": counts[:200], "all": counts, **{path.name: path for path in folder.iterdir()}}
    given = {name: data.get(value, value) if isinstance(value, str) else value for name, value in options.items()}
    given = {name: [str(data.get(v, v)) for v in value] if isinstance(value, list) else value for name, value in given.items()}
    with pytest.raises(InputError, match=message):
        sz.run("batch-correction", model, out=tmp_path / "out.h5ad", **given)
    assert not list(tmp_path.iterdir())


def test_a_model_without_batches_is_refused_with_the_way_out(folder, tmp_path):
    with pytest.raises(
        InputError,
        match=r"was trained without batch correction. Give a model that was trained with batch_key, and this one as plain",
    ):
        sz.run("batch-correction", folder / "plain", device="cpu", out=tmp_path / "out.h5ad")
    assert not list(tmp_path.iterdir())


def test_counts_above_0_are_open_and_an_empty_cell_is_named(model, result, counts):
    doubled = ad.AnnData(counts.X * 2, obs=counts.obs)
    doubled.X.data[:5] = 0
    doubled.X.data[5:10] = 7
    again = sz.run("batch-correction", model, counts=doubled, n_components=10, umap=False, quiet=True).obsm["X_lsi"]
    assert again.shape == result.obsm["X_lsi"].shape
    assert not np.array_equal(again, result.obsm["X_lsi"])
    assert np.corrcoef(again[:, 0], result.obsm["X_lsi"][:, 0])[0, 1] ** 2 > 0.99
    doubled.X.data[doubled.X.indptr[7] : doubled.X.indptr[8]] = 0
    with pytest.raises(InputError, match=f"counts: 1 cells have no open peak, such as '{counts.obs_names[7]}'"):
        sz.run("batch-correction", model, counts=doubled, umap=False, quiet=True)


@pytest.mark.slow
def test_a_fitted_batch_corrected_model_mixes_batches_and_keeps_types(tmp_path):
    """Two batches that differ in depth and in a stress factor; docs/batch-correction.md shows the same and more."""
    plain = fitted(tmp_path / "plain", {"n_batches": 2}, {})
    corrected = fitted(tmp_path / "corrected", {"n_batches": 2}, {"batch_key": "batch", "l2_cell": 1e-5})
    table = sz.run("batch-correction", corrected, plain=plain, group_by="cell_type", methods=[], umap=False, quiet=True)
    uncorrected, mixed = (table.uns["comparison"].loc[name] for name in ("scBasset", "scBasset-BC"))
    assert mixed["iLISI"] > uncorrected["iLISI"] + 0.3
    assert mixed["kBET acceptance"] > uncorrected["kBET acceptance"] + 0.2
    assert mixed["label score at 50"] > uncorrected["label score at 50"] - 0.05
