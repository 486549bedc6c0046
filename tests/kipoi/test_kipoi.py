"""The real kipoi command and its Python API over bundled and cached models, with a home of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.toy import toy_genome, toy_package
from pyfaidx import Fasta

from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs.dna import as_codes, one_hot
from scbasset_zoo.kipoi.folder import newest, refresh, registered_folder, write_models
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo.bundled import bundled_folder
from scbasset_zoo.zoo.index import build_index
from scbasset_zoo.zoo.models import open_model

pytest.importorskip("kipoi")
BIN = Path(sys.executable).parent
GROUP = bundled_folder() / "scbasset"
EXAMPLE = {"intervals_file": str(GROUP / "example/intervals.bed"), "fasta_file": str(GROUP / "example/genome.fa")}
DESCRIPTION = 'Random # weights of "a toy" with {{ braces }}: a, b.'


@pytest.fixture(scope="module")
def demo():
    """The bundled package."""
    (folder,) = (GROUP / "demo").iterdir()
    return Package.open(folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in which the zoo is Kipoi's default source, with a package of another zoo in the cache."""
    home = tmp_path_factory.mktemp("home")
    toy = toy_package(home / "toy", id="lab/toy", description=DESCRIPTION)
    cached = home / "cache/models/lab/toy" / f"1.0.0-{toy.card_sha256[:12]}"
    cached.parent.mkdir(parents=True)
    toy.folder.rename(cached)
    run(home, "scbasset-zoo", "kipoi", "register", "--as-default")
    return home


@pytest.fixture(scope="module")
def expected(demo):
    """What plain ONNX Runtime says of the example's windows, cut by hand."""
    letters = str(Fasta(EXAMPLE["fasta_file"])["example"])
    padded, windows = "N" * 2_000 + letters + "N" * 2_000, []
    for line in Path(EXAMPLE["intervals_file"]).read_text().splitlines():
        _, start, end = line.split("\t")
        first = 2_000 + (int(start) + int(end)) // 2 - 672
        windows.append(padded[first : first + 1344])
    return run_plainly(demo.model_bytes(), one_hot(as_codes(windows)))


