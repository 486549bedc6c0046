"""Throughput of predictions, and how far CUDA's numbers are from the CPU's, written into docs/benchmarks.md.

Run `python -m benchmarks.prediction` in the root of the repository. With `--device cuda` it runs on a GPU, compares its numbers
with those of the CPU of the same machine, and writes another section. The model has the published network's size and random
weights.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import scbasset_zoo as sz
from benchmarks.network import LENGTH, write_random_package
from benchmarks.table import graphics_card, interleaved, machine, markdown, median, write_section
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.windows import sequence_windows

BATCH_SIZES = {"cpu": (8, 32, 128), "cuda": (64, 256, 1024)}
N_SEQUENCES = {"cpu": 512, "cuda": 16_384}
N_CELLS = 2_000
N_COMPARED = 256


def main() -> None:
    """Run all parts, print them and write them into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    device = parser.parse_args().device
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        write_random_package(Path(folder) / "model", N_CELLS)
        model = sz.open_model(str(Path(folder) / "model"), device=device)
        codes = rng.integers(0, 4, (N_SEQUENCES[device], LENGTH), dtype=np.int8)
        parts = [f"## Predictions on {device.upper()}", _machine(device), throughput(model, codes)]
        if device == "cuda":
            parts.append(agreement(model, sz.open_model(str(Path(folder) / "model"), device="cpu"), codes[:N_COMPARED]))
    print("\n\n".join(parts), flush=True)
    write_section(f"predictions on {device}", "\n\n".join(parts))


def throughput(model: sz.Model, codes: dna.Codes) -> str:
    """Measure peak embeddings with several batch sizes, and whole predictions."""
    windows = sequence_windows(codes, LENGTH)
    runs = {f"peak embedding, batch {n}": _embed(model, codes, n) for n in BATCH_SIZES[model.device.name]}
    runs[f"probabilities in {model.n_cells:,} cells"] = lambda: model.predict(windows)
    runs["probabilities in 4 groups of cells"] = lambda: model.predict(windows, group_by="group")
    seconds = interleaved(runs, 3)
    rows = [[name, f"{len(codes) / median(values):,.0f}"] for name, values in seconds.items()]
    return markdown([f"{len(codes):,} sequences of {LENGTH:,} bp", "sequences/s"], rows)


def agreement(model: sz.Model, reference: sz.Model, codes: dna.Codes) -> str:
    """Compare the numbers of two devices."""
    sequence = codes[:1]
    pairs = {
        "peak embedding": (model.embed(codes), reference.embed(codes)),
        "logits": (model.logits(codes), reference.logits(codes)),
        "probabilities": (model.accessibility(codes), reference.accessibility(codes)),
        "ISM of a sequence, peak embedding": (
            model.saturation_mutagenesis(sequence, quiet=True),
            reference.saturation_mutagenesis(sequence, quiet=True),
        ),
    }
    rows = [[name, f"{np.abs(b).max():.3g}", f"{np.abs(a - b).max():.1e}"] for name, (a, b) in pairs.items()]
    return markdown([f"CUDA against CPU, {len(codes)} sequences", "largest value", "largest difference"], rows)


def _embed(model: sz.Model, codes: dna.Codes, batch_size: int):
    return lambda: model.embed(codes, batch_size=batch_size)


def _machine(device: str) -> str:
    text = machine("onnxruntime-gpu", "numpy")
    return f"{graphics_card()}; {text}" if device == "cuda" else text


if __name__ == "__main__":
    main()
