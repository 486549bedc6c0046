"""The matrices that people have, samples, MuData and multiome, to the prepared peak set: cells, genes and provenance."""

import hashlib
import json
import shutil

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from helpers.tiny_fits import TINY
from scipy import sparse
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.training.dataset import open_prepared


@pytest.fixture
def toy(toy_fasta, tmp_path):
    """Function (matrix, **options): prepare it over the random genome into tmp_path/out, keeping every peak."""

    def run(matrix, **options):
        options = {"length": 300, "flank": 4, "min_cell_fraction": 0, "max_n_fraction": 1, "quiet": True} | options
        return sz.prepare(matrix, **{"genome": toy_fasta, "assembly": "toy", "out": tmp_path / "out"} | options)

    return run


@pytest.fixture
def sample_of(toy_matrix):
    """Function (seed, n_cells): a sample with the peaks of all samples."""

    def make(seed, n_cells=40):
        adata = toy_matrix(n_cells, seed=seed)
        adata.var = toy_matrix().var
        return adata

    return make


def command(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def dense(prepared):
    labels = prepared.labels(np.arange(prepared.n_peaks)).toarray().T.astype(int)
    return pd.DataFrame(labels, index=prepared.cells.index, columns=prepared.peaks["name"])


def multiome(matrix, seed=0):
    """The matrix with a gene before and a gene after its peaks, and the counts of the genes."""
    counts = np.random.default_rng(seed).poisson(2, (matrix.n_obs, 2)).astype(np.float32)
    x = sparse.hstack([counts[:, :1], matrix.X, counts[:, 1:]]).tocsr()
    var = pd.DataFrame(
        {"feature_types": ["Gene Expression", *["Peaks"] * matrix.n_vars, "Gene Expression"]}, index=["G1", *matrix.var_names, "G2"]
    )
    return ad.AnnData(x, obs=matrix.obs, var=var), counts


def peaks_by_name(matrix):
    matrix.var_names = [f"{c}:{s}-{e}" for c, s, e in zip(matrix.var["chr"], matrix.var["start"], matrix.var["end"], strict=True)]
    matrix.var = matrix.var[[]]
    return matrix


def left_in(folder, *allowed):
    return sorted(path.name for path in folder.iterdir() if path.name not in allowed)


def test_samples_on_the_command_line_are_one_matrix(sample_of, toy_fasta, tmp_path):
    first, second = sample_of(0), sample_of(1, n_cells=30)
    second = second[:, np.random.default_rng(0).permutation(60)].copy()
    first.write_h5ad(tmp_path / "a.h5ad")
    second.write_h5ad(tmp_path / "b.h5ad")
    (tmp_path / "cells.csv").write_text(f"barcode,donor\na#{first.obs_names[0]},d1\nb#{second.obs_names[0]},d2\n")
    given = ["--genome", toy_fasta, "--assembly", "toy", "--length", 300, "--min-cell-fraction", 0, "--max-n-fraction", 1]
    words = [tmp_path / "a.h5ad", tmp_path / "b.h5ad", "--samples", "a,b", "--cells-table", tmp_path / "cells.csv"]
    done = command("prepare", *words, *given, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    prepared = open_prepared(tmp_path / "out")
    labels = dense(prepared)
    for sample, matrix in (("a", first), ("b", second)):
        for barcode in matrix.obs_names:
            expected = pd.Series(matrix[barcode].X.toarray()[0] > 0, matrix.var_names)
            assert (labels.loc[f"{sample}#{barcode}"] == expected[labels.columns]).all()
    assert prepared.cells["sample"].tolist() == ["a"] * 40 + ["b"] * 30
    assert prepared.cells["donor"].dropna().to_dict() == {f"a#{first.obs_names[0]}": "d1", f"b#{second.obs_names[0]}": "d2"}


def test_samples_may_be_a_list_or_a_dictionary(toy, toy_matrix, sample_of):
    first, second = toy_matrix(), sample_of(1)
    listed = dense(toy([first, second], samples=["a", "b"]))
    by_sample = toy({"a": first, "b": second}, overwrite=True)
    pd.testing.assert_frame_equal(dense(by_sample), listed)
    assert by_sample.manifest["parameters"]["samples"] == ["a", "b"]
    with pytest.raises(InputError, match="samples is given twice: leave it out"):
        toy({"a": first, "b": second}, samples=["a", "b"], overwrite=True)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (["a", "a"], "samples: two samples are called 'a'"),
        (["a", ""], "samples: '' cannot be the name of a sample"),
        (["a", " "], "samples: ' ' cannot be the name"),
        (["a", "b#c"], "samples: 'b#c' cannot be the name"),
        (["a", "b\n"], r"samples: 'b\\n' cannot be the name"),
        (["a"], r"samples has 1 names \(a\), but there are 2 inputs"),
        ([], "samples has no names, but there are 2 inputs"),
        ([1, 2], r"samples\.0: must be a text; found 1"),
    ],
)
def test_names_of_samples_that_cannot_be_are_refused(toy, toy_matrix, samples, message, tmp_path, sample_of):
    with pytest.raises(InputError, match=message):
        toy([toy_matrix(), sample_of(1)], samples=samples)
    assert left_in(tmp_path) == []


