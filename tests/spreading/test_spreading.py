"""Analyses whose parts are computed elsewhere, in shards or in two goes have the result of one process, to the last bit."""

import contextlib
import json
import os
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import toy
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli import main as cli
from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime import predictions
from scbasset_zoo.spreading import executors
from scbasset_zoo.spreading.executors import chosen_executor
from scbasset_zoo.spreading.job import compute, job_of

N_REGIONS = 20
MEME = "MEME version 4\nALPHABET= ACGT\nstrands: + -\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n"


@pytest.fixture(autouse=True)
def _variables():
    """Restore the variables of the process: a local cluster of Dask leaves OMP_NUM_THREADS=1 there."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the folder of a toy model, and the options of each analysis; their work has several parts."""
    folder = tmp_path_factory.mktemp("spreading")
    toy.toy_package(folder / "model")
    genome = str(toy.toy_genome(folder / "genome.fa"))
    starts = np.linspace(700, 18_000, N_REGIONS).astype(int)
    regions = pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + 500})
    regions.to_csv(folder / "regions.bed", sep="\t", header=False, index=False)
    with (folder / "motifs.meme").open("w") as file:
        file.write(MEME)
        for name, consensus in (("foo", "TGACTCAT"), ("bar", "GATAAG")):
            rows = "\n".join(" ".join("0.91" if base == letter else "0.03" for base in "ACGT") for letter in consensus)
            file.write(
                f"\nMOTIF {name} {name}\nletter-probability matrix: alength= 4 w= {len(consensus)} nsites= 20 E= 0\n{rows}\n"
            )
    motifs, regions_bed = str(folder / "motifs.meme"), str(folder / "regions.bed")
    return folder / "model", {
        "ism": {
            "regions": str(folder / "regions.bed"),
            "genome": genome,
            "group_by": "cell_type",
            "motifs": motifs,
            "n_controls": 8,
        },
        "motif-insertion": {"motifs": motifs, "genome": genome, "n_backgrounds": 66, "n_shuffles": 5, "scale": "probability"},
        "denoise": {"peaks": regions_bed, "genome": genome, "group_by": "cell_type"},
    }


@pytest.fixture(scope="module")
def expected(files):
    return {name: sz.run(name, files[0], device="cpu", quiet=True, **files[1][name]) for name in files[1]}


