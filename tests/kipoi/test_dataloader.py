"""The windows of the dataloader are read batch by batch."""

import pytest
from helpers.kipoi_command import EXAMPLE, run

pytest.importorskip("kipoi")


STREAM = """
import resource, sys, kipoi
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
loader = kipoi.get_model("scbasset/demo").default_dataloader(intervals_file=sys.argv[1], fasta_file=sys.argv[2], force=True)
next(loader.batch_iter(batch_size=64))
before, n = peak(), 0
for batch in loader.batch_iter(batch_size=64):
    n += len(batch["inputs"])
assert n == 20_000, n
assert peak() - before < 50e6, f"{peak() - before:,} bytes for {n * 1344 * 16:,} bytes of windows"
"""


def test_memory_does_not_grow_with_the_number_of_peaks(home, tmp_path):
    (tmp_path / "many.bed").write_text("".join(f"example\t{i % 7_000}\t{i % 7_000 + 500}\n" for i in range(20_000)))
    (tmp_path / "stream.py").write_text(STREAM)
    run(home, "python", str(tmp_path / "stream.py"), str(tmp_path / "many.bed"), EXAMPLE["fasta_file"])
