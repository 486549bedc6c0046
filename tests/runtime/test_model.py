"""Model: the same numbers as plain ONNX Runtime on the whole network, whatever the batch, strand, cell or group."""

import warnings

import anndata as ad
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from helpers import toy
from onnx import helper
from scipy.special import expit

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.windows import sequence_windows
from scbasset_zoo.runtime import memory, predictions
from scbasset_zoo.zoo.models import open_model

ATOL = 1e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy").folder


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def sequences():
    some = toy.random_sequences(5)
    return [*some, some[0][:100] + "N" * 40 + some[0][140:]]


def whole_network(folder, sequences):
    """Every output of model.onnx by plain ONNX Runtime, one-hot encoded here by a naive loop."""
    x = np.zeros((len(sequences), toy.LENGTH, 4), dtype=np.float32)
    for i, sequence in enumerate(sequences):
        for j, base in enumerate(sequence):
            x[i, j] = 0.25 if base == "N" else [base == letter for letter in "ACGT"]
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = ["accessibility", "logits", "peak_embedding"]
    return dict(zip(names, session.run(names, {"sequence": x}), strict=True))


def naive_windows(genome, peaks):
    """Windows cut from the FASTA's text, one at a time."""
    chromosomes = {}
    for record in genome.read_text().split(">")[1:]:
        name, *lines = record.splitlines()
        chromosomes[name] = "".join(lines)
    windows = []
    for chrom, start, end in peaks[["chrom", "start", "end"]].itertuples(index=False):
        first = (start + end) // 2 - toy.LENGTH // 2
        text = chromosomes[chrom]
        windows.append("".join(text[i] if 0 <= i < len(text) else "N" for i in range(first, first + toy.LENGTH)))
    return windows


def reverse(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_every_output_is_that_of_the_whole_network(model, folder, sequences):
    expected = whole_network(folder, sequences)
    np.testing.assert_allclose(model.embed(sequences), expected["peak_embedding"], atol=ATOL)
    np.testing.assert_allclose(model.logits(sequences), expected["logits"], atol=ATOL)
    np.testing.assert_allclose(model.accessibility(sequences), expected["accessibility"], atol=ATOL)
    assert expected["logits"].std(axis=0).min() > 0.05, "the toy model must tell sequences apart for this test to mean much"
    assert model.embed(sequences).dtype == model.logits(sequences).dtype == model.accessibility(sequences).dtype == np.float32


def test_the_trunk_holds_nothing_that_grows_with_the_cells(folder):
    trunk = extract_trunk(onnx.load(folder / "model.onnx"))
    onnx.checker.check_model(trunk, full_check=True)
    assert {tensor.name for tensor in trunk.graph.initializer}.isdisjoint({"cell_embedding", "cell_intercept"})
    assert [output.name for output in trunk.graph.output] == ["peak_embedding"]
    assert not any(node.output[0] in ("logits", "accessibility") for node in trunk.graph.node)


def test_the_trunk_keeps_what_a_subgraph_reads_from_outside():
    f = onnx.TensorProto.FLOAT
    branch = helper.make_graph(
        [helper.make_node("Add", ["x2", "w"], ["b"])], "branch", [], [helper.make_tensor_value_info("b", f, [2])]
    )
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["sequence", "sequence"], ["x2"]),
            helper.make_node("If", ["yes"], ["peak_embedding"], then_branch=branch, else_branch=branch),
            helper.make_node("Add", ["peak_embedding", "unused"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("sequence", f, [2])],
        [helper.make_tensor_value_info(name, f, [2]) for name in ("logits", "peak_embedding")],
        [
            helper.make_tensor("w", f, [2], [1, 2]),
            helper.make_tensor("unused", f, [2], [1, 2]),
            helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True]),
        ],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    trunk = extract_trunk(whole)
    assert {tensor.name for tensor in trunk.graph.initializer} == {"w", "yes"}
    session = onnxruntime.InferenceSession(trunk.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"sequence": np.array([1, 2], np.float32)})[0].tolist() == [3, 6]


def test_head_and_cells_are_the_packages(model, folder):
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(folder / "model.onnx").graph.initializer}
    np.testing.assert_array_equal(model.cell_embedding, weights["cell_embedding"].T)
    np.testing.assert_array_equal(model.cell_intercept, weights["cell_intercept"])
    assert model.cell_embedding.shape == (7, 32)
    assert model.cells.index.tolist() == [f"cell-{i}" for i in range(7)]
    assert model.sequence_length == 1344
    assert model.device.name == "cpu"


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_the_batch_size_does_not_matter(model, sequences, batch_size):
    np.testing.assert_allclose(model.embed(sequences, batch_size=batch_size), model.embed(sequences), atol=ATOL)


