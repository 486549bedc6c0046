"""Depth and canonical embedding do not depend on the gauge, and distances are differences of logits."""

import numpy as np
import onnx
import pytest
from helpers import toy
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.gauge import Gauge, gauge_of, read_gauge, with_gauge
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.runtime.canonical_space import CanonicalSpace

N_CELLS = 60


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("without") / "toy", n_cells=N_CELLS, gauge=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("with") / "toy", n_cells=N_CELLS).folder, "cpu")


def regauged(model, matrix, shift):
    """Return the ONNX model with peak embeddings e A + c, and head and gauge to match, in float64 before the last rounding."""
    size = len(shift)
    proto = model.package.network()
    inverse = np.linalg.inv(matrix)
    embedding = inverse @ model.cell_embedding.T.astype(float)
    intercept = model.cell_intercept - shift @ embedding
    gauge = Gauge(model.gauge.mean @ matrix + shift, matrix.T @ model.gauge.covariance @ matrix)
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = ["before" if name == "peak_embedding" else name for name in names]
    new = {"cell_embedding": embedding, "cell_intercept": intercept, "matrix": matrix, "shift": shift}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name not in new]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend([*kept, *(numpy_helper.from_array(np.float32(v), name) for name, v in new.items())])
    nodes = list(proto.graph.node)
    first_of_head = next(i for i, node in enumerate(nodes) if "cell_embedding" in node.input)
    nodes[first_of_head].input[0] = "peak_embedding"
    nodes[first_of_head:first_of_head] = [
        helper.make_node("MatMul", ["before", "matrix"], ["turned"]),
        helper.make_node("Add", ["turned", "shift"], ["peak_embedding"]),
    ]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    assert size == 32
    return with_gauge(proto, Gauge(*(np.asarray(part) for part in gauge)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_depth_and_distances_are_the_same_in_any_gauge(model, tmp_path, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(32, 32)) / 6 + np.diag(rng.choice([-1.0, 1.0], 32))
    proto = regauged(model, matrix, rng.normal(size=32))
    card = toy.toy_card(gauge=toy.GAUGE_FIELDS)
    other = write_package(tmp_path / "other", card=card, model=proto, cells=model.cells, peaks=toy.toy_peaks())
    assert verify_package(other.folder) == []
    changed = sz.open_model(other.folder, "cpu")
    sequences = toy.random_sequences(4)
    np.testing.assert_allclose(changed.logits(sequences), model.logits(sequences), atol=1e-4)
    assert np.abs(changed.cell_embedding - model.cell_embedding).max() > 0.1, "the gauge must differ for this test to mean much"
    np.testing.assert_allclose(changed.depth, model.depth, rtol=1e-4, atol=1e-4)
    products = model.canonical_embedding @ model.canonical_embedding.T
    scale = np.sqrt(np.outer(products.diagonal(), products.diagonal()))
    difference = (changed.canonical_embedding @ changed.canonical_embedding.T - products) / scale
    assert np.abs(difference).max() < 1e-4
    # Axes along which the cells vary differently enough are unique, with their signs.
    np.testing.assert_allclose(changed.canonical_embedding[:, :5], model.canonical_embedding[:, :5], rtol=1e-2, atol=1e-4)
    compared = sz.compare_models(model, changed)
    np.testing.assert_allclose(compared.loc[["distances", "procrustes", "neighbours", "depth", "size"], "value"], 1, atol=1e-4)
    assert (compared.loc[["distances", "procrustes", "neighbours", "depth"], "chance"] < 0.6).all()
    published = sz.compare_models(model, changed, space="published")
    assert published.loc["neighbours", "value"] < 1
    assert published.loc["procrustes", "value"] < 0.9


def test_distances_are_root_mean_square_differences_of_logits_without_depth(without, genome, tmp_path):
    package = sz.add_gauge(without.folder, genome=genome, out=tmp_path / "with")
    model = sz.open_model(package.folder, "cpu")
    peaks = without.peaks()
    windows = model.peak_windows(peaks[peaks["split"] == "train"], genome)
    logits = model.embed(windows.read(0, len(windows))).astype(float) @ model.cell_embedding.T.astype(float) + model.cell_intercept
    np.testing.assert_allclose(model.depth, logits.mean(axis=0), rtol=1e-5, atol=1e-6)
    free = logits - logits.mean(axis=0)
    expected = np.sqrt(((free[:, :, None] - free[:, None, :]) ** 2).mean(axis=0))
    canonical = model.canonical_embedding.astype(float)
    distances = np.sqrt(((canonical[:, None] - canonical[None]) ** 2).sum(axis=-1))
    others = ~np.eye(N_CELLS, dtype=bool)
    np.testing.assert_allclose(distances[others], expected[others], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(canonical, axis=1), free.std(axis=0), rtol=1e-5)


def test_batch_effects_move_into_depth_and_embedding_likewise(genome, tmp_path):
    package = toy.toy_corrected_package(tmp_path / "corrected", n_cells=12, gauge=False)
    model = sz.open_model(sz.add_gauge(package.folder, genome=genome).folder, "cpu")
    peaks = package.peaks()
    windows = model.peak_windows(peaks[peaks["split"] == "train"], genome)
    codes = windows.read(0, len(windows))
    for batch_effects in (False, True):
        embedding, depth = model.canonical_head(batch_effects=batch_effects)
        logits = model.logits(codes, batch_effects=batch_effects).astype(float)
        np.testing.assert_allclose(depth, logits.mean(axis=0), rtol=1e-4, atol=1e-5)
        free = logits - logits.mean(axis=0)
        np.testing.assert_allclose(embedding.astype(float) @ embedding.T, free.T @ free / len(codes), rtol=1e-4, atol=1e-5)
    embedding, depth = model.canonical_head()
    np.testing.assert_array_equal(depth, model.depth)
    np.testing.assert_array_equal(embedding, model.canonical_embedding)


def test_canonical_axes_are_the_principal_axes_of_the_cells(model):
    canonical = model.canonical_embedding.astype(float)
    assert canonical.shape == (N_CELLS, 32)
    assert model.canonical_embedding.dtype == model.depth.dtype == np.float32
    covariance = np.cov(canonical.T)
    np.testing.assert_allclose(covariance, np.diag(covariance.diagonal()), atol=1e-5 * covariance.max())
    assert (np.diff(covariance.diagonal()) <= 1e-6).all()
    assert (((canonical - canonical.mean(axis=0)) ** 3).sum(axis=0) >= -1e-6).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_products_of_cells_are_mean_products_of_logits_even_for_few_peaks_and_cells(n_cells, size, n_peaks, seed):
    rng = np.random.default_rng(seed)
    peaks, cells = rng.normal(size=(n_peaks, size)), rng.normal(size=(n_cells, size)).astype(np.float32)
    space = CanonicalSpace.of(gauge_of(peaks), cells)
    logits = (peaks - peaks.mean(axis=0)) @ cells.T
    canonical = space.embedding(cells).astype(float)
    np.testing.assert_allclose(canonical @ canonical.T, logits.T @ logits / n_peaks, atol=1e-5)
    np.testing.assert_allclose(space.depth(cells, np.zeros(n_cells)), (peaks @ cells.T).mean(axis=0), atol=1e-5)


def test_a_gauge_changes_no_output_and_opens_in_plain_onnx_runtime_without_a_warning(without, genome, tmp_path, capfd):
    package = sz.add_gauge(without.folder, genome=genome, out=tmp_path / "with")
    sequence = dna.one_hot(dna.as_codes(toy.random_sequences(2)))
    expected, found = (run_plainly(each.model_bytes(), sequence) for each in (without, package))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert "Removing initializer" not in capfd.readouterr().err
    assert package.card.gauge.n_peaks == 6
    assert verify_package(package.folder) == []


def test_a_model_without_a_gauge_says_how_to_add_it(without):
    model = sz.open_model(without.folder, "cpu")
    assert model.gauge is None
    for attribute in ("depth", "canonical_embedding"):
        with pytest.raises(InputError, match="no gauge.*scbasset-zoo add-gauge"):
            getattr(model, attribute)


def test_a_gauge_is_added_in_place_or_from_given_peaks(without, genome, tmp_path):
    import shutil

    shutil.copytree(without.folder, tmp_path / "copy")
    package = sz.add_gauge(tmp_path / "copy", genome=genome, peaks=["chr1:100-600", "chr2:5000-5400", "chr1:9000-9500"])
    assert package.folder == tmp_path / "copy"
    assert package.card.gauge.n_peaks == 3
    assert "given" in package.card.gauge.peaks
    again = sz.add_gauge(tmp_path / "copy", genome=genome)
    assert again.card.gauge.n_peaks == 6
    names = [tensor.name for tensor in again.network().graph.initializer]
    assert names.count("peak_embedding_mean") == names.count("peak_embedding_covariance") == 1
    assert verify_package(again.folder) == []


def test_a_gauge_needs_peaks_a_genome_of_the_model_and_a_free_place(without, genome, tmp_path):
    bare = write_package(tmp_path / "bare", card=toy.toy_card(), model=toy.toy_model(), cells=toy.toy_cells())
    with pytest.raises(InputError, match="does not list its training peaks"):
        sz.add_gauge(bare.folder, genome=genome)
    with pytest.raises(InputError, match="at least two"):
        sz.add_gauge(bare.folder, genome=genome, peaks=["chr1:100-600"])
    with pytest.raises(InputError, match="exists"):
        sz.add_gauge(without.folder, genome=genome, out=bare.folder)
    other = tmp_path / "other.fa"
    other.write_text(">chr1\n" + "ACGT" * 300 + "\n")
    with pytest.raises(InputError, match="chr1"):
        sz.add_gauge(without.folder, genome=other)
    assert read_gauge(bare.network()) is None
    assert verify_package(bare.folder) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda gauge: Gauge(gauge.mean[:5], gauge.covariance), "must be float64 of shape"),
        (lambda gauge: Gauge(gauge.mean, gauge.covariance + np.triu(np.ones((32, 32)))), "not symmetric"),
        (lambda gauge: Gauge(gauge.mean, -gauge.covariance), "negative eigenvalues"),
        (lambda gauge: Gauge(gauge.mean * np.nan, gauge.covariance), "not finite"),
    ],
)
def test_a_gauge_that_is_none_is_refused(model, tmp_path, change, message):
    proto = with_gauge(model.package.network(), change(model.gauge))
    card = toy.toy_card(gauge=toy.GAUGE_FIELDS)
    with pytest.raises(PackageError, match=message):
        write_package(tmp_path / "bad", card=card, model=proto, cells=model.cells, peaks=toy.toy_peaks())
    assert not (tmp_path / "bad").exists()