def test_different_peaks_are_refused_and_nothing_is_left(toy, toy_matrix, tmp_path):
    with pytest.raises(InputError, match="The matrices have different peaks: 1 of the 60 peaks of the AnnData of a"):
        toy({"a": toy_matrix(), "b": toy_matrix()[:, :59].copy()})
    assert left_in(tmp_path) == []


def test_the_sample_is_a_batch_key_and_the_card_lists_all_sources(toy, toy_matrix, tmp_path, sample_of):
    for sample in "ab":
        (tmp_path / sample).mkdir()
        sample_of(ord(sample)).write_h5ad(tmp_path / sample / "m.h5ad")
    table = tmp_path / "cells.csv"
    table.write_text("barcode,n\n" + "".join(f"a#{barcode},1\n" for barcode in toy_matrix().obs_names))
    prepared = toy({s: tmp_path / s / "m.h5ad" for s in "ab"}, cells_table=table, split="70/15/15", length=1344, flank=8)
    sources = prepared.manifest["sources"]
    digests = {f"{s}/m.h5ad": hashlib.sha256((tmp_path / s / "m.h5ad").read_bytes()).hexdigest() for s in "ab"}
    assert {name: file["sha256"] for name, file in sources["matrix"]["files"].items()} == digests
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert sources["cells_table"] == {
        "name": "cells.csv",
        "files": {"cells.csv": {"bytes": table.stat().st_size, "sha256": digest}},
    }
    assert prepared.manifest["matrices"] == [{"name": "m.h5ad", "sample": "a"}, {"name": "m.h5ad", "sample": "b"}]
    run = sz.train(prepared.folder, out=tmp_path / "run", epochs=1, batch_key="sample", **TINY)
    package = sz.export(run.folder, out=tmp_path / "package")
    named = {source.name: source.sha256 for source in package.card.training.sources}
    assert named == digests | {"cells.csv": digest, "toy.fa": None}
    assert sz.open_model(package.folder, "cpu").cells["sample"].tolist() == ["a"] * 40 + ["b"] * 40


def test_modality_and_layer_are_recorded(toy, toy_matrix, tmp_path):
    atac = toy_matrix()
    atac.layers["counts"], expected = atac.X.copy(), atac.X.toarray() > 0
    atac.X = atac.X * -1
    with pytest.warns(match="pull"):
        mudata.MuData({"open": atac, "other": toy_matrix()}).write(tmp_path / "m.h5mu")
    done = toy(tmp_path / "m.h5mu", modality="open", layer="counts")
    np.testing.assert_array_equal(dense(done), expected)
    assert done.manifest["matrices"] == [{"name": "m.h5mu", "modality": "open", "layer": "counts"}]
    assert done.manifest["sources"]["matrix"]["name"] == "m.h5mu"
    assert [done.manifest["parameters"][name] for name in ("modality", "layer", "samples")] == ["open", "counts", []]
    with pytest.raises(InputError, match=r"modality open: the value of cell .* read it with layer='counts'"):
        toy(tmp_path / "m.h5mu", modality="open", overwrite=True)


def test_a_manifest_of_the_release_before_opens(toy, toy_matrix):
    folder = toy(toy_matrix()).folder
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["matrices"]
    for name in ("samples", "modality", "layer"):
        del manifest["parameters"][name]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert open_prepared(folder).n_cells == 40


def test_genes_of_the_kept_cells_are_written(toy, toy_matrix, tmp_path):
    peaks = toy_matrix()
    peaks.X[3] = 0
    peaks.X[7, 5:] = 0
    peaks.X.eliminate_zeros()
    adata, counts = multiome(peaks_by_name(peaks))
    prepared = toy(adata, min_peaks_per_cell=6, rna_out=tmp_path / "genes.h5ad")
    genes = ad.read_h5ad(tmp_path / "genes.h5ad")
    assert genes.obs_names.tolist() == prepared.cells.index.tolist()
    kept = [adata.obs_names.get_loc(barcode) for barcode in genes.obs_names]
    assert 3 not in kept
    assert 7 not in kept
    np.testing.assert_array_equal(genes.X.toarray(), counts[kept])
    assert genes.var_names.tolist() == ["G1", "G2"]


def test_genes_of_samples_on_the_command_line(sample_of, toy_fasta, tmp_path):
    counts = {}
    for sample in "ab":
        adata, counts[sample] = multiome(peaks_by_name(sample_of(ord(sample))), seed=ord(sample))
        adata.write_h5ad(tmp_path / f"{sample}.h5ad")
    given = ["--genome", toy_fasta, "--assembly", "toy", "--out", tmp_path / "out", "--rna-out", tmp_path / "genes.h5ad"]
    done = command("prepare", tmp_path / "a.h5ad", tmp_path / "b.h5ad", "--samples", "a", "--samples", "b", *given)
    assert done.exit_code == 0, done.output
    assert f"genes of the same cells in {tmp_path / 'genes.h5ad'}" in done.stdout
    genes = ad.read_h5ad(tmp_path / "genes.h5ad")
    np.testing.assert_array_equal(genes.X.toarray(), np.vstack([counts["a"], counts["b"]]))
    assert genes.obs_names.tolist() == open_prepared(tmp_path / "out").cells.index.tolist()


