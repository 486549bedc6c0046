"""Measure ISM by two workers on two cores against one worker on one core; write the table to docs/benchmarks.md.

Run `python -m benchmarks.spreading` in the root of the repository, on two free cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

import scbasset_zoo as sz
from benchmarks.table import DOCUMENT, interleaved, machine, markdown, median, write_section
from scbasset_zoo.spreading.executors import LocalProcesses
from scbasset_zoo.zoo.models import open_model

MODEL = "scbasset/demo"


def main() -> None:
    """Time both in turn, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "sequences.fa"
        write_random_sequences(fasta, given.regions, open_model(MODEL, "cpu").sequence_length)
        executors = {n: LocalProcesses(n) for n in (1, 2)}

        def run_on_cores(n: int) -> None:
            # Workers inherit the cores of this process with their first part; each computes with as many threads as its cores.
            os.sched_setaffinity(0, cores[:n])
            run(executors[n], fasta)

        seconds = interleaved({str(n): partial(run_on_cores, n) for n in executors}, given.repetitions)
        for executor in executors.values():
            executor.shutdown()
    one, two = (median(seconds[name]) for name in ("1", "2"))
    rows = [("one worker on one core", f"{one:.1f} s", "1.0"), ("two workers on two cores", f"{two:.1f} s", f"{one / two:.2f}")]
    text = f"""## Spread work
ISM of {given.regions} random sequences with {MODEL}, latent; medians of {given.repetitions} runs in turn.
Workers have opened the model. One core: this process and its worker share it, with one thread.
{machine("onnxruntime-gpu", "numpy")}

{markdown(("", "time", "ratio"), rows)}
"""
    print(text)
    write_section("spreading", text, given.document)


def run(executor: LocalProcesses, fasta: Path) -> None:
    """Compute ISM of the sequences."""
    sz.run("ism", MODEL, sequences=fasta, device="cpu", executor=executor, quiet=True)


def write_random_sequences(path: Path, n: int, length: int) -> None:
    """Write n random sequences as FASTA."""
    letters = np.random.default_rng(0).choice(list("ACGT"), (n, length))
    path.write_text("".join(f">{number}\n{''.join(row)}\n" for number, row in enumerate(letters)))


if __name__ == "__main__":
    main()
