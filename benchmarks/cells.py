"""How the time and the memory of training grow with the number of cells: the numbers of docs/choosing-settings.md.

Run `python -m benchmarks.cells` in the root of the repository. Each number of cells has processes of its own, so that each has its
own peak of memory. The trainings take turns, so that other work on the machine slows all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import scbasset_zoo as sz
from benchmarks.table import machine, markdown, median, peak_memory

N_PEAKS, DENSITY = 2_000, 0.03
BATCH_SIZE = 128
# Training steps of a turn, and turns that count.
N_STEPS, N_TURNS = 6, 6
STEPS = ("simulate", "prepare", "train")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--measure", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        step, folder = options.measure
        measure(step, Path(folder), options.cells[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        used = {(n, step): _only_line(_start(step, Path(folder), n)) for n in options.cells for step in STEPS[:2]}
        trainings = train_in_turns(Path(folder), options.cells)
    header = ("cells", *STEPS[:2], "a training step", "steps/s", "memory of the training")
    rows = []
    for n, training in trainings.items():
        before = [f"{used[n, step]['seconds']:.0f} s, {_gib(used[n, step]['memory'])}" for step in STEPS[:2]]
        rows.append((f"{n:,}", *before, f"{training['seconds']:.2f} s", f"{1 / training['seconds']:.2f}", _gib(training["memory"])))
    print(machine("tensorflow", "keras"), markdown(header, rows), sep="\n\n")


def train_in_turns(folder: Path, numbers_of_cells: list[int]) -> dict[int, dict[str, float]]:
    """Return the seconds of a training step and the peak memory for each number of cells."""
    with ExitStack() as stack:
        workers = {n: stack.enter_context(_start("train", folder, n)) for n in numbers_of_cells}
        for _ in range(N_TURNS + 1):
            for worker in workers.values():
                worker.stdin.write("turn\n")
                worker.stdin.flush()
                worker.stdout.readline()
        return {n: _only_line(worker) for n, worker in workers.items()}


def measure(step: str, folder: Path, n_cells: int) -> None:
    """Run a step in this process, and print the seconds that it took and the peak of the memory."""
    simulated, prepared = folder / f"simulated_{n_cells}", folder / f"prepared_{n_cells}"
    start = time.perf_counter()
    if step == "simulate":
        sz.simulate(simulated, n_cells=n_cells, n_peaks=N_PEAKS, density=DENSITY, quiet=True)
    elif step == "prepare":
        matrix, genome = simulated / "matrix.h5ad", simulated / "genome.fa"
        sz.prepare(matrix, genome=genome, assembly="simulated", out=prepared, min_peaks_per_cell=1, min_cell_fraction=0, quiet=True)
    seconds = median(training_turns(prepared)) / N_STEPS if step == "train" else time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "memory": peak_memory()}))


def training_turns(prepared: Path) -> list[float]:
    """Return the seconds of each turn. A turn begins with a line on standard input; the last one ends with the epoch."""
    from scbasset_zoo.training.tensorflow_setup import require_tensorflow

    require_tensorflow()
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.train_options import TrainingOptions

    fit = Fit(sz.open_prepared(prepared), TrainingOptions(precision="float32", batch_size=BATCH_SIZE), None)
    # Batches of equal sizes.
    fit.train_rows = fit.train_rows[: N_STEPS * BATCH_SIZE]
    fit.n_steps = N_STEPS
    seconds = []
    for _ in range(N_TURNS + 1):
        sys.stdin.readline()
        start = time.perf_counter()
        for _ in fit.epoch():
            pass
        seconds.append(time.perf_counter() - start)
        print("done", flush=True)
        fit.state.update(step=0, epoch=fit.state["epoch"] + 1)
    # What an epoch ends with also needs memory.
    fit.end_epoch()
    fit.snapshot()
    return seconds[1:]


def _start(step: str, folder: Path, n_cells: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.cells", "--cells", str(n_cells), "--measure", step, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _only_line(process: Any) -> dict[str, float]:
    out, _ = process.communicate()
    return json.loads(out)


def _gib(n_bytes: float) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"


if __name__ == "__main__":
    main()
