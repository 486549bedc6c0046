"""Training by two workers on this machine, one core each, beside one worker on one core; written into docs/benchmarks.md.

Run `python -m benchmarks.workers` in the root of the repository, on a machine with two idle cores. It takes about ten minutes.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

import scbasset_zoo as sz
from benchmarks.table import machine, markdown, median, write_section

N_CELLS, N_PEAKS, BATCH_SIZE, N_EPOCHS, REPETITIONS = 2_034, 420, 128, 5, 5
TRAIN = """
import json, os, sys
prepared, out, core, options = sys.argv[1:]
if core:
    os.sched_setaffinity(0, [int(core)])
import scbasset_zoo as sz
sz.train(prepared, out=out, quiet=True, **json.loads(options))
"""


def main() -> None:
    """Measure, print the table and write it into docs/benchmarks.md."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulation = sz.simulate(folder / "simulated", n_cells=N_CELLS, n_peaks=N_PEAKS, quiet=True)
        prepared = folder / "prepared"
        sz.prepare(simulation.matrix, genome=simulation.genome, assembly="simulated", out=prepared, quiet=True, min_cell_fraction=0)
        speeds: dict[int, list[float]] = {1: [], 2: []}
        for repetition in range(REPETITIONS):
            for n_workers, measured in speeds.items():
                measured.append(peaks_per_second(prepared, folder / f"run-{n_workers}-{repetition}", n_workers))
                print(n_workers, measured[-1], flush=True)
    one, two = (median(measured) for measured in speeds.values())
    ratios = [two / one for one, two in zip(*speeds.values(), strict=True)]
    rows = [("one worker on one core", f"{one:.1f}", "1.00"), ("two workers on two cores", f"{two:.1f}", f"{median(ratios):.2f}")]
    table = markdown(("training", "peaks/s", "ratio"), rows)
    write_section(
        "workers",
        f"## Several workers\n\nTraining of a network of full width with {N_CELLS:,} cells in float32, batches of {BATCH_SIZE} in "
        f"all, `--strategy multiworker` on one machine. Medians of {REPETITIONS} runs in turn; of each run the median of "
        f"{N_EPOCHS - 1} epochs, after one that is not counted. The ratio is the median over pairs of runs that follow each other: "
        f"{', '.join(f'{ratio:.2f}' for ratio in ratios)}.\n\n"
        f"{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def peaks_per_second(prepared: Path, out: Path, n_workers: int) -> float:
    """Train with a core for each worker, and return the median speed of the epochs after the first."""
    train_by_workers(prepared, out, n_workers, {"epochs": N_EPOCHS, "batch_size": BATCH_SIZE, "precision": "float32"}, pinned=True)
    return float(pd.read_csv(out / "history.csv")["peaks_per_second"].iloc[1:].median())


def train_by_workers(prepared: Path, out: Path, n_workers: int, options: dict[str, Any], *, pinned: bool = False) -> None:
    """Train by several workers on this machine; if `pinned`, each has one core."""
    ports = []
    for _ in range(n_workers):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, prepared, out, str(index) if pinned else "", json.dumps(options)],
            env={**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})},
        )
        for index in range(n_workers)
    ]
    codes = [worker.wait() for worker in workers]
    if any(codes):
        raise RuntimeError("A worker failed. Its message is above.")


if __name__ == "__main__":
    main()
