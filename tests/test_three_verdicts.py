"""Three models, at chance, of depth alone and of sequence, each with the right verdict from training to the reports."""

import json
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.training.run_folder import open_run

VERDICTS = {
    "nothing": "The model is no better than chance",
    "depth": "The model is no better than depth",
    "sequence": "The model learnt sequence",
}
N_CELLS, N_PEAKS, PEAK_WIDTH, SPACING = 60, 400, 200, 400
# AP-1 and GATA: the same number of G and C, so that the content of G and C tells nothing.
MOTIFS = ("ATGAGTCATC", "AGATAAGAGC")
N_SITES = 6
TINY = ["--width", "0.12", "--embedding-size", "8", "--batch-size", "16", "--precision", "float32", "--batch-key", "batch"]
# The intercepts of the cells need some hundred steps to follow depth.
N_EPOCHS = {"nothing": 2, "depth": 6, "sequence": 5}
REGIONS = [f"chr1:{peak * SPACING + 100}-{peak * SPACING + 100 + PEAK_WIDTH}" for peak in range(3)]
ANALYSES = {
    "embedding": {"group_by": "cell_type", "umap": False},
    "denoise": {"peaks": REGIONS, "group_by": "cell_type"},
    "motif-insertion": {"n_backgrounds": 5, "n_shuffles": 5},
    "ism": {"region_names": REGIONS, "group_by": "cell_type", "n_controls": 3},
    "batch-correction": {"group_by": "cell_type", "umap": False},
}


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A random genome. Each peak has six sites of one of two motifs, in turn."""
    rng = np.random.default_rng(0)
    bases = rng.choice(list("ACGT"), N_PEAKS * SPACING)
    for peak in range(N_PEAKS):
        for site in range(N_SITES):
            start = peak * SPACING + 106 + 30 * site + rng.integers(20)
            bases[start : start + 10] = list(MOTIFS[peak % 2])
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text(f">chr1\n{''.join(bases)}\n")
    return path


@pytest.fixture(scope="module", params=VERDICTS)
def fitted(request, genome, tmp_path_factory):
    """What a model learnt, the folder of its run and package, and what `train` and `export` said."""
    folder, learnt = tmp_path_factory.mktemp(request.param), request.param
    start = np.arange(N_PEAKS) * SPACING + 100
    peaks = pd.DataFrame({"chr": "chr1", "start": start, "end": start + PEAK_WIDTH}, index=[f"peak-{i}" for i in range(N_PEAKS)])
    cells = pd.DataFrame(
        {"cell_type": np.resize(["a", "b"], N_CELLS), "batch": np.resize(["x", "x", "y", "y"], N_CELLS)},
        index=[f"cell-{i}" for i in range(N_CELLS)],
    )
    counts = ad.AnnData(sparse.csr_matrix(labels(learnt).astype(np.float32)), obs=cells, var=peaks)
    prepared = folder / "prepared"
    sz.prepare(counts, genome=genome, assembly="toy", out=prepared, length=192, split="50/25/25", quiet=True)
    trained = said("train", prepared, "--out", folder / "run", "--epochs", N_EPOCHS[learnt], *TINY)
    return learnt, folder, trained, said("export", folder / "run", "--out", folder / "package")


def labels(learnt):
    """Return cells x peaks: open in 30% of the peaks of each cell, as often as a cell is deep, or by the motif of its type."""
    rng = np.random.default_rng(1)
    cells, peaks = np.arange(N_CELLS)[:, None], np.arange(N_PEAKS)
    if learnt == "nothing":
        return rng.permuted(np.tile(peaks < 0.3 * N_PEAKS, (N_CELLS, 1)), axis=1)
    depth = rng.permuted(np.linspace(0.1, 0.9, N_CELLS))[:, None]
    return rng.random((N_CELLS, N_PEAKS)) < (depth if learnt == "depth" else np.where(cells % 2 == peaks % 2, 0.7, 0.1))


def said(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "1000"})
    assert done.exit_code == 0, done.output
    return done.stdout


def verdicts_in(text):
    return [learnt for learnt, statement in VERDICTS.items() if statement in text]


def test_training_export_card_readme_and_info_give_the_verdict(fitted):
    learnt, folder, trained, exported = fitted
    run, card = open_run(folder / "run"), sz.open_model(folder / "package", "cpu").card
    assert (run.verdict["learnt"], run.verdict["split"]) == (learnt, "validation")
    assert (card.verdict.learnt, card.verdict.split) == (learnt, "test")
    assert run.verdict["statement"] in trained
    assert all("chance" in row.baselines for row in card.evaluation)
    assert ("Train on before you use it" in trained) == (learnt != "sequence")
    if learnt != "sequence":
        epochs = int(re.search(r"--resume --epochs (\d+)\.", trained)[1])
        n_train = json.loads((folder / "prepared" / "manifest.json").read_text())["splits"]["train"]
        assert epochs >= 2 * len(run.history)
        assert epochs * n_train / int(TINY[TINY.index("--batch-size") + 1]) >= 290
    texts = [trained, exported, (folder / "package/README.md").read_text(), said("info", folder / "package")]
    assert [verdicts_in(text) for text in texts] == [[learnt]] * 4
    assert [card.verdict.statement in text for text in texts[1:]] == [True] * 3


@pytest.mark.parametrize("analysis", ANALYSES)
def test_reports_give_the_verdict_before_figures_and_tables(analysis, fitted, genome, tmp_path, capsys):
    learnt, folder, *_ = fitted
    options = dict(ANALYSES[analysis])
    if analysis in ("denoise", "motif-insertion", "ism"):
        options["genome"] = genome
    if analysis == "motif-insertion":
        options["motifs"] = meme_file(tmp_path / "motifs.meme")
    sz.run(analysis, folder / "package", report=tmp_path / "report.html", quiet=True, **options)
    console, page = capsys.readouterr().err, (tmp_path / "report.html").read_text()
    assert verdicts_in(console) == [learnt] * (learnt != "sequence")
    assert verdicts_in(page) == [learnt]
    assert page.find(VERDICTS[learnt]) < min(place for tag in ("<img", "<table") if (place := page.find(tag)) >= 0)
    if analysis == "ism":
        no_evidence = "is no evidence, because the model learnt nothing about sequence"
        assert [no_evidence in text for text in (console, page)] == [learnt != "sequence"] * 2


def meme_file(path):
    lines = ["MEME version 4"]
    for motif in MOTIFS:
        lines += ["", f"MOTIF {motif}", "letter-probability matrix:"]
        lines += [" ".join("0.97" if base == letter else "0.01" for base in "ACGT") for letter in motif]
    path.write_text("\n".join(lines) + "\n")
    return path
