"""Time of a training step and memory of the whole process, by number of cells, also with cells drawn for each step."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.table import machine, markdown, median, peak_memory, write_section

BATCH_SIZE, OPEN = 128, 0.02
N_STEPS = 3
# Cells, and cells drawn for each step (0: all).
CASES = ((10_000, 0), (50_000, 0), (100_000, 0), (1_000_000, 0), (1_000_000, 50_000), (10_000_000, 50_000))
REPETITIONS = 3


def main() -> None:
    """Measure each case in a process of its own, in turn; print the table and write it into docs/benchmarks.md."""
    results: dict[tuple[int, int], list[dict[str, float]]] = {case: [] for case in CASES}
    for _ in range(REPETITIONS):
        for case in CASES:
            command = [sys.executable, "-m", "benchmarks.training_many_cells", *map(str, case)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results[case].append(json.loads(done.stdout.splitlines()[-1]))
            print(case, results[case][-1], flush=True)
    seconds = {case: median([run["seconds"] for run in runs]) for case, runs in results.items()}
    memory = {case: max(run["gb"] for run in runs) for case, runs in results.items()}
    rows = [
        (f"{cells:,}", f"{drawn:,}" if drawn else "all", f"{seconds[cells, drawn]:.2f}",
         f"{seconds[cells, drawn] / seconds[CASES[0]]:.2f}", f"{memory[cells, drawn]:.1f}")
        for cells, drawn in CASES
    ]  # fmt: skip
    table = markdown(("cells", "cells in a step", "seconds a step", "x 10,000 cells", "memory in GB"), rows)
    ratio = seconds[1_000_000, 50_000] / seconds[50_000, 0]
    write_section(
        "training many cells",
        f"## Training many cells\n\nNetworks of full width in `auto` precision, {BATCH_SIZE} peaks a step, about {OPEN:.0%} of the "
        f"entries open, random labels. Each case runs in a process of its own; rounds: {REPETITIONS}. Seconds are the median "
        f"over the runs of the median of {2 * N_STEPS} steps, after four that are not counted. Memory is the largest of the whole "
        "process, with Python and TensorFlow. A step of 50,000 drawn cells of 1,000,000 takes "
        f"{ratio:.2f} times as long as one of 50,000 cells in all.\n\n{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def measure(n_cells: int, n_drawn: int) -> dict[str, float]:
    """Return seconds of a step and the memory of this process in GB."""
    from scbasset_zoo.training.tensorflow_setup import require_tensorflow

    require_tensorflow()
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.process_settings import standard_settings
    from scbasset_zoo.training.train_options import TrainingOptions

    with standard_settings(), tempfile.TemporaryDirectory() as folder:
        options = TrainingOptions(batch_size=BATCH_SIZE, cells_per_step=n_drawn or None)
        fit = Fit(random_peaks(n_cells, Path(folder)), options, None)
        times = []
        for _ in range(2 + N_STEPS):
            begin = time.perf_counter()
            for _ in fit.epoch():
                times.append(time.perf_counter() - begin)
                begin = time.perf_counter()
            fit.state.update(step=0, epoch=fit.state["epoch"] + 1)
    return {"seconds": median(times[4:]), "gb": peak_memory() / 1e9}


def random_peaks(n_cells: int, folder: Path) -> object:
    """Return two batches of random training peaks, and a few validation peaks; the folder gets their manifest alone."""
    from scbasset_zoo.training.dataset import PreparedPeaks

    rng = np.random.default_rng(0)
    n_train, n_peaks = 2 * BATCH_SIZE, 2 * BATCH_SIZE + 8
    # Sorted, without repeats: a step of about 1 / OPEN cells to the next open cell.
    cells = [np.cumsum(rng.integers(1, int(2 / OPEN), int(n_cells * OPEN * 0.9))) for _ in range(n_peaks)]
    cells = [row[row < n_cells].astype(np.int32) for row in cells]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in cells])])
    peaks = pd.DataFrame({"split": ["train"] * n_train + ["validation"] * 8, "n_open_cells": np.diff(indptr)})
    splits = {"train": n_train, "validation": 8, "test": 0}
    manifest = {"n_cells": n_cells, "n_peaks": n_peaks, "sequence_length": 1344, "flank": 8, "splits": splits}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    codes = rng.integers(0, 4, (n_peaks, 1360)).astype(np.int8)
    return PreparedPeaks(folder, manifest, codes, indptr, np.concatenate(cells), pd.DataFrame(), peaks)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
    else:
        main()
