"""Published Keras weights become packages that predict what the original predicts; other files are refused with a reason."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import toy
from helpers.rounding import ROUNDING
from scbasset_zoo_export.calico import Calico, CalicoOptions
from scbasset_zoo_export.calico_network import KERNELS_AND_POOLS
from scipy.special import expit
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.folding import fold_batch_normalisation
from scbasset_zoo.graph.layer_reader import read_layers
from scbasset_zoo.graph.layers import Block, TrunkLayers
from scbasset_zoo.graph.model_building import build_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.plugin_manager import importers

FILTERS = (288, 288, 323, 363, 407, 456, 512, 256)
N_CELLS, BATCHES = 6, ["donor1", "donor2"]
RECIPE = Path(__file__).parents[2] / "model_cards/scbasset/buenrostro2018/recipe.yaml"
BY_CELL = np.array([[1, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 1]], np.float32)


def published_network(n_cells=N_CELLS, width=0.04, embedding_size=5, by_cell=None, seed=0, gain=1.4):
    """The published network in Keras' own layers, with random weights and batch statistics: as is, and without its batch path."""
    import keras

    def gelu(x):
        return keras.layers.Activation(lambda x: x * keras.ops.sigmoid(1.702 * x))(x)

    keras.utils.clear_session()
    sequence = x = keras.Input((1344, 4))
    for filters, (kernel, pool) in zip(FILTERS, [(17, 3)] + [(5, 2)] * 6 + [(1, 1)], strict=True):
        x = keras.layers.Conv1D(max(2, round(filters * width)), kernel, padding="same", use_bias=False)(gelu(x))
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        if pool > 1:
            x = keras.layers.MaxPooling1D(pool, padding="same")(x)
    x = keras.layers.Dense(embedding_size, use_bias=False)(keras.layers.Reshape((1, -1))(gelu(x)))
    x = gelu(keras.layers.Dropout(0.2)(keras.layers.BatchNormalization(momentum=0.9)(x)))
    logits = keras.layers.Dense(n_cells)(x)
    corrected = keras.Model(sequence, keras.layers.Flatten()(keras.layers.Activation("sigmoid")(logits)))
    if by_cell is not None:
        logits = logits + keras.layers.Dense(len(by_cell))(x) @ by_cell
    model = keras.Model(sequence, keras.layers.Flatten()(keras.layers.Activation("sigmoid")(logits)))
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if layer.name.startswith("batch_normalization"):
            n = layer.gamma.shape[0]
            statistics = rng.uniform(0.6, 1.6, n), rng.normal(0, 0.3, n), rng.normal(0, 0.5, n), rng.uniform(0.3, 2, n)
            layer.set_weights([values.astype(np.float32) for values in statistics])
        elif layer.name.startswith(("conv1d", "dense")):
            layer.set_weights([rng.normal(0, gain / np.sqrt(max(np.prod(w.shape[:-1]), 16)), w.shape) for w in layer.get_weights()])
    return model, corrected


def save_weights(model, path, first=0):
    """Write the weights as Keras 2 does, with layers numbered from `first`, last layer first in the list of names."""
    with h5py.File(path, "w") as file:
        names = []
        for layer in reversed(model.layers):
            kind, number = re.fullmatch(r"(.*?)_?(\d*)", layer.name).groups()
            number = int(number or 0) + first
            name = f"{kind}_{number}" if number else kind
            names.append(name)
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}/{weight.name}:0".encode() for weight in layer.weights], dtype="S")
            for weight in layer.weights:
                group[f"{name}/{weight.name}:0"] = weight.numpy()
        file.attrs["layer_names"] = np.array([name.encode() for name in names])
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.6.0"
    return path


def convert(path, out, about=None, **options):
    return Calico().convert(path, CalicoOptions(**{"assembly": "hg19", **options}), out=out, about=about)


@pytest.fixture(scope="module")
def sequences():
    return dna.as_codes([*toy.random_sequences(3), "N" * 1344])


@pytest.fixture(scope="module")
def networks():
    return published_network()


@pytest.fixture(scope="module")
def corrected_networks():
    return published_network(by_cell=BY_CELL, seed=1)


@pytest.fixture(scope="module")
def weights(networks, tmp_path_factory):
    return save_weights(networks[0], tmp_path_factory.mktemp("weights") / "plain.h5")


