"""Simulate an experiment, train a model of it, share and use the model, and compare the results with the truth.

Usage: python examples/demo.py [SEED]. The seed is that of the simulation, the split of the peaks and the training.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

OUT = Path("demo")
STEPS = (
    "simulate demo/simulated --n-cells 400 --n-peaks 3000 --density 0.15",
    "prepare demo/simulated/matrix.h5ad --genome demo/simulated/genome.fa --assembly simulated --out demo/prepared",
    "train demo/prepared --out demo/run --width 0.25 --epochs 16 --batch-size 32 --precision float32",
    "export demo/run --out demo/model --about examples/demo.yaml",
    "verify demo/model",
    "predict demo/model --peaks demo/simulated/matrix.h5ad --genome demo/simulated/genome.fa --out demo/predicted.h5ad",
    "predict demo/model --peaks demo/simulated/matrix.h5ad --genome demo/simulated/genome.fa --output logits "
    "--group-by cell_type --out demo/by_type.h5ad",
)


def main() -> None:
    """Run the commands, and print how well the results agree with what was simulated."""
    seed = sys.argv[1] if len(sys.argv) > 1 else "0"
    start = time.monotonic()
    shutil.rmtree(OUT, ignore_errors=True)
    for step in STEPS:
        if step.split()[0] in ("simulate", "prepare", "train"):
            step += f" --seed {seed}"
        print(f"\n$ scbasset-zoo {step}", flush=True)
        subprocess.run([sys.executable, "-m", "scbasset_zoo.cli.main", *step.split()], check=True)
    print("\nResults, compared with what was simulated")
    for line in comparison():
        print(f"  {line}")
    print(f"\nAll files are in {OUT}/; done in {time.monotonic() - start:.0f} s.")


def comparison() -> list[str]:
    """Lines that compare the results with the simulation, with the best possible value or that of chance."""
    from sklearn.neighbors import NearestNeighbors

    import scbasset_zoo as sz
    from scbasset_zoo.simulation.experiment import load_simulation

    truth, model = load_simulation(OUT / "simulated"), sz.open_model(OUT / "model", device="cpu")
    cell_type = model.cells["cell_type"].astype(str).to_numpy()
    shares = []
    for embedding in (model.canonical_embedding, model.cell_embedding):
        neighbours = NearestNeighbors(n_neighbors=10).fit(embedding).kneighbors(return_distance=False)
        shares.append((cell_type[neighbours] == cell_type[:, None]).mean())
    chance = (pd.Series(cell_type).value_counts(normalize=True) ** 2).sum()
    auroc = next(e.value for e in model.card.evaluation if e.metric == "AUROC per cell, mean" and e.split == "test")
    depth, intercept = (
        next(e.value for e in model.card.evaluation if e.metric == f"Pearson r of cell {name} and log depth")
        for name in ("depth", "intercept")
    )
    by_type = ad.read_h5ad(OUT / "by_type.h5ad")
    logits = pd.DataFrame(by_type.X, index=by_type.obs_names).loc[truth.type_activities.index]
    logits = logits - logits.mean()
    expected = truth.type_activities.loc[logits.index, truth.strengths.columns] @ truth.strengths.T.to_numpy()
    effect = np.corrcoef(logits.to_numpy().ravel(), (expected - expected.mean()).to_numpy().ravel())[0, 1]
    best = truth.parameters["best_auroc_from_sequence"]
    return [
        f"AUROC on held-out peaks, mean over cells: {auroc:.3f} (best possible from sequence: {best:.3f}; chance: 0.5)",
        f"cells whose 10 nearest neighbours share their type: {shares[0]:.0%} in the canonical embedding, {shares[1]:.0%} in the "
        f"published one (chance: {chance:.0%})",
        f"depth of the cells against their log number of open peaks: r = {depth:.2f} (intercept: {intercept:.2f})",
        f"differences between cell types in each peak's logit, predicted against true: r = {effect:.2f}",
    ]


if __name__ == "__main__":
    main()
