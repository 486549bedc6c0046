"""Time and memory of counting fragments in peaks, beside SnapATAC2, written into docs/benchmarks.md.

Run `python -m benchmarks.counting --snapatac2 PYTHON` in the root of the repository; PYTHON is that of an environment with
SnapATAC2. Without it only this project is timed. Fragments are simulated: 10,000 cells and 200,000 other barcodes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from isal import igzip

from benchmarks.table import machine, markdown, write_section
from scbasset_zoo.inputs.assemblies import assembly_sizes

N_PEAKS, N_CELLS, N_OTHERS = 100_000, 10_000, 200_000
WORKER = Path(__file__).with_name("counting_worker.py")


def main() -> None:
    """Simulate, count with each tool in turn, print the table and write it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapatac2", help="python of an environment with SnapATAC2")
    parser.add_argument("--fragments", type=int, nargs="+", default=[5_000_000, 50_000_000])
    arguments = parser.parse_args()
    pythons = {"scbasset_zoo": sys.executable} | ({"snapatac2": arguments.snapatac2} if arguments.snapatac2 else {})
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in arguments.fragments:
            files = simulate(Path(folder), n)
            results = {tool: run(tool, python, files) for tool, python in pythons.items()}
            totals = [total for _, _, total in results.values()]
            # A few simulated fragments repeat by chance; this project counts each once.
            assert max(totals) - min(totals) <= 1e-5 * max(totals), f"the tools counted differently: {results}"
            for tool, (seconds, memory, _) in results.items():
                ratio = seconds / results["scbasset_zoo"][0]
                values = (f"{seconds:,.0f}", f"{n / seconds / 1e6:.2f}", f"{memory / 2**30:.1f}", f"{ratio:.1f}")
                rows.append([f"{n / 1e6:,.0f} million, {tool}", *values])
    header = ["fragments", "seconds", "million/s", "GiB", "seconds / ours"]
    title = f"## Counting fragments in {N_PEAKS:,} peaks"
    text = "\n\n".join([title, machine("pyarrow", "isal"), markdown(header, rows), NOTE])
    print(text, flush=True)
    write_section("counting", text)


NOTE = (
    f"Simulated fragments of {N_CELLS:,} listed cells and {N_OTHERS:,} other barcodes, 40 % of them in peaks, as gzip. The time is "
    "from the file of fragments to the matrix on disk. SnapATAC2 writes all fragments into a file first, which other steps of it "
    "use. Both give the same counts, but for a few lines that repeat a fragment, which count once here."
)


def run(tool: str, python: str, files: list[Path]) -> tuple[float, int, int]:
    """Count with one tool in a process of its own; return seconds, largest memory and the sum of the counts."""
    command = [python, str(WORKER), tool, *map(str, files)]
    seconds, memory, total = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-3:]
    return float(seconds), int(memory), int(total)


def simulate(folder: Path, n: int) -> list[Path]:
    """Write fragments, peaks, cells and chromosome lengths; return these files and the one to write."""
    rng = np.random.default_rng(0)
    sizes = {chrom: size for chrom, size in assembly_sizes("hg38").items() if chrom != "chrM"}
    genome = sum(sizes.values())
    names = _barcodes(N_CELLS + N_OTHERS, rng)
    weights = np.concatenate([rng.lognormal(9, 0.5, N_CELLS), rng.lognormal(2, 1, N_OTHERS)])
    cumulated = np.cumsum(weights / weights.sum())
    files = [folder / name for name in ("fragments.tsv.gz", "peaks.bed", "cells.txt", "sizes.json", "matrix.h5ad")]
    files[2].write_text("\n".join(names[:N_CELLS]) + "\n")
    files[3].write_text(json.dumps(sizes))
    with igzip.open(files[0], "wb", compresslevel=1) as out, files[1].open("w") as bed:
        for chrom, size in sizes.items():
            peaks = np.sort(rng.choice(size // 600 - 4, round(N_PEAKS * size / genome), replace=False)) * 600 + 300
            bed.writelines(f"{chrom}\t{peak}\t{peak + 500}\n" for peak in peaks)
            n_here = round(n * size / genome)
            in_peaks = peaks[rng.integers(0, len(peaks), n_here)] + rng.integers(-60, 440, n_here)
            start = np.sort(np.where(rng.random(n_here) < 0.4, in_peaks, rng.integers(0, size - 3_000, n_here)))
            barcode = np.searchsorted(cumulated, rng.random(n_here)).clip(0, len(names) - 1)
            table = pa.table({
                "chrom": pa.array([chrom]).take(pa.array(np.zeros(n_here, np.int32))),
                "start": start,
                "end": start + np.clip(rng.gamma(2, 90, n_here).astype(np.int64) + 20, 20, 1_500),
                "barcode": pa.array(names).take(pa.array(barcode)),
                "n_reads": rng.integers(1, 5, n_here),
            })  # fmt: skip
            options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
            pyarrow.csv.write_csv(table, out, options)
    return files


def _barcodes(n: int, rng: np.random.Generator) -> list[str]:
    drawn = {"".join(letters) + "-1" for letters in np.array(list("ACGT"))[rng.integers(0, 4, (n + 1_000, 16))]}
    return sorted(drawn)[:n]


if __name__ == "__main__":
    main()
