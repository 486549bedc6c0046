"""Whether the options of training change what a fit learns: label score, held-out AUROC and depth, for several seeds.

Run `nice python -m benchmarks.quality FOLDER` in the root of the repository. Each of 36 fits takes some three minutes on a
core of an AMD EPYC. FOLDER keeps the data and the fits; the next run uses those that exist.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import scbasset_zoo as sz
from benchmarks import published
from benchmarks.learning import same_type_share
from benchmarks.new_cells import auroc_of_cells, shown
from benchmarks.table import machine, markdown, write_section
from benchmarks.workers import train_by_workers
from scbasset_zoo.graph.gauge import gauge_of
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.canonical_space import CanonicalSpace
from scbasset_zoo.simulation.experiment import load_simulation
from scbasset_zoo.training.dataset import open_prepared
from scbasset_zoo.training.precision import resolve_precision

WIDTH, BATCH_SIZE, EPOCHS, SEEDS = 0.125, 32, 20, tuple(range(6))
# Few factors and strong motifs, so that fits leave the plateau at the start soon; motifs lie near the centres of peaks.
SIZE = {"n_cells": 400, "n_peaks": 5_000, "n_types": 2, "density": 0.2, "signal": 2}
LENGTH = 512
CELLS_IN_BLOCK, CELLS_PER_STEP = 64, 200
PUBLISHED, BLOCKS, WORKERS = "published recipe, plain Keras", "head in blocks of cells", "two workers"
SETTINGS: dict[str, dict[str, Any]] = {
    PUBLISHED: {},
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    BLOCKS: {},
    f"--cells-per-step {CELLS_PER_STEP}": {"cells_per_step": CELLS_PER_STEP},
    WORKERS: {},
    f"--cells-per-step {CELLS_PER_STEP} --learning-rate 0.005": {"cells_per_step": CELLS_PER_STEP, "learning_rate": 0.005},
}


def main() -> None:
    """Fit each setting from each seed, print the table and write it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds-of-workers", type=int, default=len(SEEDS), help="seeds that two workers fit, which take longest")
    options = parser.parse_args()
    folder: Path = options.folder
    data = folder / "simulated"
    simulation = load_simulation(data) if data.exists() else sz.simulate(data, quiet=True, **SIZE)
    if not (folder / "prepared").exists():
        sz.prepare(
            simulation.matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", quiet=True,
            min_cell_fraction=0, length=LENGTH,
        )  # fmt: skip
    prepared = open_prepared(folder / "prepared")
    cell_type = simulation.cells["cell_type"].astype(str).to_numpy()
    # Without instructions for it, bfloat16 would be emulated, in many times the time.
    left_out = {"bfloat16"} if resolve_precision("auto")[0] != "bfloat16" else set()
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS if name not in left_out}
    for seed in SEEDS:
        for name in measured:
            if name == WORKERS and seed >= options.seeds_of_workers:
                continue
            number = list(SETTINGS).index(name)
            kept = folder / f"fit-{number}-{seed}.npz"
            if not kept.exists():
                fitted = published_fit(prepared, seed) if name == PUBLISHED else own_fit(prepared, folder, name, number, seed)
                np.savez(kept, **fitted)
            with np.load(kept) as fitted:
                measured[name].append(scores(prepared, cell_type, **fitted))
            print(name, seed, measured[name][-1], flush=True)
    rows = []
    for name, values in measured.items():
        table = pd.DataFrame(values)
        rows.append((name, f"{len(table)}", *(shown(table[column]) for column in table)))
    header = ("fit", "seeds", *measured[PUBLISHED][0])
    chance = f"{np.mean([np.mean(cell_type == each) for each in cell_type]):.3f}"
    rows.append(("by chance", "", chance, "0.500", "0"))
    table = markdown(header, rows)
    write_section(
        "quality",
        f"## Options of training and quality\n\nNetworks of width {WIDTH:g} are fitted for {EPOCHS} epochs, in batches of "
        f"{BATCH_SIZE}, to the same {prepared.n_cells} cells of {SIZE['n_types']} types x {prepared.n_peaks:,} peaks of {LENGTH} "
        f"bp (`sz.simulate`, motifs {SIZE['signal']:g} times as strong). The numbers are means over seeds, with their "
        "standard errors: the share of cells of the same type among the 10 nearest in the canonical space; the AUROC over held-out "
        "peaks, mean over cells; the correlation over cells of `depth` with the logarithm of the number of open peaks. The head is "
        f"in blocks of {CELLS_IN_BLOCK} cells. All {'' if left_out else 'but bfloat16 '}are in float32."
        f"\n\n{machine('tensorflow', 'keras')}\n\n"
        f"{table}\n\n"
        f"{differences(measured)}\n",
    )
    print(table)