def run(home, *command, fails=False):
    """A command of the environment with `home` as home; its output, and the end of it when it should succeed and fails."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "SCBASSET_"))}
    env |= {"HOME": str(home), "SCBASSET_ZOO_CACHE": str(home / "cache")}
    done = subprocess.run([BIN / command[0], *command[1:]], env=env, cwd=home, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stdout[-2_000:] + done.stderr[-4_000:]
    return done.stdout + done.stderr


def predict(home, model, *options, data=EXAMPLE, **kwargs):
    """`kipoi predict` of the default source."""
    return run(home, "kipoi", "predict", model, "--dataloader_args", json.dumps(data), *options, **kwargs)


def test_kipoi_lists_the_bundled_and_the_cached_models(home):
    assert {"scbasset", "scbasset/demo", "lab/toy"} <= set(run(home, "kipoi", "ls", "all").split())


@pytest.mark.parametrize("model", ["scbasset", "scbasset/demo"])
def test_info_says_what_the_card_says(home, demo, model):
    told = run(home, "kipoi", "info", model)
    assert f"version: {demo.card.version}" in told
    assert f"license: {demo.card.license}" in told
    assert "intervals_file" in told
    assert "fasta_file" in told


def test_the_default_model_in_every_format(home, expected, tmp_path):
    outputs = [str(tmp_path / f"out.{ending}") for ending in ("tsv", "parquet", "h5", "zarr")]
    predict(home, "scbasset", "--batch_size", "4", "--keep_metadata", "-o", *outputs)
    names = [f"preds/{cell}" for cell in range(expected["accessibility"].shape[1])]
    for table in (pd.read_csv(outputs[0], sep="\t"), pd.read_parquet(outputs[1])):
        np.testing.assert_allclose(table[names], expected["accessibility"], atol=1e-6)
    with h5py.File(outputs[2]) as file:
        np.testing.assert_allclose(file["preds"][:], expected["accessibility"], atol=1e-6)
        ranges = pd.DataFrame({name: file["metadata/ranges"][name][:] for name in ("start", "end", "id")})
    arrays = zarr.open_group(outputs[3], mode="r")
    np.testing.assert_allclose(arrays["preds"][:], expected["accessibility"], atol=1e-6)
    assert list(arrays["metadata/ranges/chr"][:]) == ["example"] * len(ranges)
    peaks = pd.read_csv(EXAMPLE["intervals_file"], sep="\t", names=["chrom", "start", "end"])
    np.testing.assert_array_equal(ranges["start"], (peaks["start"] + peaks["end"]) // 2 - 672)
    np.testing.assert_array_equal(ranges["end"] - ranges["start"], 1344)
    assert ranges["id"][0].decode() == f"example:{peaks['start'][0]}-{peaks['end'][0]}"


@pytest.mark.parametrize("layer", ["logits", "peak_embedding"])
def test_other_outputs_by_layer(home, expected, tmp_path, layer):
    predict(home, "scbasset/demo", "--layer", layer, "-o", str(tmp_path / "out.h5"))
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_allclose(file["preds"][:], expected[layer], rtol=1e-5, atol=1e-5)


def test_a_column_of_the_cells_as_layer_gives_named_means(home, demo, expected, tmp_path):
    predict(home, "scbasset/demo", "--layer", "cell_type", "--batch_size", "4", "-o", str(tmp_path / "out.tsv"))
    found = pd.read_csv(tmp_path / "out.tsv", sep="\t")
    types = demo.cells()["cell_type"].astype(str)
    assert set(found) == {f"preds/{name}" for name in types.unique()}
    for name in types.unique():
        mean = expected["accessibility"][:, (types == name).to_numpy()].mean(axis=1)
        np.testing.assert_allclose(found[f"preds/{name}"], mean, atol=1e-6)


def test_groups_of_any_name_are_columns_of_every_format(home, tmp_path):
    groups = ["", "..", "CD4/Th1", "NK", "NK/T", "NK\\T", "NK_T"]
    cells = pd.DataFrame({"cell_type": groups}, index=pd.Index([f"cell{i}" for i in range(7)], name="barcode"))
    toy = toy_package(tmp_path / "toy", id="lab/slashes", cells=cells)
    cached = home / "cache/models/lab/slashes" / f"1.0.0-{toy.card_sha256[:12]}"
    cached.parent.mkdir(parents=True)
    toy.folder.rename(cached)
    run(home, "scbasset-zoo", "kipoi", "register")
    fasta, bed = toy_genome(tmp_path / "toy.fa"), tmp_path / "peaks.bed"
    bed.write_text("chr1\t2000\t2600\nchr2\t4000\t4300\n")
    data = {"intervals_file": str(bed), "fasta_file": str(fasta)}
    outputs = [tmp_path / f"out.{ending}" for ending in ("tsv", "parquet", "h5", "zarr")]
    predict(home, "lab/slashes", "--layer", "cell_type", "--batch_size", "1", "-o", *map(str, outputs), data=data)
    means = open_model(cached, device="cpu").predict(str(bed), str(fasta), group_by="cell_type")
    assert list(means.obs_names) == sorted(groups)
    names = {"": "_", "..": "__", "CD4/Th1": "CD4_Th1", "NK": "NK", "NK/T": "NK_T_", "NK\\T": "NK_T__", "NK_T": "NK_T"}
    expected = {names[group]: values for group, values in zip(means.obs_names, means.X, strict=True)}
    tables = pd.read_csv(outputs[0], sep="\t"), pd.read_parquet(outputs[1])
    found = [{name.removeprefix("preds/"): table[name] for name in table} for table in tables]
    with h5py.File(outputs[2]) as file:
        found.append({name: file["preds"][name][:] for name in file["preds"]})
    arrays = zarr.open_group(outputs[3], mode="r")["preds"]
    found.append({name: arrays[name][:] for name in arrays})
    for columns in found:
        assert sorted(columns) == sorted(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(columns[name], values, atol=1e-6)
    written = outputs[0].read_bytes()
    told = predict(home, "lab/slashes", "-o", str(outputs[0]), data=data, fails=True)
    assert "out.tsv already has data" in told
    assert outputs[0].read_bytes() == written


def test_an_unknown_layer_lists_those_there_are(home, tmp_path):
    told = predict(home, "scbasset/demo", "--layer", "bogus", "-o", str(tmp_path / "out.tsv"), fails=True)
    assert "no layer 'bogus'" in told
    assert "peak_embedding" in told
    assert "cell_type" in told


def test_a_model_of_another_zoo_is_served_and_its_assembly_checked(home, tmp_path):
    fasta, bed = toy_genome(tmp_path / "toy.fa"), tmp_path / "peaks.bed"
    bed.write_text("chr1\t100\t600\nchr2\t4000\t4300\tmine\n")
    data = {"intervals_file": str(bed), "fasta_file": str(fasta)}
    assert DESCRIPTION in " ".join(run(home, "kipoi", "info", "lab/toy").split())
    predict(home, "lab/toy", "-o", str(tmp_path / "out.tsv"), data=data)
    (folder,) = (home / "cache/models/lab/toy").iterdir()
    letters = {name: str(record) for name, record in Fasta(str(fasta)).items()}
    windows = [("N" * 322 + letters["chr1"])[:1344], letters["chr2"][4150 - 672 : 4150 + 672]]
    expected = run_plainly(Package.open(folder).model_bytes(), one_hot(as_codes(windows)))["accessibility"]
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out.tsv", sep="\t"), expected, atol=1e-6)
    fasta.write_text(fasta.read_text().rstrip("\n") + "ACGT\n")
    told = predict(home, "lab/toy", "-o", str(tmp_path / "other.tsv"), data=data, fails=True)
    assert "the model was trained on toy1" in told


def test_kipoi_test_passes_and_notices_other_numbers(home, tmp_path):
    assert "All predictions match" in run(home, "kipoi", "test", str(GROUP))
    with h5py.File(GROUP / "example/expected.h5") as file:
        inputs, preds = file["inputs"][:], file["preds"][:]
    preds[1, 2] += 0.01
    with h5py.File(tmp_path / "wrong.h5", "w") as file:
        file["inputs"], file["preds"] = inputs, preds
    told = run(home, "kipoi", "test", str(GROUP), "--expect", str(tmp_path / "wrong.h5"), fails=True)
    assert "don't match" in told


API = """
import sys, kipoi, numpy as np, scbasset_zoo as sz
data = dict(intervals_file=sys.argv[1], fasta_file=sys.argv[2])
model = kipoi.get_model("scbasset/demo")
found = model.pipeline.predict(data, batch_size=4)
ours = sz.open_model(sys.argv[3])
np.testing.assert_allclose(found, ours.predict(sys.argv[1], sys.argv[2]).X.T, rtol=0, atol=1e-6)
means = model.pipeline.predict(data, batch_size=4, layer="cell_type")
groups = ours.predict(sys.argv[1], sys.argv[2], group_by="cell_type")
np.testing.assert_allclose([means[name] for name in groups.obs_names], groups.X, rtol=0, atol=1e-6)
loader = model.default_dataloader(**data)
one, batch = loader[4], next(loader.batch_iter(batch_size=5))
np.testing.assert_array_equal(one["inputs"], batch["inputs"][4])
assert one["metadata"]["ranges"]["start"] == batch["metadata"]["ranges"]["start"][4] < 0
(last,) = [b for b in loader.batch_iter(batch_size=3, drop_last=True)][1:]
np.testing.assert_array_equal(last["inputs"], model.default_dataloader(**data).load_all(num_workers=2)["inputs"][3:])
"""


def test_the_python_api_gives_the_numbers_of_model_predict(home, demo, tmp_path):
    (tmp_path / "api.py").write_text(API)
    run(home, "python", str(tmp_path / "api.py"), *EXAMPLE.values(), str(demo.folder))


STREAM = """
import resource, sys, kipoi
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
loader = kipoi.get_model("scbasset/demo").default_dataloader(intervals_file=sys.argv[1], fasta_file=sys.argv[2])
next(loader.batch_iter(batch_size=64))
before, n = peak(), 0
for batch in loader.batch_iter(batch_size=64):
    n += len(batch["inputs"])