def assert_identical(result, expected):
    """Assert that two results are equal to the last bit, apart from when and how they were computed."""
    if isinstance(expected, xr.Dataset):
        assert set(result.variables) == set(expected.variables)
        for name in expected.variables:
            assert result[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes(), name
        return
    assert np.asarray(result.X[:]).tobytes() == np.asarray(expected.X[:]).tobytes()
    # Texts with few values are categories in a file.
    pd.testing.assert_frame_equal(result.var.astype(expected.var.dtypes), expected.var, check_exact=True)
    for name in expected.uns.keys() - {"scbasset_zoo"}:
        if isinstance(expected.uns[name], pd.DataFrame):
            read, table = result.uns[name], expected.uns[name]
            pd.testing.assert_frame_equal(read.astype(table.dtypes), table, check_exact=True, check_names=False)


def kill_one_after_the_first_part(out, process_ids):
    """Start a thread that kills a worker process when the first part is done; return a function that waits for it."""
    folder = out.with_name(f"{out.name}.parts")

    def kill():
        while not list(folder.glob("0*.parts")):
            time.sleep(0.002)
        os.kill(process_ids()[0], signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread.join


def serially(name, model, options, folder):
    return sz.run(name, model, out=folder / f"r{suffix(name)}", device="cpu", quiet=True, **options)


def by_local_processes(name, model, options, folder):
    with sz.LocalProcesses(2) as executor:
        return sz.run(name, model, executor=executor, device="cpu", quiet=True, **options)


def by_processes_of_which_one_is_killed(name, model, options, folder):
    out = folder / f"r{suffix(name)}"
    with sz.LocalProcesses(2) as executor:
        killed = kill_one_after_the_first_part(out, lambda: list(executor._pool._processes))
        result = sz.run(name, model, out=out, executor=executor, resume=True, device="cpu", quiet=True, **options)
        killed()
    return result


def by_dask_workers_of_which_one_is_killed(name, model, options, folder):
    distributed = pytest.importorskip("distributed")
    out = folder / f"r{suffix(name)}"
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = sorted(client.run(os.getpid).values())
        killed = kill_one_after_the_first_part(out, lambda: before)
        result = sz.run(name, model, out=out, executor=client.get_executor(), resume=True, device="cpu", quiet=True, **options)
        killed()
        assert before[0] not in client.run(os.getpid).values()
    return result


def in_shards(name, model, options, folder):
    shards = [folder / f"{number}.parts" for number in (1, 2, 3)]
    for number, shard in enumerate(shards, start=1):
        sz.run_shard(name, model, shard=f"{number}/3", out=shard, device="cpu", quiet=True, **options)
    return sz.merge(shards[::-1], out=folder / f"r{suffix(name)}", device="cpu", quiet=True)


def in_two_goes(name, model, options, folder):
    out, kept = folder / f"r{suffix(name)}", folder / f"r{suffix(name)}.parts"
    interrupt_after_two_parts(name, model, options, out)
    assert sorted(path.name for path in kept.iterdir()) == ["00000000.parts", "00000001.parts"]
    assert not out.exists()
    with pytest.raises(InputError, match="cannot go on.*options differ.*remove"):
        sz.run(name, model, out=out, resume=True, device="cpu", quiet=True, **{**options, "seed": 7})
    result = sz.run(name, model, out=out, resume=True, device="cpu", quiet=True, **options)
    assert not kept.exists()
    return result


def interrupt_after_two_parts(name, model, options, out):
    kind, done = sz.plugin_manager.analyses().get(name), []
    run_part = kind.run_part

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments[-1])
        return run_part(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kind, "run_part", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sz.run(name, model, out=out, resume=True, device="cpu", quiet=True, **options)


def suffix(name):
    return ".zarr" if name == "ism" else ".h5ad"


WAYS = [
    serially,
    by_local_processes,
    by_processes_of_which_one_is_killed,
    by_dask_workers_of_which_one_is_killed,
    in_shards,
    in_two_goes,
]


@pytest.mark.parametrize("way", WAYS)
def test_the_result_is_that_of_one_process(way, files, expected, tmp_path):
    result = way("ism", files[0], files[1]["ism"], tmp_path)
    assert_identical(result, expected["ism"])
    spread = json.loads(result.attrs["scbasset_zoo"]).get("spread", "")
    assert spread == "" if way is serially else "4 parts" in spread
    assert not list(tmp_path.glob("*.parts/*"))


@pytest.mark.parametrize("name", ["motif-insertion", "denoise"])
@pytest.mark.parametrize("way", [by_local_processes, in_shards])
def test_other_analyses_are_spread_too(way, name, files, expected, tmp_path):
    assert_identical(way(name, files[0], files[1][name], tmp_path), expected[name])


@pytest.fixture(scope="module")
def shards(files, tmp_path_factory):
    """Return two shards of denoise."""
    folder, options = tmp_path_factory.mktemp("shards"), files[1]["denoise"]
    return [
        sz.run_shard("denoise", files[0], shard=(number, 2), out=folder / f"{number}.parts", device="cpu", quiet=True, **options)
        for number in (1, 2)
    ]


def test_a_merge_draws_the_figures(shards, tmp_path):
    sz.merge(shards, plot=tmp_path / "figures", device="cpu", quiet=True)
    assert list((tmp_path / "figures").glob("*.png"))


def test_a_missing_or_doubled_shard_is_named(shards, tmp_path):
    with pytest.raises(InputError, match="Shard 2 of 2 is missing"):
        sz.merge(shards[:1], device="cpu")
    with pytest.raises(InputError, match=r"1.parts and .*1.parts are both shard 1 of 2"):
        sz.merge([*shards, shards[0]], device="cpu")
    with pytest.raises(InputError, match="There are no shards"):
        sz.merge([], device="cpu")


@pytest.mark.parametrize(
    ("more", "words"), [({"seed": 3}, r"options differ. Found {'seed': 3} in"), ({"shard": "2/3"}, "one of 3 shards")]
)
def test_a_foreign_shard_is_named(more, words, files, shards, tmp_path):
    given = {"shard": "2/2", "out": tmp_path / "other.parts", "device": "cpu", "quiet": True, **files[1]["denoise"], **more}
    other = sz.run_shard("denoise", files[0], **given)
    with pytest.raises(InputError, match=f"other.parts.*{words}"):
        sz.merge([shards[0], other], device="cpu")


def test_a_shard_of_another_model_is_named(files, shards, tmp_path):
    toy.toy_package(tmp_path / "model", seed=1)
    options = {"shard": "2/2", "out": tmp_path / "other.parts", "device": "cpu", "quiet": True, **files[1]["denoise"]}
    other = sz.run_shard("denoise", tmp_path / "model", **options)
    with pytest.raises(InputError, match=r"models \(hashes of their cards\) differ"):
        sz.merge([shards[0], other], device="cpu")


def test_a_file_that_is_no_shard_is_named(shards, tmp_path):
    (tmp_path / "text.parts").write_text("no zip")
    with pytest.raises(InputError, match=r"text.parts is no file of parts"):
        sz.merge([shards[0], tmp_path / "text.parts"], device="cpu")
    (tmp_path / "1.parts.parts").mkdir()
    with pytest.raises(InputError, match=r"1.parts.parts is the folder of a run that is not finished"):
        sz.merge([shards[0], tmp_path / "1.parts.parts"], device="cpu")
    (tmp_path / "cut.parts").write_bytes(shards[1].read_bytes()[:-30])
    with pytest.raises(InputError, match="cut.parts cannot be read"):
        sz.merge([shards[0], tmp_path / "cut.parts"], device="cpu")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/2/3", (0, 1)])
def test_a_shard_is_a_number_of_a_number(shard, files, tmp_path):
    with pytest.raises(InputError, match="must be I/N"):
        sz.run_shard("denoise", files[0], shard=shard, out=tmp_path / "x.parts", **files[1]["denoise"])


def test_an_analysis_that_does_not_divide_refuses_an_executor(files, tmp_path):
    with pytest.raises(InputError, match="embedding does not divide"), sz.LocalProcesses(1) as executor:
        sz.run("embedding", files[0], executor=executor)
    with pytest.raises(InputError, match="embedding does not divide"):
        sz.run_shard("embedding", files[0], shard="1/2", out=tmp_path / "x.parts")


def test_what_cannot_be_spread_is_refused_before_any_work(files, tmp_path):
    options = files[1]["denoise"]
    with pytest.raises(InputError, match="resume"):
        sz.run("denoise", files[0], resume=True, **options)
    (tmp_path / "r.h5ad.parts").touch()
    with pytest.raises(InputError, match="r.h5ad.parts is a file, and finished parts are kept in a folder"):
        sz.run("denoise", files[0], resume=True, out=tmp_path / "r.h5ad", device="cpu", **options)
    with pytest.raises(InputError, match="denoise takes one model"):
        sz.run_shard("denoise", [files[0], files[0]], shard="1/2", out=tmp_path / "x.parts", **options)
    with pytest.raises(InputError, match="peak_embedding' takes one model"):
        sz.run_shard(
            "predict", [files[0], files[0]], shard="1/2", out=tmp_path / "x.parts", output="peak_embedding", **inputs(files)
        )
    with pytest.raises(InputError, match=r"written as .parts"):
        sz.run_shard("denoise", files[0], shard="1/2", out=tmp_path / "x.h5ad", **options)
    with pytest.raises(InputError, match="workers"):
        sz.LocalProcesses(0)


@pytest.mark.parametrize("name", ["denoise", "predict"])
def test_a_pipe_is_refused_in_divided_work(name, files, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    given = {**inputs(files), "peaks": tmp_path / "pipe", "device": "cpu"}
    run = sz.predict if name == "predict" else partial(sz.run, name)
    with pytest.raises(InputError, match="pipe' is a pipe or another special file, and divided work reads it again"):
        run(files[0], out=tmp_path / "r.h5ad", resume=True, **given)
    with pytest.raises(InputError, match="pipe' is a pipe"):
        sz.run_shard(name, files[0], shard="1/2", out=tmp_path / "1.parts", **given)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_workers_do_not_repeat_what_was_said_where_the_work_started(files, capfd):
    given = inputs(files)
    with sz.LocalProcesses(2) as executor:
        sz.run("denoise", files[0], device="cpu", executor=executor, **given)
    assert capfd.readouterr().err.count("Running on cpu") <= 1


@pytest.mark.parametrize("address", ["local:", "local:0", "local:two"])
def test_an_address_of_dask_is_checked(address):
    with pytest.raises(InputError, match="local:N"), chosen_executor(None, address):
        pass


def test_workers_and_dask_exclude_each_other():
    with pytest.raises(InputError, match="not both"), chosen_executor(2, "local:2"):
        pass


def test_dask_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install '.\[dask\]'"), chosen_executor(None, "local:2"):
        pass


def test_a_model_that_changed_is_refused_in_a_worker(files):
    model = sz.open_model(files[0], "cpu")
    job = job_of(sz.plugin_manager.analyses().get("denoise")(), [model], [model], None)
    with pytest.raises(InputError, match="another model in a worker"):
        compute(replace(job, card_sha256=("0" * 64,)).pickled(), 0)


def inputs(files):
    return {name: files[1]["denoise"][name] for name in ("peaks", "genome")}


@pytest.fixture(scope="module")
def two_models(files, tmp_path_factory):
    """Return the folders of two models of the same cells."""
    second = tmp_path_factory.mktemp("second") / "model"
    toy.toy_package(second, seed=1)
    return [files[0], second]


@pytest.mark.parametrize(("name", "way"), [("ism", in_shards), ("motif-insertion", by_local_processes), ("ism", in_two_goes)])
def test_several_models_are_spread_too(name, way, files, two_models, tmp_path):
    options = {option: value for option, value in files[1][name].items() if option not in ("scale", "n_controls")}
    expected = sz.run(name, two_models, device="cpu", quiet=True, **options)
    result = way(name, two_models, options, tmp_path)
    assert_identical(result, expected)
    if name == "motif-insertion":
        assert np.asarray(result.layers["std"][:]).tobytes() == np.asarray(expected.layers["std"]).tobytes()


def command(*arguments):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def assert_same_prediction(path, expected):
    if path.suffix == ".parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(path), pd.read_parquet(expected), check_exact=True)
        return
    read = ad.read_zarr if path.suffix == ".zarr" else ad.read_h5ad
    one, two = read(path), read(expected)
    assert one.X.tobytes() == two.X.tobytes()
    assert {name: one.layers[name].tobytes() for name in one.layers} == {name: two.layers[name].tobytes() for name in two.layers}
    pd.testing.assert_frame_equal(one.var, two.var)
    assert "parts" in one.uns["scbasset_zoo"]["spread"]


@pytest.mark.parametrize(("suffix", "several"), [(".h5ad", False), (".h5ad", True), (".parquet", True), (".zarr", True)])
def test_predictions_in_parts_are_those_of_one_process(suffix, several, files, two_models, tmp_path, monkeypatch):
    # Stripes of 8 peaks, so that there are several.
    monkeypatch.setattr(predictions, "PEAK_STEP", 8)
    monkeypatch.setattr(predictions, "BLOCK_CELLS", 8)
    models = two_models if several else two_models[:1]
    expected = tmp_path / f"expected{suffix}"
    sz.predict(models, **inputs(files), average_strands=True, out=expected, bigwig=tmp_path / "tracks", group_by="cell_type")
    common = [*models, "--peaks", inputs(files)["peaks"], "--genome", inputs(files)["genome"], "--average-strands"]
    common += ["--group-by", "cell_type", "--device", "cpu"]
    command("predict", *common, "--resume", "--bigwig", tmp_path / "again", "--out", tmp_path / f"again{suffix}")
    shards = [tmp_path / f"{number}.parts" for number in (1, 2, 3)]
    for number, shard in enumerate(shards, start=1):
        assert f"shard {number}/3 of predict" in command("predict", *common, "--shard", f"{number}/3", "--out", shard)
    out, tracks = tmp_path / f"merged{suffix}", tmp_path / "merged"
    said = command("merge", *shards, "--out", out, "--bigwig", tracks, "--device", "cpu")
    assert "accessibility of 3 groups x 20 peaks" in said
    for written, folder in ((out, tracks), (tmp_path / f"again{suffix}", tmp_path / "again")):
        assert_same_prediction(written, expected)
        assert {path.name: path.read_bytes() for path in folder.glob("*.bw")} == {
            path.name: path.read_bytes() for path in (tmp_path / "tracks").glob("*.bw")
        }
    assert "Shard 2 of 3 is missing" in str(
        CliRunner().invoke(cli.app, ["merge", str(shards[0]), str(shards[2]), "--out", "x.h5ad"]).exception
    )


def test_predictions_of_an_executor_are_those_of_one_process(files, two_models, tmp_path):
    expected = sz.predict(two_models, **inputs(files), device="cpu", output="logits")
    with sz.LocalProcesses(2) as executor:
        result = sz.predict(two_models, **inputs(files), device="cpu", output="logits", executor=executor)
        given = {**inputs(files), "device": "cpu", "output": "logits", "group_by": "cell_type"}
        sz.predict(two_models, **given, executor=executor, out=tmp_path / "file.h5ad", bigwig=tmp_path / "tracks")
    sz.predict(two_models, **given, out=tmp_path / "expected.h5ad", bigwig=tmp_path / "expected")
    assert result.X.tobytes() == expected.X.tobytes()
    assert result.layers["std"].tobytes() == expected.layers["std"].tobytes()
    assert "LocalProcesses, 2 workers" in result.uns["scbasset_zoo"]["spread"]
    assert_same_prediction(tmp_path / "file.h5ad", tmp_path / "expected.h5ad")
    tracks = sorted((tmp_path / "tracks").glob("*.bw"))
    assert len(tracks) == 3
    assert all(path.read_bytes() == (tmp_path / "expected" / path.name).read_bytes() for path in tracks)


def test_sequences_are_predicted_in_shards(files, tmp_path):
    rng = np.random.default_rng(0)
    length = sz.open_model(files[0], "cpu").sequence_length
    with (tmp_path / "sequences.fa").open("w") as file:
        for number in range(5):
            file.write(f">s{number}\n{''.join(rng.choice(list('ACGT'), length))}\n")
    common = [files[0], "--sequences", tmp_path / "sequences.fa", "--device", "cpu"]
    command("predict", *common, "--out", tmp_path / "expected.h5ad")
    command("predict", *common, "--shard", "1/1", "--out", tmp_path / "1.parts")
    assert "x 5 sequences" in command("merge", tmp_path / "1.parts", "--out", tmp_path / "merged.h5ad", "--device", "cpu")
    assert_same_prediction(tmp_path / "merged.h5ad", tmp_path / "expected.h5ad")


def test_a_merged_prediction_has_no_report(files, tmp_path):
    sz.run_shard("predict", files[0], shard="1/1", out=tmp_path / "1.parts", device="cpu", **inputs(files))
    with pytest.raises(InputError, match="neither figures nor a report"):
        sz.merge([tmp_path / "1.parts"], out=tmp_path / "x.h5ad", report=tmp_path / "x.html")
    assert sz.merge([tmp_path / "1.parts"], device="cpu").shape == sz.predict(files[0], **inputs(files), device="cpu").shape


@pytest.mark.parametrize("address", ["local:2", None], ids=["own", "running"])
def test_workers_of_dask_on_the_command_line(address, files, expected, tmp_path):
    distributed = pytest.importorskip("distributed")
    given = files[1]["denoise"]
    common = [files[0], "--peaks", given["peaks"], "--genome", given["genome"], "--group-by", "cell_type", "--device", "cpu"]
    tracks = [tmp_path / "tracks", tmp_path / "expected"]
    with contextlib.ExitStack() as stack:
        if address is None:
            cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
            address = stack.enter_context(cluster).scheduler_address
        command("run", "denoise", *common, "--dask", address, "--bigwig", tracks[0], "--out", tmp_path / "dask.h5ad")
    command("run", "denoise", *common, "--bigwig", tracks[1], "--out", tmp_path / "expected.h5ad")
    result = ad.read_h5ad(tmp_path / "dask.h5ad")
    assert_identical(result, expected["denoise"])
    assert "2 workers" in result.uns["scbasset_zoo"]["spread"]
    assert len(list(tracks[0].glob("*.bw"))) == 3
    for path in tracks[0].glob("*.bw"):
        assert path.read_bytes() == (tracks[1] / path.name).read_bytes()


def test_a_merge_writes_the_tracks(files, tmp_path):
    for name in ("denoise", "ism"):
        folder = tmp_path / name
        folder.mkdir()
        given = {**files[1][name], "device": "cpu", "quiet": True}
        sz.run(name, files[0], bigwig=folder / "expected", **given)
        shards = [sz.run_shard(name, files[0], shard=(i, 2), out=folder / f"{i}.parts", **given) for i in (1, 2)]
        sz.merge(shards, bigwig=folder / "merged", device="cpu", quiet=True)
        written = {path.name: path.read_bytes() for path in (folder / "merged").glob("*.bw")}
        assert written
        assert written == {path.name: path.read_bytes() for path in (folder / "expected").glob("*.bw")}
