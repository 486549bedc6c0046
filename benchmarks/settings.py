"""Throughput of full passes and of `predict` on the CPU, by setting, written into docs/benchmarks.md.

Run `python -m benchmarks.settings` in the root of the repository, on a machine that does nothing else. It takes about ten minutes,
and with `--peaks 50000` twice the time of 50,000 full passes longer.
On processors of Intel it also measures OpenVINO, with the extra openvino. The model has the size of the published network and
random weights.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import scbasset_zoo as sz
from benchmarks.network import LENGTH, write_random_package
from benchmarks.table import interleaved, machine, markdown, median, write_section
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.devices import open_session
from scbasset_zoo.runtime.processor import bfloat16_instructions

N_CELLS, N_SEQUENCES = 2_000, 256
# Of more peaks than this, `predict` runs twice, of which the second run counts, and the bare session takes as many sequences.
MANY_PEAKS = 5_000
CHROMOSOME = 5_000_000


def main() -> None:
    """Measure, print the tables and write them into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peaks", type=int, default=2_000, help="peaks of the BED that is predicted")
    options = parser.parse_args()
    precisions = ["float32", *(["bfloat16"] if bfloat16_instructions() else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_random_package(folder / "model", N_CELLS)
        models = {"cpu, float32": sz.open_model(folder / "model", "cpu")}
        for precision in precisions:
            try:
                models[f"openvino, {precision}"] = sz.open_model(folder / "model", "openvino", precision=precision)
            except sz.DeviceError as error:
                print(f"Left out: {error}")
        packages = ["onnxruntime-gpu", *(["onnxruntime-ep-openvino"] if len(models) > 1 else [])]
        parts = [
            f"## Settings on a CPU\n\n{machine(*packages)} Medians of five runs in turns; of files, "
            f"{'of three' if options.peaks <= MANY_PEAKS else 'the second run'}.",
            full_passes(models),
            predictions(models, folder, options.peaks),
        ]
    print("\n\n".join(parts), flush=True)
    write_section("settings", "\n\n".join(parts))


def full_passes(models: dict[str, sz.Model]) -> str:
    """Compare `embed` of each setting with the bare session of ONNX Runtime in float32."""
    codes = np.random.default_rng(0).integers(0, 4, (N_SEQUENCES, LENGTH), dtype=np.int8)
    runs = {"bare session of ONNX Runtime, one-hot given": bare(models["cpu, float32"], dna.one_hot(codes))}
    runs |= {name: lambda model=model: model.embed(codes) for name, model in models.items()}
    seconds = {name: median(values) for name, values in interleaved(runs).items()}
    reference = seconds["cpu, float32"]
    rows = [(name, f"{N_SEQUENCES / value:.0f}", f"{reference / value:.2f}") for name, value in seconds.items()]
    return markdown(("full passes", "sequences/s", "times cpu, float32"), rows)


def bare(model: sz.Model, sequences: np.ndarray, batch: int = 32) -> Callable[[], object]:
    """Return a function that runs a session of the trunk itself, in the batches of `embed`."""
    session = open_session(model._trunk.SerializeToString(), model.device)
    starts = range(0, len(sequences), batch)
    return lambda: [session.run(None, {"sequence": sequences[first : first + batch]}) for first in starts]


def repetitions(n_peaks: int) -> int:
    """Return how often predictions are measured."""
    return 3 if n_peaks <= MANY_PEAKS else 1


def predictions(models: dict[str, sz.Model], folder: Path, n_peaks: int) -> str:
    """Compare `predict` of a BED, with reading and writing, with the bare session's passes of as many sequences."""
    rng = np.random.default_rng(0)
    bases = np.frombuffer(b"ACGT", np.uint8)[rng.integers(0, 4, CHROMOSOME)].tobytes().decode()
    (folder / "genome.fa").write_text(">chr1\n" + "\n".join(bases[i : i + 80] for i in range(0, CHROMOSOME, 80)) + "\n")
    starts = np.sort(rng.integers(LENGTH, CHROMOSOME - 2 * LENGTH, n_peaks))
    pd.DataFrame({"chrom": "chr1", "start": starts, "end": starts + 500}).to_csv(
        folder / "peaks.bed", sep="\t", header=False, index=False
    )
    sequences = dna.one_hot(rng.integers(0, 4, (N_SEQUENCES, LENGTH), dtype=np.int8))
    passes = bare(models["cpu, float32"], sequences)
    n_bare = min(n_peaks, MANY_PEAKS) // N_SEQUENCES * N_SEQUENCES

    def bare_passes() -> None:
        for _ in range(n_bare // N_SEQUENCES):
            passes()

    def predicted(model: sz.Model) -> object:
        return sz.predict(model, folder / "peaks.bed", folder / "genome.fa", out=folder / "out.h5ad", overwrite=True, force=True)

    runs: dict[str, Callable[[], object]] = {"bare session, without reading, cells and writing": bare_passes}
    runs |= {f"predict, {name}": lambda model=model: predicted(model) for name, model in models.items()}
    seconds = {name: median(values) for name, values in interleaved(runs, repetitions(n_peaks)).items()}
    first = next(iter(runs))
    rates = {name: (n_bare if name == first else n_peaks) / value for name, value in seconds.items()}
    rows = [(name, f"{rate:.0f}", f"{rate / rates[first]:.2f}") for name, rate in rates.items()]
    return markdown((f"{n_peaks:,} peaks of a BED x {N_CELLS:,} cells to .h5ad", "peaks/s", "times the bare session"), rows)


if __name__ == "__main__":
    main()