def test_cells_without_genes_are_left_out_of_them_with_a_line(toy, toy_matrix, tmp_path, capsys):
    atac = toy_matrix()
    rna = ad.AnnData(np.ones((10, 3), dtype=np.float32), obs=pd.DataFrame(index=atac.obs_names[10:20][::-1]))
    with pytest.warns(match="pull"):
        data = mudata.MuData({"atac": atac, "rna": rna})
    prepared = toy(data, rna_out=tmp_path / "genes.h5ad")
    assert ad.read_h5ad(tmp_path / "genes.h5ad").obs_names.tolist() == prepared.cells.index[10:20].tolist()
    assert "30 of 40 kept cells have no gene expression; they are left out of it." in capsys.readouterr().err
    rna.obs_names = [f"x{i}" for i in range(10)]
    with pytest.warns(match="pull"), pytest.raises(InputError, match="none of the kept cells has gene expression"):
        toy(mudata.MuData({"atac": atac, "rna": rna}), rna_out=tmp_path / "none.h5ad", out=tmp_path / "none")
    assert left_in(tmp_path, "out", "genes.h5ad") == []


def test_neither_genes_nor_peaks_stay_if_the_other_fails(toy, toy_matrix, tmp_path):
    adata, _ = multiome(peaks_by_name(toy_matrix()))
    adata.X[1, 61] = np.nan
    with pytest.raises(InputError, match="is nan; expected counts"):
        toy(adata, rna_out=tmp_path / "genes.h5ad")
    with pytest.raises(InputError, match="None of the 60 peaks"):
        toy(multiome(peaks_by_name(toy_matrix()))[0], rna_out=tmp_path / "genes.h5ad", min_cell_fraction=1)
    assert left_in(tmp_path) == []


def test_genes_are_refused_early_where_there_are_none_or_they_cannot_be_written(toy, toy_matrix, tmp_path):
    path = tmp_path / "m.h5ad"
    multiome(peaks_by_name(toy_matrix()))[0].write_h5ad(path)
    whole = path.read_bytes()
    (tmp_path / "there.h5ad").write_bytes(b"")
    for matrix, options, message in (
        (toy_matrix(), {"rna_out": tmp_path / "g.h5ad"}, "the AnnData has no gene expression. Expected features of the type"),
        (path, {"rna_out": tmp_path / "g.csv"}, r"rna_out must be an \.h5ad file; found .*g\.csv"),
        (path, {"rna_out": path}, "m.h5ad already exists"),
        (path, {"rna_out": path, "overwrite": True}, "is or contains the input"),
        (path, {"rna_out": tmp_path / "out" / "g.h5ad"}, "rna_out: .* is in .*out, which holds the prepared peaks alone"),
        (path, {"rna_out": tmp_path / "out.h5ad", "out": tmp_path / "out.h5ad"}, "rna_out: .* is in .*out"),
        (path, {"rna_out": tmp_path / "there.h5ad"}, "there.h5ad already exists"),
    ):
        with pytest.raises(InputError, match=message):
            toy(matrix, **options)
        assert left_in(tmp_path, "m.h5ad", "there.h5ad", "out") == []
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert path.read_bytes() == whole


def test_no_input_is_overwritten(toy, toy_matrix, tmp_path, sample_of):
    folder = tmp_path / "out"
    folder.mkdir()
    for sample in "ab":
        sample_of(ord(sample)).write_h5ad(folder / f"{sample}.h5ad")
    (folder / "cells.csv").write_text("barcode,n\ncell0,1\n")
    for options in (
        {"matrix": {"a": folder / "a.h5ad", "b": folder / "b.h5ad"}},
        {"matrix": [toy_matrix(), folder / "b.h5ad"], "samples": ["a", "b"]},
        {"matrix": ad.read_h5ad(folder / "a.h5ad", backed="r")},
        {"matrix": toy_matrix(), "cells_table": folder / "cells.csv"},
    ):
        with pytest.raises(InputError, match="out is or contains the input"):
            toy(**options, overwrite=True)
    assert left_in(folder) == ["a.h5ad", "b.h5ad", "cells.csv"]


def test_a_backed_matrix_is_recorded_by_the_name_of_its_file(toy, toy_matrix, tmp_path):
    toy_matrix().write_h5ad(tmp_path / "m.h5ad")
    assert toy(ad.read_h5ad(tmp_path / "m.h5ad", backed="r")).manifest["matrices"] == [{"name": "m.h5ad"}]
