"""Real experiments: prepare, train, export, predict, and every analysis."""

import anndata as ad
import numpy as np
import pytest
from helpers.rounding import ROUNDING

import scbasset_zoo as sz


@pytest.fixture(scope="module")
def prepared(shared_data, hg19_fasta, tmp_path_factory):
    return sz.prepare(
        shared_data / "buenrostro2018_bm0828.h5ad", genome=hg19_fasta, assembly="hg19", max_n_fraction=0, quiet=True,
        out=tmp_path_factory.mktemp("bm0828") / "prepared",
    )  # fmt: skip


FIT = {"epochs": 2, "width": 0.06, "batch_size": 32, "quiet": True}


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    return sz.train(prepared.folder, out=tmp_path_factory.mktemp("runs") / "plain", **FIT)


@pytest.fixture(scope="module")
def package(run, tmp_path_factory):
    return sz.export(run.folder, out=tmp_path_factory.mktemp("packages") / "plain")


def test_bm0828_prepares_trains_exports_and_predicts(prepared, run, package, shared_data, hg19_fasta):
    assert (prepared.n_cells, prepared.n_peaks) == (533, 1421)
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]
    assert package.verify() == []
    assert package.card.genome.chromosome_sizes["chr20"] == 63_025_520
    model = sz.open_model(package.folder, device="cpu")
    matrix = ad.read_h5ad(shared_data / "buenrostro2018_bm0828.h5ad")
    peaks = matrix.var.loc[prepared.peaks["name"]]
    predicted = model.predict(peaks, hg19_fasta)
    assert predicted.shape == (533, 1421)
    assert predicted.obs["cell_type"].astype(str).tolist() == matrix.obs["cell_type"].astype(str).tolist()
    codes = prepared.sequences[:5, prepared.flank : -prepared.flank]
    np.testing.assert_allclose(predicted.X[:, :5], model.accessibility(codes).T, atol=ROUNDING)
    by_type = model.predict(peaks[:40], hg19_fasta, output="logits", group_by="cell_type")
    cell_type = matrix.obs["cell_type"].astype(str).to_numpy()
    logits = model.predict(peaks[:40], hg19_fasta, output="logits").X
    for name in by_type.obs_names:
        np.testing.assert_allclose(by_type[name].X[0], logits[cell_type == name].mean(axis=0), atol=ROUNDING)


def test_every_analysis_runs_on_bm0828(prepared, package, shared_data, hg19_fasta, tmp_path):
    """The fits are short, so only the files are checked. There is one donor, so every other cell gets the batch "b"."""
    counts = ad.read_h5ad(shared_data / "buenrostro2018_bm0828.h5ad")[:, prepared.peaks["name"]].to_memory()
    counts.obs["lane"] = np.resize(["a", "b"], counts.n_obs)
    most_open = np.argsort(-np.asarray((counts.X > 0).sum(axis=0)).ravel(), kind="stable")[:400]
    some, out = counts[:, np.sort(most_open)].copy(), tmp_path / "prepared"
    sz.prepare(some, genome=hg19_fasta, assembly="hg19", out=out, max_n_fraction=0, quiet=True)
    sz.train(out, out=tmp_path / "run", batch_key="lane", l2_cell=1e-5, **FIT)
    sz.export(tmp_path / "run", out=tmp_path / "corrected")
    plain = package.folder
    # All motifs of CIS-BP are used where motif-insertion and ism are tested.
    motifs = {
        "motifs": str(shared_data / "motifs" / "cisbp_1.02_homo_sapiens.meme"),
        "motif_names": ["GATA1", "SPI1", "CEBPA", "EBF1", "TCF3", "KLF1"],
    }
    regions = {"genome": hg19_fasta, "region_names": list(prepared.peaks["name"][:2])}
    analyses = {
        "embedding": (plain, ".h5ad", {"group_by": "cell_type"}),
        "denoise": (plain, ".h5ad", {"genome": hg19_fasta, "counts": counts, "group_by": "cell_type"}),
        "motif-insertion": (plain, ".h5ad", {"genome": hg19_fasta, **motifs, "n_backgrounds": 4, "n_shuffles": 5}),
        "ism": (plain, ".nc", {**regions, **motifs, "group_by": "cell_type", "n_controls": 5}),
        "batch-correction": (tmp_path / "corrected", ".h5ad", {"plain": plain, "counts": counts, "group_by": "cell_type"}),
    }
    for name, (model, suffix, options) in analyses.items():
        outputs = {"out": tmp_path / f"{name}{suffix}", "plot": tmp_path / f"{name}-figures", "report": tmp_path / f"{name}.html"}
        sz.run(name, model, device="cpu", quiet=True, **outputs, **options)
        assert all(path.exists() for path in outputs.values())
        assert list(outputs["plot"].glob("*.png"))


def test_scicar_prepares_although_its_values_are_not_counts(shared_data, hg19_fasta, tmp_path):
    prepared = sz.prepare(
        shared_data / "scicar_a549.h5ad",
        genome=hg19_fasta,
        assembly="hg19",
        out=tmp_path / "prepared",
        min_cell_fraction=0,
        quiet=True,
    )
    matrix = ad.read_h5ad(shared_data / "scicar_a549.h5ad")[:, prepared.peaks["name"]]
    expected = (matrix.X.toarray() > 0).T
    labels = prepared.labels(np.arange(prepared.n_peaks)).toarray() > 0
    np.testing.assert_array_equal(labels, expected)
    assert "chrhs37d5" in prepared.manifest["left_out"]["peaks"]["not in the FASTA"]
