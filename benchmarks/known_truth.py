"""What the analyses recover of simulated experiments whose truth is known, with fitted models; writes tables and figures of docs/.

Run `python -m benchmarks.known_truth FOLDER` from the repository's root; it takes about an hour on two cores. Data and models
stay in FOLDER, and are not made again where they are there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import scbasset_zoo as sz
from benchmarks.table import DOCUMENT, markdown, write_section
from scbasset_zoo.plugin_manager import analyses
from scbasset_zoo.simulation.experiment import Simulation, load_simulation

DOCS = DOCUMENT.parent
N_REGIONS = 100
CONSTANT = 0.15  # a factor whose activity varies less between cells tells them not apart
QUIET: dict[str, Any] = {"device": "cpu", "quiet": True}


@dataclass(frozen=True)
class Experiment:
    """A simulation, and how a model is fitted to it."""

    name: str
    simulated: dict[str, Any]
    trained: dict[str, Any] = field(default_factory=dict)

    def simulation(self, folder: Path) -> Simulation:
        """The data, made if they are not there."""
        where = folder / self.name / "simulated"
        return load_simulation(where) if where.exists() else sz.simulate(where, **self.simulated)

    def model(self, folder: Path, name: str = "model", **trained: Any) -> Any:
        """A fitted model, made if it is not there."""
        simulation, home = self.simulation(folder), folder / self.name
        if not (home / name).exists():
            if not (home / "prepared").exists():
                sz.prepare(simulation.matrix, fasta=simulation.fasta, assembly="simulated", out=home / "prepared")
            run = home / f"run_{name}"
            sz.train(home / "prepared", out=run, resume=run.exists(), **self.trained | trained)
            sz.export(run, out=home / name, about="examples/demo.yaml")
        return sz.open_model(home / name, device="cpu")


BLOOD = Experiment(
    "blood",
    {"n_cells": 600, "n_peaks": 8_000, "density": 0.2, "signal": 1.5},
    {"width": 0.25, "batch_size": 32, "learning_rate": 0.003, "epochs": 60},
)
BATCHES = Experiment(
    "batches",
    {"n_cells": 400, "n_peaks": 4_000, "density": 0.15, "signal": 1.5, "n_batches": 2},
    {"width": 0.25, "batch_size": 32, "epochs": 24},
)
PENALTIES = (0.0, 1e-6, 1e-5)


def main() -> None:
    """Fit, analyse, compare with the truth, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    truth, model = BLOOD.simulation(folder), BLOOD.model(folder)
    for section in (embedding, denoise, motif_insertion, ism):
        section(truth, model)
    batch_correction(folder)


def embedding(truth: Simulation, model: Any) -> None:
    """Cell types in the embedding."""
    result = sz.run("embedding", model, label="cell_type", **QUIET)
    _save("embedding", _figure("embedding", result, "umap_labels"))
    rows = [(name, f"{score:.3f}") for name, score in result.uns["metrics"]["score"].items()]
    _write("embedding", truth, model, markdown(("score", ""), rows))


def denoise(truth: Simulation, model: Any) -> None:
    """Counts and denoised values against the labels, and against the true logits without depth."""
    result = sz.run("denoise", model, genome=truth.fasta, counts=truth.matrix, label="cell_type", **QUIET)
    _save("denoise", _figure("denoise", result, "heat_map"))
    rows = [(name, f"{row.counts:.3f}", f"{row.denoised:.3f}") for name, row in result.uns["metrics"].iterrows()]
    rows.append(("correlation with the truth over cells, mean over peaks", *correlations_with_truth(truth, result)))
    _write("denoise", truth, model, markdown(("", "counts", "denoised"), rows))


def correlations_with_truth(truth: Simulation, result: ad.AnnData) -> tuple[str, str]:
    """Pearson correlation of each peak's counts, and denoised values, with its true effect of sequence, over cells; means."""
    effect = truth.activities.loc[result.obs_names].to_numpy() @ truth.strengths.loc[result.var_names].to_numpy().T
    counts = ad.read_h5ad(truth.matrix)[result.obs_names, result.var_names].X.toarray()
    both = (counts, np.asarray(result.X))
    means = [np.nanmean([np.corrcoef(seen, true)[0, 1] for seen, true in zip(x.T, effect.T, strict=True)]) for x in both]
    return f"{means[0]:.3f}", f"{means[1]:.3f}"


def motif_insertion(truth: Simulation, model: Any) -> None:
    """Activity of each factor against the true one."""
    result = sz.run("motif-insertion", model, motifs=str(truth.folder / "motifs.meme"), genome=truth.fasta, **QUIET)
    _save("motif-insertion", _figure("motif-insertion", result, "factors_by_group"))
    rows = [
        (factor, kind, f"{activity.std():.2f}", "" if r is None else f"{r:.2f}", f"{effect:.3f}", f"{deviation:.3f}")
        for factor, kind, activity, r, effect, deviation in recovered_factors(truth, result)
    ]
    header = ("factor", "truth", "true activity, deviation", "r with it", "mean score", "deviation of the score")
    _write("motif-insertion", truth, model, markdown(header, rows))


