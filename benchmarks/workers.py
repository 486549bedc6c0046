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

import pandas as pd

import scbasset_zoo as sz
from benchmarks.table import machine, markdown, median, write_section

N_CELLS, N_PEAKS, BATCH_SIZE, N_EPOCHS, REPETITIONS = 2_034, 600, 128, 3, 3
TRAIN = """
import os, sys
os.sched_setaffinity(0, [int(sys.argv[3])])
import scbasset_zoo as sz
sz.train(sys.argv[1], out=sys.argv[2], epochs=int(sys.argv[4]), batch_size=int(sys.argv[5]), precision=sys.argv[6], quiet=True)
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
    rows = [("one worker on one core", f"{one:.1f}", "1.00"), ("two workers on two cores", f"{two:.1f}", f"{two / one:.2f}")]
    table = markdown(("training", "peaks/s", "ratio"), rows)
    write_section(
        "workers",
        f"## Several workers\n\nTraining of a network of full width with {N_CELLS:,} cells in float32, batches of {BATCH_SIZE} in "
        f"all, `--strategy multiworker` on one machine. Medians of {REPETITIONS} runs in turn; of each run the last of {N_EPOCHS} "
        "epochs.\n\n"
        f"{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def peaks_per_second(prepared: Path, out: Path, n_workers: int) -> float:
    """Train, and return the speed of the last epoch."""
    ports = []
    for _ in range(n_workers):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, *map(str, (prepared, out, index, N_EPOCHS, BATCH_SIZE, "float32"))],
            env={**os.environ, "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})},
        )
        for index in range(n_workers)
    ]
    codes = [worker.wait() for worker in workers]
    if any(codes):
        raise RuntimeError("A worker failed. Its message is above.")
    return float(pd.read_csv(out / "history.csv")["peaks_per_second"].iloc[-1])


if __name__ == "__main__":
    main()