@pytest.fixture(scope="module")
def corrected_weights(corrected_networks, tmp_path_factory):
    return save_weights(corrected_networks[0], tmp_path_factory.mktemp("weights") / "corrected.h5")


@pytest.fixture
def broken(weights, tmp_path):
    """A copy of the weights, to be changed."""
    return Path(shutil.copy(weights, tmp_path / "broken.h5"))


@pytest.fixture
def batches(tmp_path):
    path = tmp_path / "batches.csv"
    pd.DataFrame(BY_CELL.T.astype(int), columns=BATCHES).to_csv(path)
    return path


@pytest.mark.parametrize("first", [0, 8])
def test_predictions_are_the_originals_however_its_layers_are_numbered(networks, sequences, tmp_path, first):
    package = convert(save_weights(networks[0], tmp_path / "w.h5", first), tmp_path / "package")
    model = sz.open_model(package.folder, "cpu")
    expected = networks[0](dna.one_hot(sequences)).numpy()
    assert np.median(expected.std(axis=0)) > 0.01
    np.testing.assert_allclose(model.accessibility(sequences), expected, rtol=0, atol=ROUNDING)
    assert verify_package(package.folder) == []


def test_depth_and_canonical_embedding_come_from_given_peaks(weights, tmp_path, capsys):
    genome = toy.toy_genome(tmp_path / "toy.fa")
    peaks = toy.toy_peaks(40)
    peaks[["chrom", "start", "end"]].to_csv(tmp_path / "peaks.bed", sep="\t", header=False, index=False)
    about = {"genome": {"assembly": "toy1", "chromosome_sizes": toy.CHROMOSOME_SIZES}}
    given = {"assembly": "toy1", "peaks": tmp_path / "peaks.bed", "genome": genome}
    package = convert(weights, tmp_path / "package", about=about, **given)
    assert package.card.gauge.n_peaks == 40
    assert verify_package(package.folder) == []
    model = sz.open_model(package.folder, "cpu")
    logits = model.predict(tmp_path / "peaks.bed", genome, output="logits").X.astype(float)
    np.testing.assert_allclose(model.depth, logits.mean(axis=1), rtol=1e-4, atol=1e-5)
    canonical = model.canonical_embedding.astype(float)
    np.testing.assert_allclose(np.linalg.norm(canonical, axis=1), logits.std(axis=1), rtol=1e-3)
    bare = convert(weights, tmp_path / "bare")
    assert bare.card.gauge is None
    assert "The package has no gauge" in capsys.readouterr().err
    with pytest.raises(InputError, match="peaks was given without genome"):
        convert(weights, tmp_path / "half", peaks=tmp_path / "peaks.bed")
    sizes = {"genome": {"assembly": "toy1", "chromosome_sizes": {"chr1": 1_000, "chr2": 9_000}}}
    with pytest.raises(InputError, match="chr1"):
        convert(weights, tmp_path / "other", about=sizes, **given)
    assert not (tmp_path / "half").exists()
    assert not (tmp_path / "other").exists()