def recovered_factors(truth: Simulation, result: ad.AnnData) -> list[tuple[str, str, NDArray[Any], float | None, float, float]]:
    """Factor, kind, true activity, correlation with it where it varies, mean and deviation of the raw score; by kind."""
    rows = []
    for position, factor in enumerate(result.var["tf"]):
        activity = truth.activities.loc[result.obs_names, factor].to_numpy()
        varies = activity.std() > CONSTANT
        kind = "differs between types" if varies else "in all cells" if truth.tfs["active"][factor] else "inactive"
        r = float(np.corrcoef(np.asarray(result.X[:, position]), activity)[0, 1]) if varies else None
        rows.append(
            (factor, kind, activity, r, float(result.var["mean"].iloc[position]), float(result.var["deviation"].iloc[position]))
        )
    kinds = ["differs between types", "in all cells", "inactive"]
    return sorted(rows, key=lambda row: (kinds.index(row[1]), -row[2].std()))


def ism(truth: Simulation, model: Any) -> None:
    """Importance of bases inside and outside of planted motifs."""
    regions = list(truth.peaks.index[:N_REGIONS])
    result = sz.run(
        "ism", model, names=regions, genome=truth.fasta, group_by="cell_type", motifs=str(truth.folder / "motifs.meme"), **QUIET
    )
    figures = analyses()["ism"]().plot(result)
    _save("ism", figures[sorted(figures)[0]])
    rows = [(group, f"{auroc:.3f}") for group, auroc in importance_in_motifs(truth, result).items()]
    _write("ism", truth, model, markdown(("cells", "AUROC of a base's importance for lying in a planted motif"), rows))


def importance_in_motifs(truth: Simulation, result: Any) -> dict[str, float]:
    """AUROC of |importance| for bases of planted motifs of factors that are active in each type, over all bases."""
    importance = np.abs(result["importance"].to_numpy())
    first = dict(zip(result["region"].to_numpy(), result["window_start"].to_numpy(), strict=True))
    numbers = {name: number for number, name in enumerate(first)}
    sites = truth.motif_sites[truth.motif_sites["peak"].isin(list(first))]

    def inside(factors: list[str]) -> NDArray[np.bool_]:
        found = np.zeros(importance.shape[:2], dtype=bool)
        for site in sites[sites["tf"].isin(factors)].itertuples():
            found[numbers[site.peak], site.start - first[site.peak] : site.end - first[site.peak]] = True
        return found

    scores = {}
    for number, group in enumerate(result["group"].to_numpy()):
        activity = truth.type_activities.loc[group]
        scores[str(group)] = float(
            roc_auc_score(inside(list(activity.index[activity > 0])).ravel(), importance[..., number].ravel())
        )
    active = list(truth.tfs.index[truth.tfs["active"]])
    return {"all types, mean": float(roc_auc_score(inside(active).ravel(), importance.mean(axis=2).ravel()))} | scores


def batch_correction(folder: Path) -> None:
    """Mixing of batches against cell types kept, over a sweep of the penalty."""
    truth, plain = BATCHES.simulation(folder), BATCHES.model(folder)
    corrected = [BATCHES.model(folder, f"bc_{penalty:g}", batch_key="batch", l2_cell=penalty) for penalty in PENALTIES]
    result = sz.run(
        "batch-correction", corrected[0], models=corrected[1:], plain=plain, counts=truth.matrix, label="cell_type", **QUIET
    )
    _save("batch-correction", _figure("batch-correction", result, "trade_off"))
    shown = ["iLISI", "iLISI, rescaled", "kBET acceptance", "label score at 10", "label score at 50", "cell-type ASW"]
    table = result.uns["comparison"]
    rows = [
        (name, *(f"{value:.2f}" for value in scores)) for name, scores in zip(table.index, table[shown].to_numpy(), strict=True)
    ]
    _write("batch-correction", truth, plain, markdown(("method", *shown), rows))


def _figure(name: str, result: Any, figure: str) -> Figure:
    return analyses()[name]().plot(result)[figure]


def _save(name: str, figure: Figure) -> None:
    path = DOCS / "figures" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def _write(name: str, truth: Simulation, model: Any, table: str) -> None:
    asked, training = truth.parameters["asked"], model.card.training
    auroc = next(e.value for e in model.card.evaluation if e.metric == "AUROC per cell, mean" and e.split == "test")
    text = (
        f"{asked['n_cells']} simulated cells of six types along a lineage, {asked['n_peaks']:,} peaks of which "
        f"{asked['density']:.0%} are open, motifs {asked['signal']:g} times as strong as by default. A network of width "
        f"{training.hyperparameters['width']:g} was fitted in {training.epochs} epochs (AUROC on held-out peaks {auroc:.2f}; the "
        f"best from sequence is {truth.parameters['best_auroc_from_sequence']:.2f}). `python -m benchmarks.known_truth FOLDER` "
        f"does all.\n\n{table}"
    )
    write_section("known truth", text, DOCS / f"{name}.md")
    print(name, table, sep="\n", flush=True)


if __name__ == "__main__":
    main()
