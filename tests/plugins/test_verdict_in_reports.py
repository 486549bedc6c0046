"""The report of each built-in analysis says what the model learnt before it shows figures and tables."""

import pytest
from helpers import toy

import scbasset_zoo as sz

STATEMENTS = {
    "sequence": "The model learnt sequence & more.",
    "depth": "The model is no better than depth & less.",
    "nothing": "The model is no better than chance & nothing.",
}
MEME = "MEME version 4\n\nMOTIF M one\nletter-probability matrix: w= 8\n" + "0.9 0.1 0 0\n" * 8


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verdicts")
    opened = {}
    for learnt, statement in STATEMENTS.items():
        verdict = {"learnt": learnt, "split": "test", "p_sequence": 0.5, "p_cells": 0.5, "p_depth": 0.5, "statement": statement}
        package = toy.toy_corrected_package(folder / learnt, n_cells=60, verdict=verdict)
        opened[learnt] = sz.open_model(package.folder, "cpu")
    return opened


@pytest.mark.parametrize("analysis", ["embedding", "denoise", "motif-insertion", "ism", "batch-correction"])
def test_the_verdict_comes_first(analysis, models, tmp_path, capsys):
    genome = toy.toy_genome(tmp_path / "toy.fa")
    (tmp_path / "m.meme").write_text(MEME)
    options = {
        "embedding": {"umap": False},
        "denoise": {"genome": genome, "peaks": ["chr1:100-600", "chr2:5000-5500"]},
        "motif-insertion": {"genome": genome, "motifs": tmp_path / "m.meme", "n_backgrounds": 5, "n_shuffles": 0},
        "ism": {"sequences": toy.random_sequences(1), "group_by": "cell_type", "n_controls": 0},
        "batch-correction": {"umap": False},
    }[analysis]
    for learnt, model in models.items():
        capsys.readouterr()
        sz.run(analysis, model, report=tmp_path / f"{learnt}.html", quiet=True, **options)
        said = capsys.readouterr().err
        assert [other for other in STATEMENTS.values() if other in said] == [STATEMENTS[learnt]] * (learnt != "sequence")
        page = (tmp_path / f"{learnt}.html").read_text()
        shown = {name: page.find(statement.replace("&", "&amp;")) for name, statement in STATEMENTS.items()}
        assert [name for name, place in shown.items() if place >= 0] == [learnt]
        first = min(place for tag in ("<img", "<table") if (place := page.find(tag)) >= 0)
        assert shown[learnt] < first
