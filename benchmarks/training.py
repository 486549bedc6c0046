"""Training speed of scbasset_zoo in float32 and bfloat16, and of Keras' own `fit` with the same network."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import scbasset_zoo as sz
from benchmarks import published
from benchmarks.table import interleaved, machine, markdown, median, write_section
from scbasset_zoo.inputs import dna
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

N_CELLS, N_STEPS = 400, 4
BATCH_SIZE = 128


def main() -> None:
    """Measure, print the table and write it into docs/benchmarks.md."""
    require_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        simulation = sz.simulate(Path(folder) / "simulated", n_cells=N_CELLS, n_peaks=800, quiet=True)
        prepared = sz.prepare(
            simulation.matrix, genome=simulation.genome, assembly="simulated", out=Path(folder) / "prepared", quiet=True,
            min_cell_fraction=0,
        )  # fmt: skip
        steps = {
            "plain Keras fit, float32, dense arrays": keras_steps(prepared),
            "scbasset_zoo, float32": scbasset_zoo_steps(prepared, "float32"),
            "scbasset_zoo, bfloat16": scbasset_zoo_steps(prepared, "bfloat16"),
        }
        seconds = interleaved(steps)
    speed = {name: N_STEPS * BATCH_SIZE / median(runs) for name, runs in seconds.items()}
    keras_speed, float32_speed, _ = speed.values()
    rows = [(name, f"{value:.1f}", f"{value / keras_speed:.2f}", f"{value / float32_speed:.2f}") for name, value in speed.items()]
    table = markdown(("training", "peaks/s", "x plain Keras", "x our float32"), rows)
    write_section(
        "training",
        f"## Training\n\nNetworks of full width with {N_CELLS} cells, in batches of {BATCH_SIZE}. The programs take turns; each "
        f"number is the median of five runs of {N_STEPS} steps. scbasset_zoo reads slices from disk, encodes and augments "
        "sequences, and computes the sparse loss and the AUROC. Plain Keras gets encoded sequences and dense labels in memory, and "
        "computes no metric.\n\n"
        f"{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def scbasset_zoo_steps(prepared: Any, precision: str) -> Any:
    """Return a function that runs N_STEPS training steps of scbasset_zoo."""
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.train_options import TrainingOptions

    fit = Fit(prepared, TrainingOptions(precision=precision, batch_size=BATCH_SIZE), None)
    # As many peaks as plain Keras gets, so that all batches have the same size.
    fit.train_rows = fit.train_rows[: N_STEPS * BATCH_SIZE]
    fit.n_steps = N_STEPS

    def run() -> None:
        for _ in fit.epoch():
            pass
        fit.state.update(step=0, epoch=fit.state["epoch"] + 1)

    return run


def keras_steps(prepared: Any) -> Any:
    """Return a function that fits N_STEPS batches with Keras' `Model.fit`."""
    model = published.network(prepared.n_cells)
    rows = prepared.rows("train")[: N_STEPS * BATCH_SIZE]
    flank = prepared.flank
    sequences = dna.one_hot(prepared.sequences[rows][:, flank : flank + 1344])
    labels = prepared.labels(rows).toarray().astype(np.float32)
    return lambda: model.fit(sequences, labels, batch_size=BATCH_SIZE, verbose=0)


if __name__ == "__main__":
    main()