assert n == 20_000, n
assert peak() - before < 50e6, f"{peak() - before:,} bytes for {n * 1344 * 16:,} bytes of windows"
"""


def test_windows_stream(home, tmp_path):
    (tmp_path / "many.bed").write_text("".join(f"example\t{i % 7_000}\t{i % 7_000 + 500}\n" for i in range(20_000)))
    (tmp_path / "stream.py").write_text(STREAM)
    run(home, "python", str(tmp_path / "stream.py"), str(tmp_path / "many.bed"), EXAMPLE["fasta_file"])


WRITERS = """
import h5py, numpy as np, zarr
from kipoi import writers
import scbasset_zoo.kipoi.adapter
batches = [{"preds": np.full((3, 200_000), i, np.float32), "metadata": {"id": np.array(["a", "b", "ccc"])}} for i in range(30)]
for name in ("wide.h5", "wide.zarr"):
    writer = writers.get_writer(name)
    for batch in batches:
        writer.batch_write(batch)
    writer.close()
    file = h5py.File(name) if name.endswith("h5") else zarr.open_group(name, mode="r")
    assert file["preds"].chunks[0] * 800_000 <= 2**24
    np.testing.assert_array_equal(file["preds"][:, 7], np.repeat(np.arange(30), 3))
    assert [v.decode() if isinstance(v, bytes) else v for v in file["metadata/id"][-3:]] == ["a", "b", "ccc"]
    if name.endswith("h5"):
        file.close()
    try:
        writers.get_writer(name)
    except ValueError as error:
        assert "already has" in str(error)
    else:
        raise SystemExit(f"{name} was overwritten")