def test_card_and_network_agree_whether_there_is_a_gauge(model, tmp_path):
    with pytest.raises(PackageError, match="no section 'gauge'"):
        write_package(tmp_path / "bad", card=toy.toy_card(), model=model.package.network(), cells=model.cells)
    proto = toy.toy_model(N_CELLS)
    with pytest.raises(PackageError, match="has no initializer 'peak_embedding_mean'"):
        write_package(tmp_path / "bad", card=toy.toy_card(gauge=toy.GAUGE_FIELDS), model=proto, cells=model.cells)
    half = onnx.ModelProto()
    half.CopyFrom(with_gauge(proto, model.gauge))
    del half.graph.initializer[-1]
    with pytest.raises(PackageError, match="peak_embedding_covariance"):
        read_gauge(half)


def test_models_that_share_too_few_cells_are_not_compared(model, tmp_path):
    cells = toy.toy_cells(N_CELLS).set_axis([f"other-{i}" for i in range(N_CELLS - 5)] + [f"cell-{i}" for i in range(5)])
    other = sz.open_model(toy.toy_package(tmp_path / "other", n_cells=N_CELLS, cells=cells).folder, "cpu")
    with pytest.raises(InputError, match="share 5 cells"):
        sz.compare_models(model, other)
    assert sz.compare_models(model, other, n_neighbours=2).attrs["n_cells"] == 5
    with pytest.raises(InputError, match="space"):
        sz.compare_models(model, other, space="canonicle")
