"""Compare the results of all analyses with the known truth of simulated experiments; write tables and figures into docs/.

Run `python -m benchmarks.known_truth FOLDER` in the root of the repository. It takes about an hour on two cores. FOLDER keeps the
simulated data and the fitted models; the next run uses those that exist.
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
# The activity of a factor counts as equal in all cells if its standard deviation over cells is at most this.
MAX_CONSTANT_DEVIATION = 0.15
QUIET: dict[str, Any] = {"device": "cpu", "quiet": True}


@dataclass(frozen=True)
class Experiment:
    """A simulation and the options of the models that are fitted to it."""

    name: str
    simulate_options: dict[str, Any]
    train_options: dict[str, Any] = field(default_factory=dict)
    prepare_options: dict[str, Any] = field(default_factory=dict)

    def simulation(self, folder: Path) -> Simulation:
        """Return the simulated data. They are made if they do not exist."""
        where = folder / self.name / "simulated"
        return load_simulation(where) if where.exists() else sz.simulate(where, **self.simulate_options)

    def model(self, folder: Path, name: str = "model", **train_options: Any) -> Any:
        """Return a fitted model. It is made if it does not exist."""
        simulation, subfolder = self.simulation(folder), folder / self.name
        if not (subfolder / name).exists():
            if not (subfolder / "prepared").exists():
                sz.prepare(
                    simulation.matrix,
                    genome=simulation.genome,
                    assembly="simulated",
                    out=subfolder / "prepared",
                    **self.prepare_options,
                )
            run = subfolder / f"run_{name}"
            sz.train(subfolder / "prepared", out=run, resume=run.exists(), **self.train_options | train_options)
            sz.export(run, out=subfolder / name, about="examples/demo.yaml")
        return sz.open_model(subfolder / name, device="cpu")


LINEAGE = Experiment(
    "lineage",
    {"n_cells": 600, "n_peaks": 8_000, "density": 0.2, "signal": 1.5},
    {"width": 0.25, "batch_size": 32, "learning_rate": 0.003, "epochs": 60, "precision": "float32"},
)
BATCHES = Experiment(
    "batches",
    {"n_cells": 400, "n_peaks": 4_000, "density": 0.15, "signal": 1.5, "n_batches": 2},
    {"width": 0.25, "batch_size": 32, "epochs": 24, "precision": "float32"},
)
PENALTIES = (0.0, 1e-6, 1e-5)


def main() -> None:
    """Fit the models, run the analyses, and write what they recover."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    truth, model = LINEAGE.simulation(folder), LINEAGE.model(folder)
    for section in (embedding, denoise, motif_insertion, ism):
        section(truth, model)
    batch_correction(folder)


def embedding(truth: Simulation, model: Any) -> None:
    """Measure how well cell types separate in the embedding."""
    result = sz.run("embedding", model, group_by="cell_type", **QUIET)
    _save("embedding", _figure("embedding", result, "umap_labels"))
    columns = ["score", "chance", "score_published", "chance_published"]
    rows = [(name, *map(_number, values)) for name, values in result.uns["metrics"][columns].T.items()]
    header = ("score", "canonical space", "by chance", "published space", "by chance")
    _write("embedding", truth, model, markdown(header, rows))


def denoise(truth: Simulation, model: Any) -> None:
    """Compare counts and denoised values with the cell types and with the true effects of sequence."""
    result = sz.run("denoise", model, genome=truth.genome, counts=truth.matrix, group_by="cell_type", **QUIET)
    _save("denoise", _figure("denoise", result, "heat_map"))
    columns = ["counts", "chance_counts", "denoised", "chance_denoised"]
    rows = [(name, *map(_number, values)) for name, values in result.uns["metrics"][columns].T.items()]
    for depth in ("canonical", "published"):
        denoised = (
            result
            if depth == "canonical"
            else sz.run("denoise", model, genome=truth.genome, counts=truth.matrix, depth=depth, **QUIET)
        )
        of_counts, of_denoised = correlations_with_truth(truth, denoised)
        name = f"correlation with the truth over cells, mean over peaks, {depth} depth"
        rows.append((name, of_counts, "0", of_denoised, "0"))
    _write("denoise", truth, model, markdown(("", "counts", "by chance", "denoised", "by chance"), rows))


def correlations_with_truth(truth: Simulation, result: ad.AnnData) -> tuple[str, str]:
    """Return the correlation of counts, and of denoised values, with the true effect of sequence.

    This is Pearson's correlation over cells, as a mean over peaks.
    """
    effect = truth.activities.loc[result.obs_names].to_numpy() @ truth.strengths.loc[result.var_names].to_numpy().T
    counts = ad.read_h5ad(truth.matrix)[result.obs_names, result.var_names].X.toarray()
    matrices = (counts, np.asarray(result.X))
    means = [np.nanmean([np.corrcoef(values, true)[0, 1] for values, true in zip(x.T, effect.T, strict=True)]) for x in matrices]
    return f"{means[0]:.3f}", f"{means[1]:.3f}"


def motif_insertion(truth: Simulation, model: Any) -> None:
    """Compare the activity of each factor with the true one."""
    result = sz.run("motif-insertion", model, motifs=str(truth.folder / "motifs.meme"), genome=truth.genome, **QUIET)
    _save("motif-insertion", _figure("motif-insertion", result, "factors_by_group"))
    rows = [
        (factor, kind, f"{activity.std():.2f}", "" if r is None else f"{r:.2f}", f"{effect:.3f}", f"{deviation:.3f}")
        for factor, kind, activity, r, effect, deviation in recovered_factors(truth, result)
    ]
    header = ("factor", "truth", "true activity, deviation", "r with it", "mean score", "deviation of the score")
    _write("motif-insertion", truth, model, markdown(header, rows))