def test_a_corrected_model_predicts_the_originals_values_with_batch_effects_and_the_cell_path_without(
    corrected_networks, corrected_weights, batches, sequences, tmp_path
):
    package = convert(corrected_weights, tmp_path / "package", batches=batches)
    model = sz.open_model(package.folder, "cpu")
    original, corrected = (network(dna.one_hot(sequences)).numpy() for network in corrected_networks)
    assert np.abs(original - corrected).max() > 0.05
    np.testing.assert_allclose(model.accessibility(sequences, batch_effects=True), original, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(model.accessibility(sequences), corrected, rtol=0, atol=ROUNDING)
    import onnxruntime

    session = onnxruntime.InferenceSession(package.folder / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["batch_logits"], {"sequence": dna.one_hot(sequences)})
    np.testing.assert_allclose(expit(logits), original, rtol=0, atol=ROUNDING)
    assert package.card.batch_correction.column == "batch"
    assert package.card.batch_correction.n_batches == 2
    assert package.card.batch_correction.l2_cell is None
    assert package.cells()["batch"].tolist() == [BATCHES[i] for i in BY_CELL.argmax(axis=0)]


def test_mutations_take_the_fast_way_and_are_full_passes(weights, tmp_path, capsys):
    model = sz.open_model(convert(weights, tmp_path / "package").folder, "cpu")
    capsys.readouterr()
    (reference,) = toy.random_sequences(1, seed=5)
    starts = [0, 660, 1340]
    embedding = model.mutate(reference, starts, "ACGT", quiet=True)
    assert "full passes" not in capsys.readouterr().err
    edited = [reference[:start] + "ACGT" + reference[start + 4 :] for start in starts]
    np.testing.assert_allclose(embedding, model.embed(edited), rtol=0, atol=ROUNDING)


def test_the_published_recipe_makes_the_published_shape_at_full_width(sequences, tmp_path):
    recipe = yaml.safe_load(RECIPE.read_text())
    network, _ = published_network(2034, width=1, embedding_size=32, gain=1.2)
    source = save_weights(network, tmp_path / "buen_model_sc.h5")
    importer = importers().get(recipe["importer"])
    options = importer.Options(**recipe.get("options", {}))
    package = importer().convert(source, options, out=tmp_path / "package", about=recipe["about"])
    card = package.card
    assert (card.id, card.genome.assembly, card.cells.n_cells) == ("scbasset/buenrostro2018", "hg19", 2034)
    assert card.architecture.n_parameters == 4_513_960 + 33 * 2034
    assert card.genome.chromosome_sizes["chr22"] == 51_304_566
    assert "named by their position" in card.limits
    assert package.cells().index[[0, -1]].tolist() == ["cell_0001", "cell_2034"]
    model, expected = sz.open_model(package.folder, "cpu"), network(dna.one_hot(sequences)).numpy()
    assert np.median(expected.std(axis=0)) > 0.01
    np.testing.assert_allclose(model.accessibility(sequences), expected, rtol=0, atol=ROUNDING)


def test_the_recipe_names_the_published_file():
    assert yaml.safe_load(RECIPE.read_text())["source"] == {
        "url": "https://storage.googleapis.com/scbasset_tutorial_data/buen_model_sc.h5",
        "md5": "1d3cfccac295f79e51b5b3ae94761a60",
    }


def test_the_network_is_that_of_training():
    from scbasset_zoo.training.architecture import BLOCKS

    assert tuple(block[1:] for block in BLOCKS) == KERNELS_AND_POOLS


def test_a_drawn_trunk_reads_back_as_it_was_with_lengths_that_do_not_divide():
    rng = np.random.default_rng(0)
    blocks = (
        Block(rng.normal(size=(7, 4, 6)).astype(np.float32), rng.normal(size=6).astype(np.float32), 3, 1),
        Block(rng.normal(size=(4, 6, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)),
    )
    dense = rng.normal(size=(21 * 5, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    read = read_layers(build_trunk(TrunkLayers(61, blocks, *dense, gelu_slope=1.5)))
    assert (read.sequence_length, read.gelu_slope) == (61, 1.5)
    for got, expected in zip(read.blocks, blocks, strict=True):
        assert (got.pool, got.pool_padding) == (expected.pool, expected.pool_padding)
        np.testing.assert_array_equal(got.kernel, expected.kernel)
        np.testing.assert_array_equal(got.bias, expected.bias)
    np.testing.assert_array_equal(read.dense_kernel, dense[0])
    np.testing.assert_array_equal(read.dense_bias, dense[1])


def test_folding_is_the_layer_and_then_the_normalisation():
    rng = np.random.default_rng(0)
    kernel, x = rng.normal(size=(5, 3)), rng.normal(size=(4, 5))
    gamma, beta, mean, variance = rng.uniform(0.1, 2, (4, 3))
    folded, bias = fold_batch_normalisation(kernel, gamma, beta, mean, variance)
    expected = (x @ kernel - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(x @ folded + bias, expected, atol=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".parquet", ".h5ad"])
def test_cells_come_from_any_usual_table(weights, tmp_path, suffix):
    cells = pd.DataFrame({"cell_type": list("aabbcc"), "depth": np.arange(6)}, index=[f"{i:03}-1" for i in range(6)])
    path = tmp_path / f"cells{suffix}"
    if suffix == ".parquet":
        cells.to_parquet(path)
    elif suffix == ".h5ad":
        ad.AnnData(np.zeros((6, 1), np.float32), obs=cells).write_h5ad(path)
    else:
        cells.to_csv(path, sep="\t" if "tsv" in suffix else ",")
    package = convert(weights, tmp_path / "package", cells=path)
    assert package.cells().index.tolist() == cells.index.tolist()
    assert package.cells()["cell_type"].astype(str).tolist() == list("aabbcc")
    assert package.cells()["depth"].tolist() == list(range(6))
    assert package.card.cells.default_group == "cell_type"
    assert "position" not in package.card.limits


def test_a_column_named_barcode_wins_over_the_first(weights, tmp_path):
    pd.DataFrame({"cluster": range(6), "barcode": list("uvwxyz")}).to_csv(tmp_path / "cells.csv", index=False)
    package = convert(weights, tmp_path / "package", cells=tmp_path / "cells.csv")
    assert package.cells().index.tolist() == list("uvwxyz")
    assert package.cells().columns.tolist() == ["cluster"]


@pytest.mark.parametrize("index", [None, "barcode", "cell"])
def test_a_column_named_barcode_wins_over_the_index_of_an_h5ad(weights, tmp_path, index):
    names = pd.Index([f"i{i}" for i in range(6)] if index != "barcode" else list("uvwxyz"), name=index)
    cells = pd.DataFrame({"cluster": list("aabbcc"), "barcode": list("uvwxyz")}, index=names)
    ad.AnnData(np.zeros((6, 1), np.float32), obs=cells).write_h5ad(tmp_path / "cells.h5ad")
    package = convert(weights, tmp_path / "package", cells=tmp_path / "cells.h5ad")
    assert package.cells().index.tolist() == list("uvwxyz")
    assert package.cells().columns.tolist() == (["cell", "cluster"] if index == "cell" else ["cluster"])


def test_blank_lines_after_the_last_cell_are_ignored_and_the_first_column_needs_no_name(weights, tmp_path):
    (tmp_path / "cells.tsv").write_text("cell_type\n" + "".join(f"{barcode}\tT\n" for barcode in "abcdef") + "\n\n")
    cells = convert(weights, tmp_path / "package", cells=tmp_path / "cells.tsv").cells()
    assert cells.index.tolist() == list("abcdef")
    assert cells["cell_type"].astype(str).tolist() == ["T"] * 6


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_missing_values_are_missing_and_words_are_words(weights, tmp_path, encoding):
    text = (
        "barcode,batch,donor,score,stage,qc\r\na,nan,1,0.5,,TRUE\r\nnan,None,NA,nan,NA,NA\r\nc,null,3,NA,E9,FALSE\r\n"
        "d,N/A,1,1,E8,TRUE\r\ne,NULL,1,2,é,TRUE\r\nf,#N/A,1,3,nan,TRUE\r\n"
    )
    (tmp_path / "cells.csv").write_bytes(text.encode(encoding))
    cells = convert(weights, tmp_path / "package", cells=tmp_path / "cells.csv").cells()
    assert cells["batch"].tolist() == ["nan", "None", "null", "N/A", "NULL", "#N/A"]
    assert cells["stage"].tolist() == [None, None, "E9", "E8", "é", "nan"]
    assert cells["donor"].isna().tolist() == [False, True] + [False] * 4
    assert cells["donor"].dropna().tolist() == [1, 3, 1, 1, 1]
    assert cells["score"].isna().tolist() == [False, True, True] + [False] * 3
    assert cells["qc"].dropna().tolist() == [True, False, True, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("barcode\n" + "\n".join("abcdefg"), "has 7 cells, the weights have 6 outputs"),
        ("\n".join("abcdef"), "has 5 cells, the weights have 6 outputs.*first line was read as the names"),
        ("barcode\n" + "\n".join("abcdee"), "barcode 'e' appears more than once"),
        ("barcode,x\na,1\nb,1\n,1\nd,1\ne,1\nf,1", r"cell 3: the barcode \(column 'barcode'\) is missing"),
        ("barcode\na\nb\n\nd\ne\nf\n", "cells.csv, row 3 after the first line: it has no value"),
        ("barcode\na\nb\n \nd\ne\nf\n", r"cell 3: the barcode \(column 'barcode'\) is missing"),
        ("cell,x\n" + "".join(f"{cell},1,\n" for cell in "abcdef"), "its rows have more values than its first line has names"),
        ("barcode;x\n" + "".join(f"{cell};1\n" for cell in "abcdef"), "has commas between.*found semicolons.*'barcode;x'"),
        ("barcode\tx\n" + "".join(f"{cell}\t1\n" for cell in "abcdef"), "has commas between its columns; found tabs"),
        ("barcode,x\n" + "".join(f"{cell},1,2\n" for cell in "abcdef"), "its rows have more values than its first line has names"),
        ("", "cells.csv cannot be read"),
    ],
)
def test_cells_that_do_not_fit_are_refused(weights, tmp_path, text, message):
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        convert(weights, tmp_path / "package", cells=tmp_path / "cells.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["cells.csv"]


def test_batches_are_matched_to_the_barcodes_in_any_order_and_their_column_is_found(corrected_weights, tmp_path):
    barcodes = np.array(list("abcdef"))
    names = np.array(BATCHES)[BY_CELL.argmax(axis=0)]
    pd.DataFrame({"barcode": barcodes, "donor": names}).to_csv(tmp_path / "cells.csv", index=False)
    order = [3, 1, 5, 0, 2, 4]
    table = pd.DataFrame(BY_CELL.T[order].astype(bool), columns=BATCHES, index=barcodes[order])
    table.to_csv(tmp_path / "batches.csv")
    package = convert(corrected_weights, tmp_path / "package", cells=tmp_path / "cells.csv", batches=tmp_path / "batches.csv")
    np.testing.assert_array_equal(sz.open_model(package.folder, "cpu").batches.by_cell, BY_CELL)
    assert package.card.batch_correction.column == "donor"
    assert package.cells().columns.tolist() == ["donor"]


def test_a_cell_may_be_of_several_batches_or_none(corrected_weights, tmp_path):
    (tmp_path / "batches.csv").write_text("donor1,day2\n1,1\n0,0\n1,0\n0,1\n0,0\n1,0\n")
    package = convert(corrected_weights, tmp_path / "package", batches=tmp_path / "batches.csv")
    assert package.cells()["batch"].tolist() == ["donor1+day2", "none", "donor1", "day2", "none", "donor1"]


BODY = ["0,1,0", "1,0,1", "2,1,0", "3,1,0", "4,0,1", "5,0,1"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([",x,y", *BODY[:3], "", *BODY[3:]], "batches.csv, row 4 after the first line: it has no value"),
        ([",x,y", *BODY[:4]], "has 4 rows; the weights have 6"),
        ([",x,y,z", *(f"{line},0" for line in BODY)], "has 3 columns of batches; the weights have 2"),
        ([",x,y", *BODY[:2], "2,1,2", *BODY[3:]], "cell 'c', column 'y': expected 0 or 1, found '2'"),
        ([",x,y", *BODY[:2], "2,,1", *BODY[3:]], "cell 'c', column 'x': expected 0 or 1, found no value"),
        ([",x,y", *(f"other{line}" for line in BODY)], "no row has the name of a cell of the model; found 'other0', expected 'a'"),
        ([",x,y", *(cell + line[1:] for cell, line in zip("abcdeX", BODY, strict=True))], "the model has no cell 'X'"),
        ([",x,y", *(cell + line[1:] for cell, line in zip("abcdee", BODY, strict=True))], "the cell 'e' has more than one row"),
    ],
)
def test_batches_that_do_not_fit_are_refused(corrected_weights, tmp_path, lines, message):
    (tmp_path / "cells.csv").write_text("barcode\n" + "\n".join("abcdef"))
    (tmp_path / "batches.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match=message):
        convert(corrected_weights, tmp_path / "out", cells=tmp_path / "cells.csv", batches=tmp_path / "batches.csv")


def test_batches_are_needed_exactly_where_there_is_a_batch_path(weights, corrected_weights, batches, tmp_path):
    with pytest.raises(InputError, match="batch-corrected, for 2 batches: give a table of them with batches"):
        convert(corrected_weights, tmp_path / "package")
    with pytest.raises(InputError, match="has no batch path.*without batches"):
        convert(weights, tmp_path / "package", batches=batches)


def test_a_batch_column_with_other_values_is_refused(corrected_weights, batches, tmp_path):
    pd.DataFrame({"barcode": list("abcdef"), "batch": range(6)}).to_csv(tmp_path / "cells.csv", index=False)
    with pytest.raises(InputError, match="column 'batch' whose values differ"):
        convert(corrected_weights, tmp_path / "package", cells=tmp_path / "cells.csv", batches=batches)


def put(name, values):
    """Function (file): replace a weight by values, or by a link."""

    def change(file):
        path = f"{name.partition('/')[0]}/{name}:0"
        del file[path]
        file[path] = np.asarray(values, np.float32) if isinstance(values, list | np.ndarray) else values

    return change


def keep_outside(file):
    values = file["dense/dense/kernel:0"][()]
    outside = Path(file.filename).with_name("outside.bin")
    outside.write_bytes(values.tobytes())
    del file["dense/dense/kernel:0"]
    file["dense/dense"].create_dataset("kernel:0", values.shape, np.float32, external=[(str(outside), 0, values.nbytes)])


def declare_much(file):
    del file["dense/dense/kernel:0"]
    file["dense/dense"].create_dataset("kernel:0", (10**6, 10**6), np.float32, chunks=(1000, 1000))


def hold_texts(file):
    del file["dense/dense/kernel:0"]
    file["dense/dense/kernel:0"] = np.array([b"a", b"b"])


def add_layer(file):
    file.attrs["layer_names"] = np.array([*file.attrs["layer_names"], b"lstm"])
    file.copy("dense_1", "lstm")


def drop_layer(file):
    file.attrs["layer_names"] = np.array([name for name in file.attrs["layer_names"] if name != b"conv1d_4"])


def list_another_weight(file):
    file["conv1d"].attrs["weight_names"] = np.array([b"conv1d/bias:0"])


def add_a_bias(file):
    file["conv1d"].attrs["weight_names"] = np.array([b"conv1d/kernel:0", b"conv1d/bias:0"])
    file["conv1d/conv1d/bias:0"] = np.zeros(12, np.float32)


def be_a_whole_model(file):
    file.attrs["model_config"] = "{}"


def be_other_hdf5(file):
    del file.attrs["layer_names"]


def be_keras_3(file):
    del file.attrs["layer_names"]
    file.create_group("layers")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("conv1d/kernel", np.zeros((15, 4, 12))), r"conv1d/kernel has shape \(15, 4, 12\); expected \(17, 4, any\)"),
        (put("conv1d_3/kernel", np.zeros((5, 9, 15))), r"conv1d_3/kernel has shape .*; expected \(5, 13, any\)"),
        (put("dense/kernel", np.zeros((60, 5))), r"dense/kernel has shape \(60, 5\); expected \(70, any\)"),
        (put("dense_1/kernel", np.zeros((4, 6))), r"dense_1/kernel has shape \(4, 6\); expected \(5, any\)"),
        (put("dense_1/bias", np.zeros(7)), "dense_1/kernel has 6 outputs, dense_1/bias 7"),
        (put("batch_normalization/gamma", np.ones(3)), r"batch_normalization/gamma has shape \(3,\); expected \(12\)"),
        (
            put("batch_normalization/moving_variance", -np.ones(12)),
            "moving_variance has the value -1; a variance",
        ),
        (put("dense_1/bias", [np.nan, np.nan, np.inf, 0, 0, 0]), "dense_1/bias has 3 of 6 weights that are not finite"),
        (put("dense/kernel", h5py.SoftLink("/dense_1")), "is a link to '/dense_1'; links are not followed"),
        (put("dense/kernel", h5py.ExternalLink("/etc/passwd", "/x")), "is a link to '/x'; links are not followed"),
        (keep_outside, "the values of /dense/dense/kernel:0 are in another file"),
        (declare_much, r"declares 4,000,000,\S* bytes of weights, more than the size of the file"),
        (hold_texts, "kernel:0 is not an array of floating-point numbers"),
        (drop_layer, r"expected 8 layers conv1d, found 7 \(conv1d, conv1d_1"),
        (add_layer, "the published network has no layer 'lstm'"),
        (list_another_weight, "lists 'conv1d/bias:0' in /conv1d, but does not have it"),
        (add_a_bias, "conv1d has the weights bias, kernel; expected kernel"),
        (be_a_whole_model, "is a whole model, not weights alone.*save_weights"),
        (be_other_hdf5, "HDF5, but not Keras weights"),
        (be_keras_3, "is Keras 3 weights; expected the weights of a Keras 2 model"),
    ],
)
def test_files_that_are_not_the_published_weights_are_refused(broken, tmp_path, change, message):
    with h5py.File(broken, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=message):
        convert(broken, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_file_that_is_not_hdf5_or_cut_short_or_missing_is_refused(weights, tmp_path):
    short = tmp_path / "short.h5"
    short.write_bytes(weights.read_bytes()[:-1000])
    (tmp_path / "text.h5").write_text("weights")
    for name, message in (("short.h5", "cannot be read"), ("text.h5", "cannot be read"), ("none.h5", "There is no .*none.h5")):
        with pytest.raises(InputError, match=message):
            convert(tmp_path / name, tmp_path / "package")


def test_the_card_has_what_the_weights_say_and_what_the_user_gives(weights, tmp_path):
    about = {"id": "lab/model", "license": "CC0-1.0", "data": {"description": "Our cells."}, "description": "Ours."}
    card = convert(weights, tmp_path / "package", about=about).card
    assert (card.id, card.license, card.version) == ("lab/model", "CC0-1.0", "0.1.0")
    assert card.description.startswith("Ours. Converted from plain.h5, SHA-256 ")
    assert card.data.license == "NOASSERTION"
    assert card.architecture.software == {"keras": "2.6.0"}
    assert card.evaluation == ()
    assert card.training is None
    default = convert(weights, tmp_path / "default").card
    assert default.id == "local/plain"
    assert default.authors[0].name == "not stated by the weights"


def test_an_assembly_that_is_not_given_is_unknown_in_the_card_and_when_predicting(weights, tmp_path, capsys):
    package = convert(weights, tmp_path / "package", assembly=None)
    assert (package.card.genome.assembly, package.card.genome.chromosome_sizes) == ("unknown", {})
    assert "assembly='hg19'" in capsys.readouterr().err
    genome = toy.toy_genome(tmp_path / "toy.fa")
    sz.open_model(package.folder, device="cpu").predict(["chr1:5000-5500"], genome)
    assert "so the assembly of the genome cannot be checked" in capsys.readouterr().err


def test_the_assembly_must_be_built_in_or_come_with_its_chromosomes(weights, tmp_path):
    with pytest.raises(InputError, match="chromosome lengths of xenLae2 are not built in, only those of hg19"):
        convert(weights, tmp_path / "package", assembly="xenLae2")
    with pytest.raises(InputError, match="assembly='hg19', but genome.assembly in about is mm10"):
        convert(weights, tmp_path / "package", about={"genome": {"assembly": "mm10"}})
    about = {"genome": {"assembly": "toad", "chromosome_sizes": {"1": 1000}}}
    genome = convert(weights, tmp_path / "package", assembly=None, about=about).card.genome
    assert (genome.assembly, genome.naming, genome.chromosome_sizes) == ("toad", "ensembl", {"1": 1000})


def test_about_must_have_fields_of_a_card(weights, tmp_path):
    with pytest.raises(InputError, match="data must be a mapping of fields; found 'GEO'"):
        convert(weights, tmp_path / "package", about={"data": "GEO"})
    with pytest.raises(InputError, match="about: 'nonsense' is not a field of the card"):
        convert(weights, tmp_path / "package", about={"nonsense": 1})
    assert list(tmp_path.iterdir()) == []


def command(*arguments):
    command = Path(sys.executable).with_name("scbasset-zoo")
    return subprocess.run([command, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_command_imports_without_tensorflow(weights, tmp_path):
    (tmp_path / "cells.csv").write_text("barcode\n" + "\n".join("abcdef"))
    (tmp_path / "about.yaml").write_text("id: lab/model\n")
    arguments = [weights, "--cells", tmp_path / "cells.csv", "--assembly", "hg19", "--about", tmp_path / "about.yaml"]
    ran = command("import", "calico", *arguments, "--out", tmp_path / "package")
    assert ran.returncode == 0, ran.stderr
    assert "lab/model 0.1.0: 6 cells, hg19" in ran.stdout
    assert verify_package(tmp_path / "package") == []
    again = CliRunner().invoke(app, ["import", "calico", *map(str, arguments), "--out", str(tmp_path / "package")])
    assert isinstance(again.exception, InputError)
    assert "already exists" in str(again.exception)
    code = (
        "import sys\nfrom pathlib import Path\nfrom scbasset_zoo.plugin_manager import importers\n"
        "calico = importers().get('calico')\n"
        f"calico().convert(Path({str(weights)!r}), calico.Options(assembly='hg19'), out=Path({str(tmp_path / 'other')!r}))\n"
        "print({'tensorflow', 'keras', 'tf2onnx'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_help_shows_the_importers_options():
    ran = CliRunner().invoke(app, ["import", "calico", "--help"])
    assert ran.exit_code == 0
    for option in ("--cells", "--batches", "--assembly", "--out", "--about", "--overwrite"):
        assert option in ran.stdout
    assert CliRunner().invoke(app, ["import", "unknown"]).exit_code == 2
