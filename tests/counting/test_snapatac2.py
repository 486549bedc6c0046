"""Where SnapATAC2 is installed: its peak matrix of the same fragments has the same counts."""

import numpy as np
import pytest
from helpers.fragments import barcodes, random_fragments, write_bed, write_fragments

import scbasset_zoo as sz

snapatac2 = pytest.importorskip("snapatac2", reason="SnapATAC2 is not installed; it has an environment of its own")

PEAKS = [("chr1", start, start + 400) for start in range(0, 19_000, 500)] + [("chr2", 700, 1_900)]


@pytest.mark.parametrize(("counting", "strategy"), [("insertions", "insertion"), ("fragments", "paired-insertion")])
def test_counts_are_those_of_snapatac2(tmp_path, counting, strategy):
    path = write_fragments(tmp_path / "fragments.tsv.gz", random_fragments(8_000))
    bed = write_bed(tmp_path / "peaks.bed", PEAKS)
    cells = tmp_path / "cells.txt"
    cells.write_text("\n".join(barcodes(20)) + "\n")
    ours = sz.count(path, peaks=bed, cells=cells, counting=counting, force=True, quiet=True)
    imported = snapatac2.pp.import_fragments(path, {"chr1": 20_000, "chr2": 20_000}, min_num_fragments=0, sorted_by_barcode=False)
    theirs = snapatac2.pp.make_peak_matrix(imported, peak_file=bed, counting_strategy=strategy)[ours.obs_names, ours.var_names]
    np.testing.assert_array_equal(ours.X.toarray(), theirs.X.toarray())
