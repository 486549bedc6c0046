"""The real kipoi command and its Python API predict with bundled and cached models."""

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.kipoi_command import DESCRIPTION, EXAMPLE, GROUP, predict, run
from helpers.rounding import ROUNDING
from helpers.toy import toy_genome
from pyfaidx import Fasta

from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs.dna import as_codes, one_hot
from scbasset_zoo.package.reading import Package

pytest.importorskip("kipoi")


def test_kipoi_lists_the_bundled_and_the_cached_models(home):
    assert {"scbasset", "scbasset/demo", "lab/toy"} <= set(run(home, "kipoi", "ls", "all").split())


@pytest.mark.parametrize("model", ["scbasset", "scbasset/demo"])
def test_info_shows_the_fields_of_the_card(home, demo, model):
    output = run(home, "kipoi", "info", model)
    assert f"version: {demo.card.version}" in output
    assert f"license: {demo.card.license}" in output
    assert "intervals_file" in output
    assert "fasta_file" in output


def test_the_default_model_in_every_format(home, expected, tmp_path):
    outputs = [str(tmp_path / f"out.{ending}") for ending in ("tsv", "parquet", "h5", "zarr")]
    predict(home, "scbasset", "--batch_size", "4", "--keep_metadata", "-o", *outputs)
    names = [f"preds/{cell}" for cell in range(expected["accessibility"].shape[1])]
    for table in (pd.read_csv(outputs[0], sep="\t"), pd.read_parquet(outputs[1])):
        np.testing.assert_allclose(table[names], expected["accessibility"], atol=ROUNDING)
    with h5py.File(outputs[2]) as file:
        np.testing.assert_allclose(file["preds"][:], expected["accessibility"], atol=ROUNDING)
        ranges = pd.DataFrame({name: file["metadata/ranges"][name][:] for name in ("start", "end", "id")})
    arrays = zarr.open_group(outputs[3], mode="r")
    np.testing.assert_allclose(arrays["preds"][:], expected["accessibility"], atol=ROUNDING)
    assert list(arrays["metadata/ranges/chr"][:]) == ["example"] * len(ranges)
    peaks = pd.read_csv(EXAMPLE["intervals_file"], sep="\t", names=["chrom", "start", "end"])
    np.testing.assert_array_equal(ranges["start"], (peaks["start"] + peaks["end"]) // 2 - 672)
    np.testing.assert_array_equal(ranges["end"] - ranges["start"], 1344)
    assert ranges["id"][0].decode() == f"example:{peaks['start'][0]}-{peaks['end'][0]}"


@pytest.mark.parametrize("layer", ["logits", "peak_embedding"])
def test_other_outputs_by_layer(home, expected, tmp_path, layer):
    predict(home, "scbasset/demo", "--layer", layer, "-o", str(tmp_path / "out.h5"))
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_allclose(file["preds"][:], expected[layer], rtol=1e-5, atol=ROUNDING)


def test_a_column_of_the_cells_as_layer_gives_named_means(home, demo, expected, tmp_path):
    predict(home, "scbasset/demo", "--layer", "cell_type", "--batch_size", "4", "-o", str(tmp_path / "out.tsv"))
    predictions = pd.read_csv(tmp_path / "out.tsv", sep="\t")
    types = demo.cells()["cell_type"].astype(str)
    assert set(predictions) == {f"preds/{name}" for name in types.unique()}
    for name in types.unique():
        mean = expected["accessibility"][:, (types == name).to_numpy()].mean(axis=1)
        np.testing.assert_allclose(predictions[f"preds/{name}"], mean, atol=ROUNDING)


def test_the_error_for_an_unknown_layer_lists_all_layers(home, tmp_path):
    output = predict(home, "scbasset/demo", "--layer", "bogus", "-o", str(tmp_path / "out.tsv"), fails=True)
    assert "no layer 'bogus'" in output
    assert "peak_embedding" in output
    assert "cell_type" in output


def test_a_model_of_another_zoo_predicts_and_its_assembly_is_checked(home, tmp_path):
    fasta, bed = toy_genome(tmp_path / "toy.fa"), tmp_path / "peaks.bed"
    bed.write_text("chr1\t100\t600\nchr2\t4000\t4300\tmine\n")
    data = {"intervals_file": str(bed), "fasta_file": str(fasta)}
    assert DESCRIPTION in " ".join(run(home, "kipoi", "info", "lab/toy").split())
    predict(home, "lab/toy", "-o", str(tmp_path / "out.tsv"), data=data)
    (folder,) = (home / "cache/models/lab/toy").iterdir()
    letters = {name: str(record) for name, record in Fasta(str(fasta)).items()}
    windows = [("N" * 322 + letters["chr1"])[:1344], letters["chr2"][4150 - 672 : 4150 + 672]]
    expected = run_plainly(Package.open(folder).model_bytes(), one_hot(as_codes(windows)))["accessibility"]
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out.tsv", sep="\t"), expected, atol=ROUNDING)
    fasta.write_text(fasta.read_text().rstrip("\n") + "ACGT\n")
    output = predict(home, "lab/toy", "-o", str(tmp_path / "other.tsv"), data=data, fails=True)
    assert "the model was trained on toy1" in output
    assert "or use this one with force=True." in output
    output = predict(home, "lab/toy", "-o", str(tmp_path / "forced.tsv"), data=data | {"force": True})
    assert "It is used all the same, because of force=True." in output
    np.testing.assert_allclose(pd.read_csv(tmp_path / "forced.tsv", sep="\t"), expected, atol=ROUNDING)


def test_a_genome_that_shares_no_chromosome_is_refused_unless_forced(home, tmp_path):
    without = {name: value for name, value in EXAMPLE.items() if name != "force"}
    output = predict(home, "scbasset/demo", "-o", str(tmp_path / "out.tsv"), data=without, fails=True)
    assert "this genome has no chromosome of" in output
    assert "or use this one with force=True." in output
    (tmp_path / "force.py").write_text(FORCE)
    run(home, "python", str(tmp_path / "force.py"), EXAMPLE["intervals_file"], EXAMPLE["fasta_file"])


def test_kipoi_test_passes_and_fails_for_other_numbers(home, tmp_path):
    assert "All predictions match" in run(home, "kipoi", "test", str(GROUP))
    with h5py.File(GROUP / "example/expected.h5") as file:
        inputs, preds = file["inputs"][:], file["preds"][:]
    preds[1, 2] += 0.01
    with h5py.File(tmp_path / "wrong.h5", "w") as file:
        file["inputs"], file["preds"] = inputs, preds
    output = run(home, "kipoi", "test", str(GROUP), "--expect", str(tmp_path / "wrong.h5"), fails=True)
    assert "don't match" in output


FORCE = """
import sys, kipoi, scbasset_zoo as sz
model = kipoi.get_model("scbasset/demo")
data = dict(intervals_file=sys.argv[1], fasta_file=sys.argv[2])
for use in (lambda **force: model.default_dataloader(**data, **force), lambda **force: model.pipeline.predict(data | force)):
    try:
        use()
    except sz.InputError as error:
        assert "use this one with force=True" in str(error)
    else:
        raise SystemExit("the genome is not refused")
    assert len(use(force=True))
"""


API = """
import sys, kipoi, numpy as np, scbasset_zoo as sz
data = dict(intervals_file=sys.argv[1], fasta_file=sys.argv[2], force=True)
model = kipoi.get_model("scbasset/demo")
predictions = model.pipeline.predict(data, batch_size=4)
ours = sz.open_model(sys.argv[3])
np.testing.assert_allclose(predictions, ours.predict(sys.argv[1], sys.argv[2], force=True).X.T, rtol=0, atol=2.5e-5)
means = model.pipeline.predict(data, batch_size=4, layer="cell_type")
groups = ours.predict(sys.argv[1], sys.argv[2], group_by="cell_type", force=True)
np.testing.assert_allclose([means[name] for name in groups.obs_names], groups.X, rtol=0, atol=2.5e-5)
loader = model.default_dataloader(**data)
one, batch = loader[4], next(loader.batch_iter(batch_size=5))
np.testing.assert_array_equal(one["inputs"], batch["inputs"][4])
assert one["metadata"]["ranges"]["start"] == batch["metadata"]["ranges"]["start"][4] < 0
(last,) = [b for b in loader.batch_iter(batch_size=3, drop_last=True)][1:]
np.testing.assert_array_equal(last["inputs"], model.default_dataloader(**data).load_all(num_workers=2)["inputs"][3:])
"""


def test_the_python_api_gives_the_numbers_of_model_predict(home, demo, tmp_path):
    (tmp_path / "api.py").write_text(API)
    run(home, "python", str(tmp_path / "api.py"), EXAMPLE["intervals_file"], EXAMPLE["fasta_file"], str(demo.folder))
