"""Training speed of scbasset_zoo in float32 and bfloat16, beside the published recipe and scvi-tools' SCBASSET.

Run `python -m benchmarks.training` in the root of the repository, on a machine that does nothing else. `--published PYTHON` and
`--scvi PYTHON` name the interpreters of environments with these peers (published_worker.py, scvi_worker.py); without them the peers
are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import scbasset_zoo as sz
from benchmarks import published
from benchmarks.table import interleaved, machine, markdown, median, write_section
from benchmarks.worker import Worker
from scbasset_zoo.inputs import dna
from scbasset_zoo.training.precision import resolve_precision
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

N_CELLS, N_STEPS = 2034, 4
BATCH_SIZE, LENGTH = 128, 1344
OWN_FLOAT32 = "scbasset_zoo, float32"


def main() -> None:
    """Measure, print the table and write it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", metavar="PYTHON", help="Python of an environment with TensorFlow 2.15")
    parser.add_argument("--scvi", metavar="PYTHON", help="Python of an environment with scvi-tools")
    options = parser.parse_args()
    require_tensorflow()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as workers:
        folder = Path(name)
        simulation = sz.simulate(folder / "simulated", n_cells=N_CELLS, n_peaks=800, quiet=True)
        prepared = sz.prepare(
            simulation.matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", quiet=True,
            min_cell_fraction=0,
        )  # fmt: skip
        rows = prepared.rows("train")[: N_STEPS * BATCH_SIZE]
        codes = prepared.sequences[rows][:, prepared.flank : prepared.flank + LENGTH]
        labels = prepared.labels(rows).toarray()
        np.save(folder / "sequences.npy", codes.astype(np.int8))
        np.save(folder / "labels.npy", labels.astype(bool))
        steps: dict[str, Any] = {}
        for title, python, program in (
            ("the published recipe, legacy Keras, float32", options.published, "published_worker"),
            ("scvi-tools' SCBASSET, float32", options.scvi, "scvi_worker"),
        ):
            if python:
                worker = workers.enter_context(Worker(python, program, folder, BATCH_SIZE))
                steps[title] = lambda worker=worker: worker.run()[0]
        steps["plain Keras 3 fit, float32, dense arrays"] = keras_steps(codes, labels.astype(np.float32))
        steps[OWN_FLOAT32] = scbasset_zoo_steps(prepared, "float32")
        # Without instructions for it, bfloat16 is emulated, and a run takes minutes.
        if resolve_precision("auto")[0] == "bfloat16":
            steps["scbasset_zoo, bfloat16"] = scbasset_zoo_steps(prepared, "bfloat16")
        seconds = interleaved(steps)
    speed = {name: N_STEPS * BATCH_SIZE / median(runs) for name, runs in seconds.items()}
    first = next(iter(speed))
    lines = [
        (name, f"{value:.1f}", f"{value / speed[first]:.2f}", f"{value / speed[OWN_FLOAT32]:.2f}") for name, value in speed.items()
    ]
    table = markdown(("training", "peaks/s", "x the first line", "x our float32"), lines)
    peers = (
        "The published recipe gets one-hot sequences and dense labels from memory, and computes the areas under both curves for "
        "each cell (TensorFlow 2.15). SCBASSET (scvi-tools 1.4) computes the AUROC of each batch. Both run in their own processes. "
        if options.published or options.scvi
        else ""
    )
    write_section(
        "training",
        f"## Training\n\nNetworks of full width with {N_CELLS:,} cells, in batches of {BATCH_SIZE}. The programs take turns; each "
        f"number is the median of five runs of {N_STEPS} steps. scbasset_zoo reads slices from disk, encodes and augments "
        f"sequences, and computes the sparse loss and the AUROC. {peers}Plain Keras gets encoded sequences and dense labels in "
        "memory, and computes no metric. TensorFlow does not tune buffers of the input here, which may delay the end of an epoch. "
        "Convolutions take most of a step in float32. The peers leave them to their library; scbasset_zoo computes those of five "
        "positions with a third of the multiplications."
        f"\n\n{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def scbasset_zoo_steps(prepared: Any, precision: str) -> Any:
    """Return a function that runs N_STEPS training steps of scbasset_zoo."""
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.train_options import TrainingOptions

    fit = Fit(prepared, TrainingOptions(precision=precision, batch_size=BATCH_SIZE), None)
    # As many peaks as the others get, so that all batches have the same size.
    fit.train_rows = fit.train_rows[: N_STEPS * BATCH_SIZE]
    fit.n_steps = N_STEPS

    def run() -> None:
        for _ in fit.epoch():
            pass
        fit.state.update(step=0, epoch=fit.state["epoch"] + 1)

    return run


def keras_steps(codes: Any, labels: Any) -> Any:
    """Return a function that fits N_STEPS batches with Keras' `Model.fit`."""
    import tensorflow as tf

    model = published.network(labels.shape[1])
    # Without the tuning of buffers, whose thread may keep an epoch from ending for as long as the epoch took.
    without_waiting = tf.data.Options()
    without_waiting.autotune.enabled = False
    batches = tf.data.Dataset.from_tensor_slices((dna.one_hot(codes), labels)).batch(BATCH_SIZE).with_options(without_waiting)

    def run() -> None:
        model.fit(batches, shuffle=False, verbose=0)

    return run


if __name__ == "__main__":
    main()