zarr.open_group("new.zarr", mode="w", zarr_format=3).create_array("preds", shape=(2,), dtype="f4")
try:
    writers.get_writer("new.zarr")
except ValueError as error:
    assert "already has" in str(error)
else:
    raise SystemExit("new.zarr was mixed with other arrays")
"""


def test_writers_bound_memory_and_refuse_files_that_have_data(home, tmp_path):
    (tmp_path / "writers.py").write_text(f"import os; os.chdir({str(tmp_path)!r})\n{WRITERS}")
    run(home, "python", str(tmp_path / "writers.py"))


def test_refresh_lists_local_sources_and_what_has_come_to_the_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    refresh()
    assert not registered_folder().exists()
    registered_folder().mkdir(parents=True)
    toy_package(tmp_path / "local/single", id="single")
    build_index(tmp_path / "local")
    (tmp_path / "zoo.yaml").write_text("sources: {mine: {location: local}, gone: {location: nowhere}}")
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", str(tmp_path / "zoo.yaml"))
    refresh()
    assert "gone is left out" in capsys.readouterr().err
    assert '"single"' in (registered_folder() / "zoo/models.tsv").read_text()
    toy_package(tmp_path / "cache/models/lab/toy/1.10.0-aaaaaaaaaaaa", id="lab/toy", version="1.10.0")
    toy_package(tmp_path / "cache/models/lab/toy/1.9.0-bbbbbbbbbbbb", id="lab/toy", version="1.9.0")
    refresh()
    assert "lab/toy@1.10.0" in (registered_folder() / "lab/models.tsv").read_text()
    assert "1.9.0" not in (registered_folder() / "lab/models.tsv").read_text()


def test_a_recipe_is_listed_and_a_broken_card_only_said(tmp_path, capsys):
    (tmp_path / "soon").mkdir()
    (tmp_path / "soon/recipe.yaml").write_text(
        "importer: calico\nsource: {url: 'https://example.org/weights.h5', md5: " + "a" * 32 + "}\n"
        "about: {id: lab/soon, version: 2.0.0, description: Made at first use., license: CC0-1.0}\n"
    )
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/card.yaml").write_text("id: lab/broken\n")
    write_models(tmp_path)
    assert "broken" in capsys.readouterr().err
    (row,) = pd.read_csv(tmp_path / "models.tsv", sep="\t", comment="#").to_dict("records")
    assert (row["model"], json.loads(row["open_as"])) == ("soon", "lab/soon@2.0.0")


def test_the_committed_files_are_in_step(demo, tmp_path):
    """When this fails: python -c "from scbasset_zoo.kipoi.folder import *; write_models(bundled_folder() / 'scbasset')"."""
    listed = pd.read_csv(GROUP / "models.tsv", sep="\t", comment="#")["open_as"].map(json.loads)
    there = newest([*GROUP.rglob("card.yaml"), *GROUP.rglob("recipe.yaml")])
    assert demo.card.id in [about["id"] for about in there]
    assert list(listed) == [f"{about['id']}@{about['version']}" for about in there]
    default = (GROUP / "model.yaml").read_text()
    assert f"version: {demo.card.version}\n" in default
    assert f"shape: ({demo.card.cells.n_cells},)\n" in default
    assert demo.verify() == []
    assert sum(path.stat().st_size for path in bundled_folder().rglob("*") if path.is_file()) < 3e6
