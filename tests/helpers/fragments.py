"""Small files of fragments, shaped as Cell Ranger writes them, and a naive count of them."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
from Bio import bgzf

HEADER = "# id=simulated\n# description=small\n#\n# primary_contig=chr1\n"


def barcodes(n, seed=0):
    """Return distinct barcodes of 10x."""
    rng = np.random.default_rng(seed)
    return sorted({"".join(rng.choice(list("ACGT"), 16)) + "-1" for _ in range(2 * n)})[:n]


def random_fragments(n=3_000, n_cells=20, chroms=("chr1", "chr2"), length=20_000, seed=0):
    """Return sorted fragments (chrom, start, end, barcode), all different; some share a start."""
    rng = np.random.default_rng(seed)
    names = barcodes(n_cells)
    drawn = set()
    while len(drawn) < n:
        start = int(rng.integers(0, length - 1_000) // 3 * 3)
        drawn.add(
            (str(rng.choice(chroms)), start, start + int(rng.integers(20, 900)), names[int(rng.integers(n_cells) ** 2) // n_cells])
        )
    return sorted(drawn, key=lambda fragment: (chroms.index(fragment[0]), *fragment[1:]))


def write_fragments(path: Path, fragments, header=HEADER):
    """Write a file of fragments: bgzip if it ends in .gz, else plain."""
    text = header + "".join(f"{chrom}\t{start}\t{end}\t{barcode}\t2\n" for chrom, start, end, barcode in fragments)
    return write_text(path, text)


def write_text(path: Path, text: str, *, bgzip=True):
    """Write a text: bgzip or gzip if the name ends in .gz, else plain."""
    if path.suffix != ".gz":
        path.write_text(text)
    elif bgzip:
        with bgzf.open(str(path), "wb") as file:
            file.write(text.encode())
    else:
        with gzip.open(path, "wt") as file:
            file.write(text)
    return path


def naive_counts(fragments, peaks, counting):
    """Count by hand: {(barcode, peak number): n}, for peaks (chrom, start, end)."""
    counts = Counter()
    for chrom, start, end, barcode in set(fragments):
        for number, (peak_chrom, peak_start, peak_end) in enumerate(peaks):
            hits = sum(chrom == peak_chrom and peak_start <= place < peak_end for place in (start, end - 1))
            if hits:
                counts[barcode, number] += hits if counting == "insertions" else 1
    return counts


def write_bed(path: Path, intervals):
    """Write intervals (chrom, start, end) as a BED."""
    path.write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in intervals))
    return path
