"""Count fragments in peaks with one tool, and print the seconds, the largest memory in bytes and the sum of the counts.

    python benchmarks/counting_worker.py TOOL FRAGMENTS PEAKS CELLS SIZES OUT

TOOL is scbasset_zoo or snapatac2. SIZES is a JSON of chromosome lengths. SnapATAC2 has an environment of its own, without this
project's code: `python3.11 -m venv snap && snap/bin/pip install snapatac2`.
"""

import json
import sys
import time
from pathlib import Path


def scbasset_zoo(fragments, peaks, cells, sizes, out):
    import scbasset_zoo as sz

    return sz.count(fragments, peaks=peaks, cells=cells, out=out, overwrite=True, quiet=True).X.sum()


def snapatac2(fragments, peaks, cells, sizes, out):
    import snapatac2 as snap

    listed = Path(cells).read_text().split()
    imported = snap.pp.import_fragments(
        fragments, json.loads(Path(sizes).read_text()), file=f"{out}.imported", min_num_fragments=0, whitelist=listed,
        sorted_by_barcode=False, tempdir=Path(out).parent,
    )  # fmt: skip
    matrix = snap.pp.make_peak_matrix(imported, peak_file=peaks, file=out, counting_strategy="insertion")
    total = sum(part.sum() for part, _, _ in matrix.X.chunked(1_000))
    matrix.close()
    imported.close()
    return total


if __name__ == "__main__":
    tool, *arguments = sys.argv[1:]
    start = time.perf_counter()
    total = {"scbasset_zoo": scbasset_zoo, "snapatac2": snapatac2}[tool](*arguments)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text().splitlines()
    memory = 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(seconds, memory, int(total))