def test_strings_codes_and_one_hot_are_the_same_sequences(model, sequences):
    codes = dna.as_codes(sequences)
    expected = model.embed(sequences)
    np.testing.assert_array_equal(model.embed(codes), expected)
    np.testing.assert_array_equal(model.embed(dna.one_hot(codes)), expected)
    np.testing.assert_array_equal(model.embed([s.lower() for s in sequences]), expected)
    np.testing.assert_allclose(model.embed(sequences[0]), expected[:1], atol=ATOL)
    assert model.embed([]).shape == (0, 32)


def test_sequences_of_another_length_are_refused(model):
    with pytest.raises(InputError, match="1,343 bp; expected 1,344"):
        model.embed(["A" * 1343])
    with pytest.raises(InputError, match="batch size must be 1 or more; found 0"):
        model.embed(["A" * 1344], batch_size=0)


def test_cells_can_be_chosen_by_barcode_position_or_boolean(model, sequences):
    every = model.logits(sequences)
    np.testing.assert_allclose(model.logits(sequences, ["cell-4", "cell-1"]), every[:, [4, 1]], atol=ATOL)
    np.testing.assert_allclose(model.logits(sequences, np.array([4, 1])), every[:, [4, 1]], atol=ATOL)
    np.testing.assert_allclose(model.accessibility(sequences, np.arange(7) > 4), expit(every[:, 5:]), atol=ATOL)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["cell-1", "cell-9", "x"], r"no cell cell-9, x \(2 of 3 are unknown\). Its barcodes look like 'cell-0'"),
        ([7], "no cell 7"),
        ([-1], "no cell -1"),
        ([1, 1], "chosen twice"),
        (np.array([], dtype=int), "No cell was chosen"),
        (np.zeros(7, dtype=bool), "No cell was chosen"),
        (np.zeros(3, dtype=bool), "7 booleans"),
        ([0.5], "barcodes, positions"),
    ],
)
def test_cells_that_the_model_does_not_have_are_refused(model, cells, message):
    with pytest.raises(InputError, match=message):
        model.positions(cells)


@pytest.mark.parametrize("output", ["accessibility", "logits"])
def test_predict_is_the_whole_network_on_naively_cut_windows(model, folder, genome, output):
    peaks = toy.toy_peaks()
    windows = naive_windows(genome, peaks)
    assert "N" in windows[0]
    assert "N" in windows[-1]
    result = model.predict(peaks, genome, output=output)
    np.testing.assert_allclose(result.X, whole_network(folder, windows)[output].T, atol=ATOL)
    assert result.shape == (7, 12)
    assert result.obs_names.tolist() == model.cells.index.tolist()
    assert result.obs["cell_type"].tolist() == model.cells["cell_type"].tolist()
    assert result.var_names[0] == "chr1:10-510"
    assert (result.var[["chrom", "start", "end"]].to_numpy() == peaks[["chrom", "start", "end"]].to_numpy()).all()


def test_predict_keeps_provenance(model, folder, genome):
    said = model.predict(["chr1:100-600"], genome, average_strands=True).uns["scbasset_zoo"]
    assert said["model_id"] == "scbasset/toy"
    assert said["model_version"] == "1.0.0"
    assert said["card_sha256"] == model.card_sha256
    assert said["average_strands"] is True
    assert said["output"] == "accessibility"


def test_peaks_may_be_a_bed_file_a_table_an_anndata_its_file_or_names(model, genome, tmp_path):
    peaks = toy.toy_peaks()
    names = [f"{p.chrom}:{p.start}-{p.end}" for p in peaks.itertuples()]
    expected = model.predict(peaks, genome).X
    peaks[["chrom", "start", "end"]].to_csv(tmp_path / "p.bed", sep="\t", header=False, index=False)
    adata = ad.AnnData(var=peaks.set_index(pd.Index([f"peak{i}" for i in range(12)])))
    adata.write_h5ad(tmp_path / "p.h5ad")
    for form in (tmp_path / "p.bed", str(tmp_path / "p.bed"), names, adata, tmp_path / "p.h5ad"):
        np.testing.assert_array_equal(model.predict(form, Genome(genome)).X, expected)
    assert model.predict(adata, genome).var_names[3] == "peak3"


def test_the_same_peak_may_be_asked_twice(model, genome):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = model.predict(["chr1:100-600", "chr1:100-600"], genome)
    np.testing.assert_allclose(result.X[:, 0], result.X[:, 1], atol=ATOL)
    assert result.var_names.is_unique


def test_sequences_can_be_predicted_under_their_names(model, sequences):
    result = model.predict(sequence_windows(sequences, 1344, [f"s{i}" for i in range(6)]))
    np.testing.assert_allclose(result.X, model.accessibility(sequences).T, atol=ATOL)
    assert result.var_names.tolist() == ["s0", "s1", "s2", "s3", "s4", "s5"]