def recovered_factors(truth: Simulation, result: ad.AnnData) -> list[tuple[str, str, NDArray[Any], float | None, float, float]]:
    """Return one row for each factor, sorted by kind.

    A row has the factor, its kind, its true activity, the correlation with it (None if the activity does not vary), and the mean
    and the standard deviation of the raw score over cells.
    """
    rows = []
    for position, factor in enumerate(result.var["tf"]):
        activity = truth.activities.loc[result.obs_names, factor].to_numpy()
        varies = activity.std() > MAX_CONSTANT_DEVIATION
        kind = "differs between types" if varies else "in all cells" if truth.tfs["active"][factor] else "inactive"
        r = float(np.corrcoef(np.asarray(result.X[:, position]), activity)[0, 1]) if varies else None
        rows.append(
            (factor, kind, activity, r, float(result.var["mean"].iloc[position]), float(result.var["deviation"].iloc[position]))
        )
    kinds = ["differs between types", "in all cells", "inactive"]
    return sorted(rows, key=lambda row: (kinds.index(row[1]), -row[2].std()))


def ism(truth: Simulation, model: Any) -> None:
    """Compare the importance of bases inside and outside of planted motifs."""
    regions = list(truth.peaks.index[:N_REGIONS])
    result = sz.run(
        "ism",
        model,
        region_names=regions,
        genome=truth.genome,
        group_by="cell_type",
        motifs=str(truth.folder / "motifs.meme"),
        **QUIET,
    )
    figures = analyses().get("ism")().plot(result)
    _save("ism", figures[sorted(figures)[0]])
    rows = [(group, f"{auroc:.3f}") for group, auroc in importance_in_motifs(truth, result).items()]
    _write(
        "ism", truth, model, markdown(("cells", "AUROC of a base's importance for lying in a planted motif (chance: 0.5)"), rows)
    )


def importance_in_motifs(truth: Simulation, result: Any) -> dict[str, float]:
    """Return how well importance separates bases of planted motifs from other bases, for each cell type.

    This is the AUROC of |importance| for the motifs of the factors that are active in the cell type.
    """
    importance = np.abs(result["importance"].to_numpy())
    first = dict(zip(result["region"].to_numpy(), result["window_start"].to_numpy(), strict=True))
    numbers = {name: number for number, name in enumerate(first)}
    sites = truth.motif_sites[truth.motif_sites["peak"].isin(list(first))]

    def inside(factors: list[str]) -> NDArray[np.bool_]:
        is_inside = np.zeros(importance.shape[:2], dtype=bool)
        for site in sites[sites["tf"].isin(factors)].itertuples():
            is_inside[numbers[site.peak], site.start - first[site.peak] : site.end - first[site.peak]] = True
        return is_inside

    scores = {}
    for number, group in enumerate(result["group"].to_numpy()):
        activity = truth.type_activities.loc[group]
        scores[str(group)] = float(
            roc_auc_score(inside(list(activity.index[activity > 0])).ravel(), importance[..., number].ravel())
        )
    active = list(truth.tfs.index[truth.tfs["active"]])
    return {"all types, mean": float(roc_auc_score(inside(active).ravel(), importance.mean(axis=2).ravel()))} | scores


def batch_correction(folder: Path) -> None:
    """Measure the mixing of batches and the separation of cell types for several penalties."""
    truth, plain = BATCHES.simulation(folder), BATCHES.model(folder)
    corrected = [BATCHES.model(folder, f"bc_{penalty:g}", batch_key="batch", l2_cell=penalty) for penalty in PENALTIES]
    result = sz.run(
        "batch-correction", corrected[0], models=corrected[1:], plain=plain, counts=truth.matrix, group_by="cell_type", **QUIET
    )
    _save("batch-correction", _figure("batch-correction", result, "trade_off"))
    shown = ["iLISI", "iLISI, rescaled", "kBET acceptance", "label score at 10", "label score at 50", "cell-type ASW"]
    table, chance = result.uns["comparison"], result.uns["chance"]["chance"]
    rows = [
        (name, *(f"{value:.2f}" for value in scores)) for name, scores in zip(table.index, table[shown].to_numpy(), strict=True)
    ]
    rows.append(("scBasset, by chance", *(f"{chance[name]:.2f}" for name in shown)))
    _write("batch-correction", truth, plain, markdown(("method", *shown), rows))


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _figure(name: str, result: Any, figure: str) -> Figure:
    return analyses().get(name)().plot(result)[figure]


def _save(name: str, figure: Figure) -> None:
    path = DOCS / "figures" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def _write(name: str, truth: Simulation, model: Any, table: str) -> None:
    simulated, training = truth.parameters["options"], model.card.training
    auroc = next(e.value for e in model.card.evaluation if e.metric == "AUROC per cell, mean" and e.split == "test")
    text = (
        f"{simulated['n_cells']} simulated cells of six types along a lineage, {simulated['n_peaks']:,} peaks of which "
        f"{simulated['density']:.0%} are open, motifs {simulated['signal']:g} times as strong as by default. A network of width "
        f"{training.hyperparameters['width']:g} was fitted in {training.epochs} epochs (AUROC on held-out peaks {auroc:.2f}; the "
        f"best from sequence is {truth.parameters['best_auroc_from_sequence']:.2f}). `python -m benchmarks.known_truth FOLDER` "
        f"does all.\n\n{table}"
    )
    write_section("known truth", text, DOCS / f"{name}.md")
    print(name, table, sep="\n", flush=True)


if __name__ == "__main__":
    main()