def differences(measured: dict[str, list[dict[str, float]]]) -> str:
    """Say which means differ from those of the published recipe by more than two standard errors of the difference."""
    published_scores, found = pd.DataFrame(measured[PUBLISHED]), []
    for name, values in measured.items():
        ours = pd.DataFrame(values)
        if name == PUBLISHED or len(ours) < 2:
            continue
        error = np.sqrt(ours.var() / len(ours) + published_scores.var() / len(published_scores))
        difference = ours.mean() - published_scores.mean()
        found += [
            f"{column} of {name} ({difference[column]:+.3f}, standard error {error[column]:.3f})"
            for column in ours
            if abs(difference[column]) > 2 * error[column]
        ]
    said = "; ".join(found) if found else "none"
    return f"Differences from the published recipe of more than two standard errors: {said}."


def own_fit(prepared: Any, folder: Path, name: str, number: int, seed: int) -> dict[str, NDArray[np.float32]]:
    """Fit with scbasset_zoo, export, and return what :func:`scores` needs."""
    run, package = folder / f"run-{number}-{seed}", folder / f"package-{number}-{seed}"
    options: dict[str, Any] = {"width": WIDTH, "batch_size": BATCH_SIZE, "epochs": EPOCHS, "precision": "float32", "seed": seed}
    options |= SETTINGS[name]
    if not package.exists():
        if name == WORKERS:
            train_by_workers(prepared.folder, run, 2, options | {"resume": run.exists()})
        else:
            with blocks_of_cells() if name == BLOCKS else contextlib.nullcontext():
                sz.train(prepared.folder, out=run, quiet=True, resume=run.exists(), **options)
        sz.export(run, out=package, about=Path(__file__).parents[1] / "examples" / "demo.yaml")
    model = sz.open_model(package, device="cpu")
    return {
        "weights": model.cell_embedding,
        "intercepts": model.cell_intercept,
        "train": model.embed(windows(prepared, "train")),
        "test": model.embed(windows(prepared, "test")),
    }


@contextlib.contextmanager
def blocks_of_cells() -> Iterator[None]:
    """Train with the head in blocks, which pays with hundreds of thousands of cells only."""
    from scbasset_zoo.training import many_cells, replica

    with (
        mock.patch.object(replica, "pays", return_value=True),
        mock.patch.object(many_cells, "cells_in_block", return_value=CELLS_IN_BLOCK),
    ):
        yield


def published_fit(prepared: Any, seed: int) -> dict[str, NDArray[np.float32]]:
    """Fit the published recipe in plain Keras, and return what :func:`scores` needs."""
    import keras

    keras.utils.set_random_seed(seed)
    model, rng = published.network(prepared.n_cells, WIDTH, LENGTH), np.random.default_rng(seed)
    for _ in range(EPOCHS):
        for sequences, labels in published.epoch(prepared, rng, BATCH_SIZE):
            model.train_on_batch(sequences, labels)
    weights, intercepts = (np.asarray(values) for values in model.get_layer("cells").get_weights())
    embed = keras.Model(model.input, model.get_layer("cells").input)
    splits = {split: embed.predict(dna.one_hot(windows(prepared, split)), verbose=0) for split in ("train", "test")}
    return {"weights": weights.T, "intercepts": intercepts, **splits}


def windows(prepared: Any, split: str) -> NDArray[np.int8]:
    """Return the sequences of the peaks of a split, (n_peaks, length)."""
    codes = np.asarray(prepared.sequences[prepared.rows(split)])
    return codes[:, prepared.flank : prepared.flank + prepared.sequence_length]


def scores(
    prepared: Any,
    cell_type: NDArray[Any],
    weights: NDArray[np.float32],
    intercepts: NDArray[np.float32],
    train: NDArray[np.float32],
    test: NDArray[np.float32],
) -> dict[str, float]:
    """Return the scores of a fit from its cells and its embeddings of training and held-out peaks."""
    labels = prepared.labels(prepared.rows("test"))
    n_open = np.asarray(prepared.labels(prepared.rows("train")).sum(axis=0)).ravel()
    space = CanonicalSpace.of(gauge_of(train), weights)
    return {
        "label score at 10": same_type_share(space.embedding(weights), cell_type),
        "AUROC over held-out peaks": auroc_of_cells(labels.T, test, weights),
        "r of depth": float(np.corrcoef(space.depth(weights, intercepts), np.log(n_open))[0, 1]),
    }


if __name__ == "__main__":
    main()