@pytest.mark.parametrize("output", ["accessibility", "logits"])
@pytest.mark.parametrize("strands", [False, True])
def test_group_means_are_those_of_a_naive_loop(model, genome, output, strands, monkeypatch):
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 2)
    peaks = toy.toy_peaks()
    chosen = ["cell-6", "cell-1", "cell-0", "cell-4", "cell-3", "cell-2"]
    every = model.predict(peaks, genome, output=output, cells=chosen, average_strands=strands)
    grouped = model.predict(peaks, genome, output=output, cells=chosen, group_by="cell_type", average_strands=strands)
    assert grouped.obs_names.tolist() == ["B", "HSC", "T"]
    assert grouped.obs["n_cells"].tolist() == [3, 2, 1]
    for row, group in enumerate(grouped.obs_names):
        members = [i for i, name in enumerate(chosen) if model.cells.loc[name, "cell_type"] == group]
        mean = sum(every.X[i].astype(np.float64) for i in members) / len(members)
        np.testing.assert_allclose(grouped.X[row], mean, atol=ATOL)


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    return open_model(toy.toy_corrected_package(tmp_path_factory.mktemp("corrected") / "toy").folder, "cpu")


def with_batches(model, sequences):
    """Logits with the batch path, (n, n_cells), by plain ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(model.package.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(["batch_logits"], {"sequence": dna.one_hot(dna.as_codes(sequences))})[0]


def test_batch_effects_are_those_of_the_graph_and_left_out_unless_asked(corrected, sequences):
    expected = with_batches(corrected, sequences)
    plain = whole_network(corrected.package.folder, sequences)
    assert np.abs(expected - plain["logits"]).max() > 0.5
    np.testing.assert_allclose(corrected.logits(sequences, batch_effects=True), expected, atol=ATOL)
    np.testing.assert_allclose(corrected.accessibility(sequences, batch_effects=True), expit(expected), atol=ATOL)
    np.testing.assert_allclose(corrected.logits(sequences), plain["logits"], atol=ATOL)
    chosen = corrected.accessibility(sequences, ["cell-4", "cell-1"], batch_effects=True)
    np.testing.assert_allclose(chosen, expit(expected[:, [4, 1]]), atol=ATOL)


@pytest.mark.parametrize("output", ["accessibility", "logits"])
def test_predict_with_batch_effects_over_cells_and_groups(corrected, genome, output, monkeypatch):
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 2)
    expected = with_batches(corrected, naive_windows(genome, toy.toy_peaks())).T
    expected = expit(expected) if output == "accessibility" else expected
    options = {"output": output, "batch_effects": True}
    result = corrected.predict(toy.toy_peaks(), genome, **options)
    np.testing.assert_allclose(result.X, expected, atol=ATOL)
    assert result.uns["scbasset_zoo"]["batch_effects"]
    chosen = corrected.predict(toy.toy_peaks(), genome, cells=["cell-5", "cell-2"], **options)
    np.testing.assert_allclose(chosen.X, expected[[5, 2]], atol=ATOL)
    grouped = corrected.predict(toy.toy_peaks(), genome, group_by="batch", **options)
    np.testing.assert_allclose(grouped.X, [expected[0::2].mean(axis=0), expected[1::2].mean(axis=0)], atol=ATOL)


def test_batch_effects_of_a_model_without_them_are_refused_before_any_work(model, sequences, tmp_path):
    with pytest.raises(InputError, match="scbasset/toy 1.0.0 has no batch path"):
        model.accessibility(sequences, batch_effects=True)
    with pytest.raises(InputError, match="has no batch path"):
        model.predict(toy.toy_peaks(), toy.toy_genome(tmp_path / "toy.fa"), batch_effects=True)


def test_blocks_of_cells_and_stripes_of_peaks_do_not_change_the_result(model, genome, monkeypatch):
    expected = model.predict(toy.toy_peaks(), genome).X
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 3)
    monkeypatch.setattr(predictions, "BLOCK_VALUES", 12)
    monkeypatch.setattr(predictions, "PEAK_STEP", 4)
    np.testing.assert_allclose(model.predict(toy.toy_peaks(), genome).X, expected, atol=ATOL)


def test_cells_without_a_group_are_left_out_with_a_word(tmp_path, genome, capsys):
    cells = toy.toy_cells()
    cells["cell_type"] = cells["cell_type"].astype(object)
    cells.loc["cell-1", "cell_type"] = None
    model = open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu")
    result = model.predict(["chr1:100-600"], genome, group_by="cell_type")
    assert result.obs["n_cells"].to_dict() == {"B": 3, "HSC": 1, "T": 2}
    assert "1 cells have no cell_type" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["accessibility", "logits", "peak_embedding"])
def test_averaged_strands_are_the_mean_of_the_output_over_both(model, folder, genome, output):
    peaks = toy.toy_peaks()
    windows = naive_windows(genome, peaks)
    one, other = (whole_network(folder, strand)[output] for strand in (windows, [reverse(window) for window in windows]))
    assert np.abs(one - other).max() > 0.01
    result = model.predict(peaks, genome, output=output, average_strands=True)
    got = result.varm["peak_embedding"] if output == "peak_embedding" else result.X.T
    np.testing.assert_allclose(got, (one + other) / 2, atol=ATOL)


def test_the_peak_embedding_comes_with_the_cells_in_the_same_space(model, genome):
    peaks = toy.toy_peaks()
    result = model.predict(peaks, genome, output="peak_embedding")
    assert result.X is None
    logits = result.obsm["X_scbasset"] @ result.varm["peak_embedding"].T + result.obs["depth_intercept"].to_numpy()[:, None]
    np.testing.assert_allclose(logits, model.predict(peaks, genome, output="logits").X, atol=ATOL)


def test_a_genome_of_another_assembly_is_refused(model, tmp_path):
    other = tmp_path / "other.fa"
    other.write_text(">chr1\n" + "ACGT" * 5_100 + "\n>chr2\n" + "ACGT" * 2_250 + "\n")
    with pytest.raises(InputError, match=r"chr1 is 20,400 bp; the model was trained on toy1, where it has 20,000"):
        model.predict(["chr2:100-600"], other)


def test_a_genome_that_shares_no_chromosome_with_the_card_is_known_by_its_assembly(tmp_path):
    genome = {"assembly": "hg19", "naming": "ucsc", "chromosome_sizes": {"chr20": 63_025_520}}
    package = toy.toy_package(tmp_path / "hg19", genome=genome)
    (tmp_path / "hg38.fa").write_text(">chr21\n" + "ACGT" * 500 + "\n")
    with pytest.raises(InputError, match=r"chr21 is 2,000 bp; the model was trained on hg19, where it has 48,129,895"):
        open_model(package.folder, "cpu").predict(["chr21:100-600"], tmp_path / "hg38.fa")


@pytest.mark.parametrize(
    ("peaks", "message"),
    [
        (
            ["chr1:100-600", "chr7:5-10"],
            r"Peak 1 \(counting from 0\), chr7:5-10: .*no chromosome chr7.*leave these peaks out",
        ),
        (["1:100-600"], 'named "1" on one side and "chr1" in the FASTA'),
        (
            ["chr1:100-600", "chr2:9000-9002", "chr2:9100-9102"],
            r"Peak 1 .*, and 1 more like it: .*beyond the chromosome's end",
        ),
        (pd.DataFrame({"a": [1]}), "does not say where its peaks are"),
    ],
)
def test_a_peak_that_cannot_be_predicted_is_named(model, genome, peaks, message):
    with pytest.raises(InputError, match=message):
        model.predict(peaks, genome)


def test_options_that_cannot_be_are_refused(model, genome):
    for options, message in (
        ({"output": "probability"}, "must be accessibility, logits or peak_embedding"),
        ({"group_by": "tissue"}, "no column 'tissue' to group by; they have cell_type, batch"),
        ({"cells": ["nobody"]}, "no cell nobody"),
    ):
        with pytest.raises(InputError, match=message):
            model.predict(["chr1:100-600"], genome, **options)
    with pytest.raises(InputError, match="need a genome"):
        model.predict(["chr1:100-600"])


def test_a_result_larger_than_memory_is_refused_before_it_is_computed(model, genome, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 80)
    assert model.predict(["chr1:100-600"] * 2, genome).shape == (7, 2)
    with pytest.raises(InputError, match=r"7 x 3, takes 0.0 GiB; 0.0 GiB are free. .*write_predictions"):
        model.predict(["chr1:100-600"] * 3, genome)


def test_available_memory_is_a_sensible_figure():
    assert 2**20 < memory.available_memory() < 2**50


def test_edits_and_saturation_mutagenesis_are_full_passes_of_the_edited_sequences(folder):
    model = open_model(folder, device="cpu")
    (reference,) = toy.random_sequences(1, seed=9)
    starts = [0, 700, 1340]
    edited = [reference[:s] + "ACGN" + reference[s + 4 :] for s in starts]
    np.testing.assert_allclose(model.mutate(reference, starts, "ACGN", quiet=True), model.embed(edited), atol=ATOL)
    changes = model.saturation_mutagenesis(reference, quiet=True)
    assert changes.shape == (1, 1344, 4, model.cell_embedding.shape[1])
    for position, base in [(0, "A"), (671, "C"), (1343, "T"), (500, reference[500])]:
        mutated = reference[:position] + base + reference[position + 1 :]
        expected = model.embed(mutated)[0] - model.embed(reference)[0]
        np.testing.assert_allclose(changes[0, position, "ACGT".index(base)], expected, atol=ATOL)
