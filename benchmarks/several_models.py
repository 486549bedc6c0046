"""Measure how much fits of one simulated experiment with other seeds differ; print the tables of docs/several-models.md.

Run `python -m benchmarks.several_models SIMULATED MODEL MODEL ...` in the root of the repository, with the folder that
`scbasset-zoo simulate` wrote, and packages of fits to it.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import scbasset_zoo as sz
from benchmarks.known_truth import MAX_CONSTANT_DEVIATION
from benchmarks.table import markdown
from scbasset_zoo.simulation.experiment import Simulation, load_simulation

N_REGIONS = 20
Array = NDArray[np.float64]
QUIET: dict[str, Any] = {"device": "cpu", "quiet": True}


def main() -> None:
    """Print AUROC, and the spread over seeds of motif insertion and ISM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("simulated", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    given = parser.parse_args()
    truth, models = load_simulation(given.simulated), sz.open_models(given.models, "cpu")
    prediction(truth, models)
    motif_insertion(truth, models)
    ism(truth, models)


def prediction(truth: Simulation, models: sz.Models) -> None:
    """Print the AUROC on the test peaks, of each model, of the mean of logits, and of the true probabilities."""
    peaks = models[0].package.peaks()
    assert peaks is not None
    peaks = peaks[peaks["split"] == "test"]
    names = [f"{row.chrom}:{row.start}-{row.end}" for row in peaks.itertuples()]
    together = models.predict(names, truth.genome, output="logits")
    counts = ad.read_h5ad(truth.matrix)[together.obs_names].to_df()[names].to_numpy()
    each = [model.predict(names, truth.genome, output="logits").X for model in models]
    rows = [(f"seed {number}", *aurocs(counts, scores)) for number, scores in enumerate(each)]
    rows.append(("mean of logits", *aurocs(counts, np.asarray(together.X))))
    rows.append(("mean of two seeds, over pairs", *np.mean([aurocs(counts, a + b) for a, b in combinations(each, 2)], axis=0)))
    best = truth.parameters["best_auroc_from_sequence"]
    print(f"{len(names)} test peaks; best AUROC per cell from sequence, over all peaks: {best:.3f}")
    print(markdown(("", "AUROC per cell", "AUROC per peak"), [(name, *map("{:.3f}".format, values)) for name, *values in rows]))
    print(f"std over seeds, median {np.median(together.layers['std']):.3f} logit; deviation of mean logits {together.X.std():.3f}")
    centred = [scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean() for scores in each]
    print("r of logits", correlations(each), "; of what is left without cell and peak means", correlations(centred))


def motif_insertion(truth: Simulation, models: sz.Models) -> None:
    """Print the size of effects of motifs, their spread over seeds, and how well seeds agree with each other and the truth."""
    options: dict[str, Any] = {"motifs": str(truth.folder / "motifs.meme"), "genome": truth.genome, "n_backgrounds": 200, **QUIET}
    result = sz.run("motif-insertion", models, group_by="cell_type", **options)
    each = [sz.run("motif-insertion", model, group_by="cell_type", **options) for model in models]
    factors = list(result.var["tf"])
    effects = [groups(r, result.var_names) for r in [result, *each]]
    activity = np.stack([truth.type_activities.loc[list(result.uns["group_effects"].columns[1:]), tf] for tf in factors])
    std = result.uns["group_effects_std"].loc[result.var_names].to_numpy(float)
    n_responding = [int(r.var["responds"].sum()) for r in each], int(result.var["responds"].sum())
    print(f"{len(factors)} motifs; respond in each, in all: {n_responding}")
    differ = activity - activity.mean(axis=1, keepdims=True)
    differences = [e - e.mean(axis=1, keepdims=True) for e in effects]
    of_each = np.stack(differences[1:])
    rows = [
        spread_row("effect of a motif in a cell type", effects, std, activity),
        spread_row("its difference from the mean over types", differences, of_each.std(axis=0, ddof=1), differ),
    ]
    print(markdown(HEADER, rows))
    varies = np.array([truth.activities[tf].std() > MAX_CONSTANT_DEVIATION for tf in factors])
    for name, r in [("mean", result), *((f"seed {n}", r) for n, r in enumerate(each))]:
        layer = np.asarray(r[result.obs_names].layers["score"])
        values = [
            np.corrcoef(layer[:, i], truth.activities.loc[result.obs_names, factors[i]])[0, 1] for i in np.flatnonzero(varies)
        ]
        print(f"{name}: r over cells with the true activity, mean over {varies.sum()} factors that differ: {np.mean(values):.2f}")


def ism(truth: Simulation, models: sz.Models) -> None:
    """Print the same for the importance of bases in test peaks."""
    peaks = models[0].package.peaks()
    assert peaks is not None
    regions = [f"{r.chrom}:{r.start}-{r.end}" for r in peaks[peaks["split"] == "test"].head(N_REGIONS).itertuples()]
    options: dict[str, Any] = {"region_names": regions, "genome": truth.genome, "group_by": "cell_type", "n_controls": 0, **QUIET}
    result = sz.run("ism", models, **options)
    each = [sz.run("ism", model, **options)["importance"].to_numpy().astype(float) for model in models]
    mean, std = result["importance"].to_numpy().astype(float), result["importance_std"].to_numpy().astype(float)
    inside = np.zeros(mean.shape[:2], bool)
    first = dict(zip(regions, result["window_start"].to_numpy(), strict=True))
    active = set(truth.tfs.index[truth.tfs["active"]])
    for site in truth.motif_sites[truth.motif_sites["peak"].isin(regions)].itertuples():
        if site.tf in active:
            inside[regions.index(site.peak), site.start - first[site.peak] : site.end - first[site.peak]] = True
    difference = [values - values.mean(axis=2, keepdims=True) for values in (mean, *each)]
    rows = [
        spread_row("importance of a base in a cell type", [mean, *each], std, None),
        spread_row("the same, bases of planted motifs", [v[inside] for v in (mean, *each)], std[inside], None),
        spread_row("its difference from the mean over types", difference, np.std(difference[1:], axis=0, ddof=1), None),
    ]
    print(markdown(HEADER[:-2], [row[:-2] for row in rows]))
    for name, values in [("mean", mean), *((f"seed {n}", values) for n, values in enumerate(each))]:
        auroc = roc_auc_score(inside.ravel(), np.abs(values.mean(axis=2)).ravel())
        print(f"{name}: AUROC of |importance| for bases of planted motifs {auroc:.3f}")


HEADER = ("", "size", "std over seeds", "r of two seeds", "r with the truth, each seed", "r with the truth, mean")


def spread_row(name: str, effects: list[Array], std: Array, truth: Array | None) -> tuple[str, ...]:
    """Return a row: root mean square of the mean and of std, correlations of seeds, and with the truth."""
    mean, *each = effects
    r_truth = ("", "") if truth is None else (", ".join(f"{r(values, truth):.2f}" for values in each), f"{r(mean, truth):.2f}")
    return name, f"{np.sqrt((mean**2).mean()):.4f}", f"{np.sqrt((std**2).mean()):.4f}", correlations(each), *r_truth


def groups(result: ad.AnnData, motifs: Any) -> Array:
    return result.uns["group_effects"].loc[motifs].iloc[:, 1:].to_numpy(float)


def correlations(values: list[Any]) -> str:
    return ", ".join(f"{r(a, b):.2f}" for a, b in combinations(values, 2))


def r(a: Any, b: Any) -> float:
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def aurocs(counts: Any, scores: Any) -> tuple[float, float]:
    """Return the mean AUROC over cells, and over peaks."""
    of_cells = [roc_auc_score(c, s) for c, s in zip(counts, scores, strict=True) if 0 < c.sum() < len(c)]
    of_peaks = [roc_auc_score(c, s) for c, s in zip(counts.T, scores.T, strict=True) if 0 < c.sum() < len(c)]
    return float(np.mean(of_cells)), float(np.mean(of_peaks))


if __name__ == "__main__":
    main()
