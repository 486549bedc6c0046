"""A file that cannot grow ends a command with one message, an exit code of 1, and nothing half-written."""

import gzip
import hashlib
import os
import subprocess
import sys

import pytest
from helpers.tiny_fits import TINY
from helpers.twobit import write_twobit
from helpers.zoo_server import Server

import scbasset_zoo as sz

# Files of more bytes than this fail as on a full disk. SIGXFSZ would end the process.
LIMIT = 20_000
CODE = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import scbasset_zoo.cli.main
{imports}
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
sys.argv[0] = "scbasset-zoo"
scbasset_zoo.cli.main.main()
"""


def run(folder, *arguments, imports="", limit=LIMIT):
    """Run a command that may write small files only."""
    code = CODE.format(imports=imports, limit=limit)
    environment = os.environ | {"MPLCONFIGDIR": str(folder / "mpl"), "NUMBA_CACHE_DIR": str(folder / "numba")}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def refused(ran, out, before=None):
    assert ran.returncode == 1, ran.stderr[-2000:]
    assert "Traceback" not in ran.stderr, ran.stderr[-2000:]
    (message,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert "The largest size of a file is reached" in message or "disk is full" in message
    assert "could not be written, and the incomplete result was removed" in message
    assert [path.name for path in out.parent.iterdir()] == ([out.name] if before is not None else [])
    if before is not None:
        assert out.read_bytes() == before


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr", ".parquet"])
def test_predictions(planted, suffix, tmp_path):
    simulation, package = planted
    (tmp_path / "results").mkdir()
    out = tmp_path / "results" / f"out{suffix}"
    before = None
    if suffix == ".h5ad":
        before = b"an older result"
        out.write_bytes(before)
    ran = run(
        tmp_path, "predict", package, "--peaks", simulation.matrix, "--genome", simulation.genome, "--out", out, "--overwrite"
    )
    refused(ran, out, before)


def test_the_parts_of_a_run(planted, tmp_path):
    simulation, package = planted
    (tmp_path / "results").mkdir()
    out = tmp_path / "results" / "out.h5ad"
    options = ["--peaks", simulation.matrix, "--genome", simulation.genome, "--resume", "--out", out]
    refused(run(tmp_path, "run", "denoise", package, *options, limit=2_000), out)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_analyses(planted, suffix, tmp_path):
    _, package = planted
    (tmp_path / "results").mkdir()
    out = tmp_path / "results" / f"out{suffix}"
    refused(run(tmp_path, "run", "embedding", package, "--no-umap", "--out", out, limit=2_000), out)


def test_netcdf(planted, tmp_path):
    simulation, package = planted
    (tmp_path / "results").mkdir()
    (tmp_path / "one.fa").write_text(f">a\n{'ACGT' * 336}\n")
    out = tmp_path / "results" / "out.nc"
    refused(run(tmp_path, "run", "ism", package, "--sequences", tmp_path / "one.fa", "--out", out), out)


def test_prepare_train_and_export(toy_matrix, toy_fasta, tmp_path):
    (tmp_path / "results").mkdir()
    out = tmp_path / "results" / "out"
    toy_matrix().write_h5ad(tmp_path / "m.h5ad")
    options = ("--genome", toy_fasta, "--assembly", "toy", "--split", "70/15/15")
    refused(run(tmp_path, "prepare", tmp_path / "m.h5ad", *options, "--out", out), out)
    prepared = sz.prepare(
        tmp_path / "m.h5ad", genome=toy_fasta, assembly="toy", split="70/15/15", out=tmp_path / "prepared", quiet=True
    )
    run_folder = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, **TINY).folder
    imports = "import scbasset_zoo_export.onnx_graph, scbasset_zoo_export.agreement"
    refused(run(tmp_path, "export", run_folder, "--out", out, imports=imports), out)
    imports = "import tensorflow, scbasset_zoo.training.fit"
    training = ("train", prepared.folder, "--epochs", 1, "--width", 0.03, "--embedding-size", 6)
    ran = run(tmp_path, *training, "--out", tmp_path / "new", imports=imports)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "could not be written, and the incomplete result was removed" in ran.stderr


def test_downloading_a_genome(tmp_path, monkeypatch):
    folder = tmp_path / "mirror" / "toy9" / "bigZips"
    folder.mkdir(parents=True)
    file = write_twobit(folder / "toy9.2bit", {"a": "ACGT" * 2 * LIMIT})
    (folder / "md5sum.txt").write_text(f"{hashlib.md5(file.read_bytes()).hexdigest()}  toy9.2bit\n")
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    with Server(tmp_path / "mirror") as server:
        monkeypatch.setenv("SCBASSET_ZOO_GENOMES", server.url)
        ran = run(tmp_path, "genome", "get", "toy9")
    assert ran.returncode == 1, ran.stderr[-2000:]
    (message,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert "The largest size of a file is reached" in message
    assert "SCBASSET_ZOO_CACHE sets the cache's folder" in message
    assert not list((tmp_path / "cache" / "genomes").iterdir())


def test_unpacking_a_genome(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.fa.gz"
    path.write_bytes(gzip.compress(b">a\n" + b"ACGT\n" * 10 * LIMIT))
    ran = run(tmp_path, "genome", "check", path)
    assert ran.returncode == 1, ran.stderr[-2000:]
    (message,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert "The largest size of a file is reached" in message
    assert "Set SCBASSET_ZOO_CACHE to a folder on a disk with space" in message
    assert not list((tmp_path / "cache" / "genomes" / "unpacked").iterdir())
