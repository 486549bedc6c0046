"""Training throughput: this project in float32 and bfloat16, side by side with a plain Keras `fit` of the same network."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import scbasset_zoo as sz
from benchmarks import published
from benchmarks.table import interleaved, machine, markdown, median, write_section
from scbasset_zoo.inputs import dna
from scbasset_zoo.training.trainer import require_tensorflow

N_CELLS, STEPS = 400, 4
BATCH = 128


def main() -> None:
    """Measure, print and write the section of docs/benchmarks.md."""
    require_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        simulation = sz.simulate(Path(folder) / "simulated", n_cells=N_CELLS, n_peaks=800, quiet=True)
        prepared = sz.prepare(
            simulation.matrix, fasta=simulation.fasta, assembly="simulated", out=Path(folder) / "prepared", quiet=True,
            min_cell_fraction=0,
        )  # fmt: skip
        functions = {
            "plain Keras fit, float32, dense arrays": plain_keras(prepared),
            "scbasset_zoo, float32": ours(prepared, "float32"),
            "scbasset_zoo, bfloat16": ours(prepared, "bfloat16"),
        }
        seconds = interleaved(functions)
    speed = {name: STEPS * BATCH / median(runs) for name, runs in seconds.items()}
    floor, single, _ = speed.values()
    rows = [(name, f"{value:.1f}", f"{value / floor:.2f}", f"{value / single:.2f}") for name, value in speed.items()]
    table = markdown(("training", "peaks/s", "x plain Keras", "x our float32"), rows)
    write_section(
        "training",
        f"## Training\n\nFull width, {N_CELLS} cells, batches of {BATCH}; each figure the median of five runs of {STEPS} steps, in "
        "turn. Ours includes slicing from disk, one-hot encoding, augmentation, the sparse loss and the AUROC; plain Keras is "
        "given ready one-hot and dense label arrays in memory, and counts no metric.\n\n"
        f"{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def ours(prepared: Any, precision: str) -> Any:
    """A function that takes STEPS steps of our training."""
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.options import TrainingOptions

    fit = Fit(prepared, TrainingOptions(precision=precision, batch_size=BATCH), None)
    # Equal batches, so that every step has the same size as plain Keras'.
    fit.train_rows = fit.train_rows[: STEPS * BATCH]
    fit.n_steps = STEPS

    def run() -> None:
        for _ in fit.epoch():
            pass
        fit.state.update(step=0, epoch=fit.state["epoch"] + 1)

    return run


def plain_keras(prepared: Any) -> Any:
    """A function that fits STEPS batches with `Model.fit` and Keras' own layers."""
    model = published.network(prepared.n_cells)
    rows = prepared.rows("train")[: STEPS * BATCH]
    flank = prepared.flank
    sequences = dna.one_hot(prepared.sequences[rows][:, flank : flank + 1344])
    labels = prepared.labels(rows).toarray().astype(np.float32)
    return lambda: model.fit(sequences, labels, batch_size=BATCH, verbose=0)


if __name__ == "__main__":
    main()
