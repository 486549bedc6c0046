"""Model: predictions of peaks and effects of mutations are those of the whole network in plain ONNX Runtime."""

import copy
import pickle

import numpy as np
import pytest
from helpers import toy
from helpers.plain_network import naive_windows, whole_network
from helpers.rounding import ROUNDING

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.zoo.models import open_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy").folder


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.mark.parametrize("output", ["accessibility", "logits"])
def test_predict_is_the_whole_network_on_naively_cut_windows(model, folder, genome, output):
    peaks = toy.toy_peaks()
    windows = naive_windows(genome, peaks)
    assert "N" in windows[0]
    assert "N" in windows[-1]
    result = model.predict(peaks, genome, output=output)
    np.testing.assert_allclose(result.X, whole_network(folder, windows)[output].T, atol=ROUNDING)
    assert result.shape == (7, 12)
    assert result.obs_names.tolist() == model.cells.index.tolist()
    assert result.obs["cell_type"].tolist() == model.cells["cell_type"].tolist()
    assert result.var_names[0] == "chr1:10-510"
    assert (result.var[["chrom", "start", "end"]].to_numpy() == peaks[["chrom", "start", "end"]].to_numpy()).all()


def test_predict_keeps_provenance(model, folder, genome):
    provenance = model.predict(["chr1:100-600"], genome, average_strands=True).uns["scbasset_zoo"]
    assert provenance["model_id"] == "scbasset/toy"
    assert provenance["model_version"] == "1.0.0"
    assert provenance["card_sha256"] == model.card_sha256
    assert provenance["average_strands"] is True
    assert provenance["output"] == "accessibility"


def test_a_genome_of_another_assembly_is_refused(model, tmp_path):
    other = tmp_path / "other.fa"
    other.write_text(">chr1\n" + "ACGT" * 5_100 + "\n>chr2\n" + "ACGT" * 2_250 + "\n")
    with pytest.raises(InputError, match=r"chr1 is 20,400 bp; the model was trained on toy1, where it has 20,000"):
        model.predict(["chr2:100-600"], other)


def test_a_forced_genome_of_another_assembly_is_used_with_a_line(model, tmp_path, capsys):
    (tmp_path / "other.fa").write_text(">contig\n" + "ACGT" * 5_000 + "\n")
    with pytest.raises(InputError, match="other.fa: this genome has no chromosome of toy1. It has contig; expected are chr1, chr2"):
        model.predict(["contig:100-600"], tmp_path / "other.fa")
    assert model.predict(["contig:100-600"], tmp_path / "other.fa", force=True).n_vars == 1
    assert "It is used all the same, because of force=True" in capsys.readouterr().err


def test_a_genome_that_shares_no_chromosome_with_the_card_is_known_by_its_assembly(tmp_path):
    genome = {"assembly": "hg19", "naming": "ucsc", "chromosome_sizes": {"chr20": 63_025_520}}
    package = toy.toy_package(tmp_path / "hg19", genome=genome)
    (tmp_path / "hg38.fa").write_text(">chr21\n" + "ACGT" * 500 + "\n")
    with pytest.raises(InputError, match=r"chr21 is 2,000 bp; the model was trained on hg19, where it has 48,129,895"):
        open_model(package.folder, "cpu").predict(["chr21:100-600"], tmp_path / "hg38.fa")


def test_unusable_options_are_refused(model, genome):
    for options, message in (
        ({"output": "probability"}, "output: must be 'accessibility', 'logits' or 'peak_embedding'; found 'probability'"),
        ({"group_by": "tissue"}, "group_by='tissue': the cells have no such column. Columns: cell_type, batch"),
        ({"cells": ["nobody"]}, "no cell nobody"),
    ):
        with pytest.raises(InputError, match=message):
            model.predict(["chr1:100-600"], genome, **options)
    with pytest.raises(InputError, match="need a genome"):
        model.predict(["chr1:100-600"])


def test_edits_and_saturation_mutagenesis_are_full_passes_of_the_edited_sequences(folder):
    model = open_model(folder, device="cpu")
    (reference,) = toy.random_sequences(1, seed=9)
    starts = [0, 700, 1340]
    edited = [reference[:s] + "ACGN" + reference[s + 4 :] for s in starts]
    np.testing.assert_allclose(model.mutate(reference, starts, "ACGN", quiet=True), model.embed(edited), atol=ROUNDING)
    changes = model.saturation_mutagenesis(reference, quiet=True)
    assert changes.shape == (1, 1344, 4, model.cell_embedding.shape[1])
    for position, base in [(0, "A"), (671, "C"), (1343, "T"), (500, reference[500])]:
        mutated = reference[:position] + base + reference[position + 1 :]
        expected = model.embed(mutated)[0] - model.embed(reference)[0]
        np.testing.assert_allclose(changes[0, position, "ACGT".index(base)], expected, atol=ROUNDING)


@pytest.mark.parametrize("copied", [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_copy_for_another_process_gives_the_same_numbers(model, copied):
    sequences = toy.random_sequences(2)
    other = copied(model)
    assert type(other) is type(model)
    np.testing.assert_allclose(other.embed(sequences), model.embed(sequences), atol=ROUNDING)


def test_a_pickled_model_whose_package_changed_is_not_opened(tmp_path):
    pickled = pickle.dumps(open_model(toy.toy_package(tmp_path / "toy").folder, "cpu"))
    toy.toy_package(tmp_path / "toy", seed=1, overwrite=True)
    with pytest.raises(PackageError, match="its card has changed"):
        pickle.loads(pickled)
