"""Predictions and analyses are the same for a genome whose chromosomes have other names than those of the peaks."""

import gzip
import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers import toy
from helpers.gtf import GTF_LINE
from helpers.twobit import write_twobit

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.genome import Genome

NAMES = {"chr1": "1", "chr2": "2"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("names") / "toy", n_cells=12).folder, "cpu")


@pytest.fixture(scope="module")
def genomes(tmp_path_factory):
    """The genome with UCSC's names as FASTA, with Ensembl's names as .2bit, and the latter with one base less."""
    folder = tmp_path_factory.mktemp("genomes")
    ucsc = toy.toy_genome(folder / "ucsc.fa")
    letters = {NAMES[name]: decode(Genome(ucsc).codes(name, 0, size)) for name, size in toy.CHROMOSOME_SIZES.items()}
    other = write_twobit(folder / "ensembl.2bit", letters)
    return ucsc, other


@pytest.fixture
def peaks():
    return toy.toy_peaks(20, seed=3)[["chrom", "start", "end"]]


def test_predictions(model, genomes, peaks, tmp_path, capsys):
    ucsc, ensembl = genomes
    expected = model.predict(peaks, ucsc)
    capsys.readouterr()
    found = model.predict(peaks, ensembl)
    assert "peaks name chromosomes as UCSC does, ensembl.2bit as Ensembl does: chr1 is 1, chr2 is 2" in capsys.readouterr().err
    np.testing.assert_array_equal(found.X, expected.X)
    assert found.var["chrom"].tolist() == peaks["chrom"].tolist()
    assert found.uns["scbasset_zoo"]["chromosome_names"] == NAMES
    assert "chromosome_names" not in expected.uns["scbasset_zoo"]
    sz.predict(model, peaks=peaks, genome=ensembl, out=tmp_path / "p.h5ad")
    assert ad.read_h5ad(tmp_path / "p.h5ad").uns["scbasset_zoo"]["chromosome_names"] == NAMES


def test_peaks_with_other_names_than_the_model(model, genomes, peaks):
    others = peaks.assign(chrom=peaks["chrom"].map(NAMES))
    np.testing.assert_array_equal(model.predict(others, genomes[0]).X, model.predict(peaks, genomes[0]).X)


def test_nothing_is_renamed_if_the_length_differs(model, genomes, peaks, tmp_path):
    letters = {
        name: decode(Genome(genomes[1]).codes(name, 0, size - 1)) for name, size in Genome(genomes[1]).chromosome_sizes.items()
    }
    with pytest.raises(InputError, match='"chr1" on one side and "1" in the FASTA'):
        model.predict(peaks, write_twobit(tmp_path / "short.2bit", letters), force=True)


def test_gene_scores_with_a_gtf_of_other_names(model, genomes, peaks, tmp_path, capsys):
    ucsc, ensembl = genomes
    scores = {}
    for name, naming in (("ucsc", {}), ("ensembl", NAMES)):
        lines = [
            GTF_LINE.format(naming.get(chrom, chrom), "gene", start + 1, start + 900, "+", f"G{i}", f"N{i}")
            for i, (chrom, start) in enumerate(zip(peaks["chrom"], peaks["start"], strict=True))
        ]
        gtf = tmp_path / f"{name}.gtf.gz"
        gtf.write_bytes(gzip.compress("".join(lines).encode()))
        for genome in (ucsc, ensembl):
            scores[name, genome] = sz.run("denoise", model, genome=genome, peaks=peaks, gtf=gtf, columns="genes", quiet=True)
    expected = scores["ucsc", ucsc]
    assert expected.n_vars == 20
    for result in scores.values():
        np.testing.assert_array_equal(result.X, expected.X)
        pd.testing.assert_frame_equal(result.var, expected.var)
    assert "the GTF names chromosomes otherwise than the peaks: 1 is chr1; 2 chromosomes" in capsys.readouterr().err
    assert json.loads(scores["ucsc", ensembl].uns["scbasset_zoo"]["chromosome_names"]) == NAMES


def test_counts_whose_peaks_have_other_names(model, genomes, peaks):
    counts = ad.AnnData(
        np.random.default_rng(0).integers(0, 2, (12, 20)).astype(np.float32),
        obs=pd.DataFrame(index=model.cells.index),
        var=peaks.assign(chrom=peaks["chrom"].map(NAMES)).set_axis([f"p{i}" for i in range(20)]),
    )
    same = counts.copy()
    same.var["chrom"] = peaks["chrom"].to_numpy()
    results = [
        sz.run("denoise", model, genome=genomes[0], peaks=peaks, counts=each, group_by="cell_type", quiet=True)
        for each in (counts, same)
    ]
    np.testing.assert_array_equal(results[0].X, results[1].X)


def test_motif_insertion_into_training_peaks(model, genomes, tmp_path):
    meme = tmp_path / "m.meme"
    meme.write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 FOO\nletter-probability matrix: alength= 4 w= 5\n" + "0.9 0.1 0 0\n" * 5
    )
    options = {"motifs": str(meme), "n_backgrounds": 3, "n_shuffles": 0, "quiet": True}
    results = [sz.run("motif-insertion", model, genome=genome, **options) for genome in genomes]
    np.testing.assert_array_equal(results[0].X, results[1].X)
