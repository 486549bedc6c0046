"""Speed, exactness and memory of the mutation engine and of full passes of the same model, written into docs/benchmarks.md.

Run `python -m benchmarks.mutations` in the root of the repository, on a machine that does nothing else. It takes half an hour.
The model has the published network's size and random weights. With `--device cuda` it runs on a GPU and writes another section.
With `--fastism PYTHON` it also times fastISM; PYTHON is the interpreter of an environment with fastISM (see fastism_worker.py).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.network import EMBEDDING_SIZE, LENGTH, random_trunk
from benchmarks.table import graphics_card, interleaved, machine, markdown, median, peak_memory, write_section
from benchmarks.worker import Worker
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.devices import choose_device, open_session
from scbasset_zoo.runtime.mutations.engine import MutationEngine

ROOT = Path(__file__).parents[1]
BATCH_SIZES = {"cpu": (4, 8, 16, 32, 64, 128), "cuda": (64, 256, 1024)}
MOTIFS = ROOT.parent / "shared" / "data" / "motifs" / "cisbp_1.02_homo_sapiens.meme"
N_BACKGROUNDS = 1_000


def main() -> None:
    """Run all parts, print them and write them into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--fastism", metavar="PYTHON", help="Python of an environment with fastISM")
    parser.add_argument("--peak-memory-of-regions", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    benchmark = Benchmark(options.device)
    if options.peak_memory_of_regions:
        print(benchmark.peak_memory(options.peak_memory_of_regions))
        return
    packages = ["onnxruntime-gpu", "numpy", *(["tensorflow", "keras"] if options.device == "cpu" else [])]
    if options.device == "cuda":
        parts = ["## Mutations on CUDA", f"{graphics_card()}; {machine(*packages)}"]
    else:
        parts = ["## Mutations", machine(*packages)]
    parts_to_run = [
        benchmark.full_passes,
        benchmark.ism,
        benchmark.motif_insertion,
        benchmark.linearity,
        benchmark.exactness,
        benchmark.memory,
    ]
    if options.fastism:
        parts_to_run.append(lambda: benchmark.fastism(options.fastism))
    for part in parts_to_run:
        parts.append(part())
        print(parts[-1], flush=True)
    write_section(f"mutations on {options.device}", "\n\n".join(parts))


class Benchmark:
    """The model, its mutation engine, and full passes with the fastest batch size, which :meth:`full_passes` finds."""

    def __init__(self, device: str) -> None:
        self.device = choose_device(device)
        self.trunk = random_trunk()
        self.session = open_session(self.trunk.SerializeToString(), self.device)
        self.batch = BATCH_SIZES[device][-2]
        self.engine = MutationEngine(self.trunk, self.device, self.embed)
        self.rng = np.random.default_rng(0)

    def embed(self, codes: dna.Codes) -> np.ndarray:
        """Return peak embeddings by full passes, in batches."""
        results = np.empty((len(codes), EMBEDDING_SIZE), np.float32)
        for first in range(0, len(codes), self.batch):
            part = slice(first, first + self.batch)
            (results[part],) = self.session.run(["peak_embedding"], {"sequence": dna.one_hot(codes[part])})
        return results

    def sequences(self, n: int) -> dna.Codes:
        """Return random sequences as codes."""
        return self.rng.integers(0, 4, (n, LENGTH), dtype=np.int8)

    def full_passes(self) -> str:
        """Measure full passes with several batch sizes, and Keras; set the fastest batch size."""
        codes = self.sequences(128)
        x = dna.one_hot(codes)
        runs = {}
        for batch in BATCH_SIZES[self.device.name]:
            part = np.resize(x, (max(batch, 128), LENGTH, 4))
            runs[f"ONNX Runtime, batch {batch}"] = _in_batches(self.session, part, batch)
        n_sequences = dict.fromkeys(runs, 128) | {
            name: max(batch, 128) for name, batch in zip(runs, BATCH_SIZES[self.device.name], strict=True)
        }
        if self.device.name == "cpu":
            keras_model = _keras_model()
            for batch in (32, 128):
                name = f"Keras predict, batch {batch}"
                n_sequences[name] = 128
                runs[name] = _keras_predict(keras_model, x, batch)
        seconds = interleaved(runs)
        rates = {name: n_sequences[name] / median(values) for name, values in seconds.items()}
        best = max((name for name in rates if name.startswith("ONNX")), key=rates.__getitem__)
        self.batch = int(best.split()[-1])
        table = markdown(["Full passes", "sequences/s"], [[name, f"{rate:,.0f}"] for name, rate in rates.items()])
        return f"{table}\n\nThe full passes below are in batches of {self.batch}, the fastest of these."

    def ism(self) -> str:
        """Measure ISM of one whole sequence, by the engine and by all full passes."""
        codes = self.sequences(1)
        mutants = _mutants(codes[0])
        seconds = interleaved(
            {"full": lambda: self.embed(mutants), "engine": lambda: self.engine.saturation_mutagenesis(codes, quiet=True)}
        )
        return _comparison("ISM of one 1,344 bp sequence (4,032 substitutions)", seconds, len(mutants), len(mutants))

    def motif_insertion(self) -> str:
        """Measure all motifs at the centre of background sequences. The time of full passes is extrapolated from some of them."""
        motifs = consensus(MOTIFS)
        n_backgrounds, n_full = 50, 1_024
        starts = np.array([(LENGTH - len(motif)) // 2 for motif in motifs])
        backgrounds = self.sequences(N_BACKGROUNDS)

        def insert(n: int) -> None:
            which = np.repeat(np.arange(n), len(motifs))
            self.engine.mutate(backgrounds[:n], np.tile(starts, n), motifs * n, reference=which, quiet=True)

        sample = self.sequences(n_full)
        seconds = interleaved({"full": lambda: self.embed(sample), "engine": lambda: insert(n_backgrounds)})
        n_edits = len(motifs) * n_backgrounds
        table = _comparison(
            f"{len(motifs)} CIS-BP motifs ({min(map(len, motifs))} to {max(map(len, motifs))} bp) into {n_backgrounds} "
            f"backgrounds; full passes extrapolated from {n_full:,}",
            seconds,
            n_edits,
            n_full,
        )
        start = time.perf_counter()
        insert(N_BACKGROUNDS)
        whole = time.perf_counter() - start
        full = median(seconds["full"]) / n_full * len(motifs) * N_BACKGROUNDS
        return (
            f"{table}\n\nThe engine takes {whole:,.0f} s for all {N_BACKGROUNDS:,} backgrounds "
            f"({len(motifs) * N_BACKGROUNDS:,} edits; one run). Full passes would take {full:,.0f} s, {full / whole:.1f} times as "
            "long."
        )

    def linearity(self) -> str:
        """Measure the time for more and more edits of ten references."""
        references = self.sequences(10)
        rows = []
        for n_edits in (1_000, 4_000, 16_000, 64_000):
            starts, which = self.rng.integers(0, LENGTH - 10, n_edits), self.rng.integers(0, 10, n_edits)
            bases = self.rng.integers(0, 4, (n_edits, 10), dtype=np.int8)
            run = {"engine": lambda: self.engine.mutate(references, starts, bases, reference=which, quiet=True)}  # noqa: B023
            seconds = median(interleaved(run, 3)["engine"])
            rows.append([f"{n_edits:,}", f"{seconds:.2f}", f"{seconds / n_edits * 1e6:,.0f}"])
        return markdown(["Edits of 10 bp, of 10 references", "s", "us per edit"], rows)

    def exactness(self) -> str:
        """Return the largest difference from full passes: 10,080 edits of 1 to 60 bp with N, two of each width at the ends."""
        worst = np.zeros(2)
        head = self.rng.normal(size=(EMBEDDING_SIZE, 400)) * 0.5
        scale = 0.0
        for width in range(1, 61):
            references = self.rng.integers(0, 4 + width % 2, (2, LENGTH), dtype=np.int8)
            starts = np.concatenate([[0, LENGTH - width], self.rng.integers(0, LENGTH - width + 1, 166)])
            bases = self.rng.integers(0, 5, (168, width), dtype=np.int8)
            which = np.arange(168) % 2
            edited = references[which].copy()
            np.put_along_axis(edited, starts[:, None] + np.arange(width), bases, axis=1)
            got = self.engine.mutate(references, starts, bases, reference=which, quiet=True)
            full = self.embed(edited)
            difference = got - full
            worst = np.maximum(worst, [np.abs(difference).max(), np.abs(difference @ head).max()])
            scale = max(scale, np.abs(full @ head).max())
        rows = [["peak embedding", f"{worst[0]:.1e}"], [f"logits of 400 cells (up to {scale:.0f})", f"{worst[1]:.1e}"]]
        return markdown(["10,080 edits of 1 to 60 bp, N included: largest difference from full passes in", ""], rows)

    def fastism(self, python: str) -> str:
        """Measure ISM by fastISM and by the engine, in turn."""
        n_sequences = 4
        codes = self.sequences(1)
        rates: dict[str, list[float]] = {"fastISM": [], "mutation engine": []}
        with Worker(python, "fastism_worker", n_sequences) as worker:
            for _ in range(4):
                seconds, substitutions = worker.run()
                rates["fastISM"].append(substitutions / seconds)
                start = time.perf_counter()
                self.engine.saturation_mutagenesis(codes, quiet=True)
                rates["mutation engine"].append(3 * LENGTH / (time.perf_counter() - start))
        fastism_rate, engine_rate = (median(values[1:]) for values in rates.values())
        rows = [
            ["fastISM", f"{fastism_rate:,.0f}", "1"],
            ["mutation engine", f"{engine_rate:,.0f}", f"**{engine_rate / fastism_rate:.1f}**"],
        ]
        return (
            markdown(["ISM, same layers", "substitutions/s", "times"], rows)
            + f"\n\nfastISM 0.5.1 with Keras 2 (TensorFlow 2.15), {n_sequences} sequences at once. It supports neither a GELU "
            "before the first convolution nor padded pools. Its network therefore has each GELU after the convolution, and pools "
            "without padding. At 1,344 bp the layers have the same lengths and need the same number of multiplications."
        )

    def memory(self) -> str:
        """Measure the peak memory of streamed ISM, with a new process for each number of regions."""
        rows = []
        for n in (16, 100):
            command = [sys.executable, __file__, "--device", self.device.name, "--peak-memory-of-regions", str(n)]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append([n, f"{int(peak) / 2**30:.2f}"])
        return markdown(["Regions, ISM streamed", "peak GiB"], rows)

    def peak_memory(self, n_regions: int) -> int:
        """Return the peak memory of this process in bytes, after ISM of some regions whose results are dropped."""
        for _ in self.engine.saturation_mutagenesis_blocks(self.sequences(n_regions), quiet=True):
            pass
        return peak_memory()


def _comparison(title: str, seconds: dict[str, list[float]], n_engine: int, n_full: int) -> str:
    full, engine = (median(seconds[name]) / n for name, n in (("full", n_full), ("engine", n_engine)))
    rows = [
        ["full passes", f"{full * n_engine:,.1f}", f"{1 / full:,.0f}", "1"],
        ["mutation engine", f"{engine * n_engine:,.2f}", f"{1 / engine:,.0f}", f"**{full / engine:.1f}**"],
    ]
    return markdown([title, "s", "edits/s", "times"], rows)


def _mutants(codes: dna.Codes) -> dna.Codes:
    position, base = np.nonzero(codes[:, None] != np.arange(4))
    mutants = np.repeat(codes[None], len(position), axis=0)
    mutants[np.arange(len(position)), position] = base
    return mutants


def consensus(path: Path) -> list[str]:
    """Return the most probable base at each position of each motif of a MEME file."""
    motifs: list[list[str]] = []
    for line in path.read_text().splitlines():
        if line.startswith("letter-probability"):
            motifs.append([])
        elif motifs and (values := line.split()) and values[0][0].isdigit():
            motifs[-1].append(dna.ALPHABET[int(np.argmax([float(value) for value in values]))])
    return ["".join(motif) for motif in motifs]


def _in_batches(session, x, batch):
    def run() -> None:
        for first in range(0, len(x), batch):
            session.run(["peak_embedding"], {"sequence": x[first : first + batch]})

    return run


def _keras_model():
    from scbasset_zoo.training.architecture import Architecture, Network

    return Network(Architecture(n_cells=1)).trunk


def _keras_predict(model, x, batch):
    return lambda: model.predict(x, batch_size=batch, verbose=0)


if __name__ == "__main__":
    main()
