"""Damaged files from outside are read, or refused with an error of the project: no other error, no crash, no endless work."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pytest
from helpers import fuzzing, toy
from helpers.gtf import GTF_LINE
from helpers.tiny_fits import TINY
from scipy import sparse

import scbasset_zoo as sz
from scbasset_zoo.zoo.indexing import build_index

RECIPE = Path(__file__).parents[1] / "model_cards/scbasset/buenrostro2018/recipe.yaml"
MEME = (
    "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 FOO\nletter-probability matrix: alength= 4 w= 3\n0.9 0.1 0 0\n0 1 0 0\n0 0 1 0\n"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, toy_fasta, toy_matrix):
    """A folder with a small real file for each target."""
    folder = tmp_path_factory.mktemp("whole")
    toy.toy_package(folder / "package")
    shutil.copytree(folder / "package", folder / "zoo" / "lab" / "toy" / "1.0.0")
    build_index(folder / "zoo").write(folder / "zoo")
    shutil.copyfile(RECIPE, folder / "zoo/recipe.yaml")
    for name in ("genome", "inputs"):
        (folder / name).mkdir()
    shutil.copyfile(toy_fasta, folder / "genome/toy.fa")
    matrix = toy_matrix()
    matrix.write_h5ad(folder / "inputs/matrix.h5ad")
    rna = ad.AnnData(sparse.csr_matrix(np.eye(matrix.n_obs, 5, dtype=np.float32)), obs=matrix.obs)
    with warnings.catch_warnings(action="ignore"):
        mudata.MuData({"atac": matrix, "rna": rna}).write(folder / "inputs/pair.h5mu")
    matrix.obs.assign(n=range(matrix.n_obs)).to_csv(folder / "inputs/cells.csv")
    (folder / "inputs/peaks.bed").write_text("".join(f"chr1\t{1_000 * i}\t{1_000 * i + 500}\tpeak{i}\n" for i in range(1, 9)))
    lines = (f"chr1\t{900 * i}\t{900 * i + 500}\tp{i}\t{i}0\t.\t{i}.5\t{i}.25\t{i}\t{i}00\n" for i in range(1, 5))
    (folder / "inputs/called.narrowPeak").write_text("".join(lines))
    (folder / "inputs/motifs.meme").write_text(MEME)
    genes = (GTF_LINE.format("chr1", "transcript", 100 * i, 100 * i + 50, "+-"[i % 2], f"E{i}", f"G{i}") for i in range(1, 9))
    (folder / "inputs/genes.gtf").write_text("".join(genes))
    prepared = sz.prepare(
        matrix, genome=folder / "genome/toy.fa", assembly="toy", out=folder / "prepared", split="70/15/15", quiet=True
    )
    sz.train(prepared.folder, out=folder / "run", epochs=1, **TINY)
    return folder


def run(whole, target, tmp_path, n, seconds=0, seed=0):
    name = fuzzing.TARGETS[target][0].split("/")[0]
    shutil.copytree(whole / name, tmp_path / name)
    shutil.copytree(whole / "package", tmp_path / "whole")
    command = [sys.executable, fuzzing.__file__, tmp_path, target, n, seconds, seed]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds + 120)
    assert done.stdout == ""
    assert done.returncode == 0, done.stderr[-1_000:]


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_a_few_damaged_files(whole, target, tmp_path):
    run(whole, target, tmp_path, 25)


# One in some thousand damaged .h5ad files keeps the HDF5 library itself busy without end, before it returns to Python.
@pytest.mark.slow
@pytest.mark.parametrize("target", [target for target in fuzzing.TARGETS if target not in ("h5ad", "h5mu")])
def test_damaged_files_for_a_minute(whole, target, tmp_path):
    run(whole, target, tmp_path, 0, seconds=60, seed=1)
