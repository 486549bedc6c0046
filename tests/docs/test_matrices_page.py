"""The page on matrices: its commands print what it says, and the folders that its R code writes are read as they are in R."""

import doctest
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.wording import command_line

PAGE = Path(__file__).parents[2] / "docs" / "matrices.md"
R_PACKAGES = ("Matrix", "SummarizedExperiment", "GenomicRanges", "Seurat")
# Objects of the classes that ArchR and Signac return, of the same counts, with peaks that are not sorted.
R_COUNTS = """
suppressPackageStartupMessages({library(Matrix); library(SummarizedExperiment); library(GenomicRanges); library(Seurat)})
values <- as.matrix(read.csv("values.csv", header = FALSE))
dimnames(values) <- NULL
intervals <- read.csv("intervals.csv")
ranges <- GRanges(intervals$chrom, IRanges(intervals$start + 1, intervals$end))
barcodes <- readLines("names.txt")
metadata <- data.frame(type = rep(c("a", "b"), length.out = ncol(values)), row.names = barcodes)
counts_of_test <- as(values, "CsparseMatrix")
"""
R_OBJECTS = {
    "ArchR": R_COUNTS + """
project <- "a stand-in for an ArchRProject"
getMatrixFromProject <- function(project, useMatrix) {
  colnames(counts_of_test) <- barcodes
  SummarizedExperiment(setNames(list(counts_of_test), useMatrix), rowRanges = ranges, colData = DataFrame(metadata))
}
""",
    "Signac": R_COUNTS + """
setClass("ChromatinAssay", contains = "Assay", slots = list(ranges = "GRanges"))
setMethod("granges", "ChromatinAssay", function(x, use.names = TRUE, use.mcols = FALSE, ...) x@ranges)
dimnames(counts_of_test) <- list(paste(seqnames(ranges), start(ranges), end(ranges), sep = "-"), barcodes)
assay_of_test <- as(CreateAssayObject(counts = counts_of_test), "ChromatinAssay")
assay_of_test@ranges <- ranges
object <- CreateSeuratObject(assay_of_test, assay = "peaks", meta.data = metadata)
""",
}  # fmt: skip


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def r_code(program):
    """The code of the page for ArchR or Signac, without the packages that cannot be had."""
    for_both = next(block for block in blocks("r") if "writeMM" in block)
    own = next(block for block in blocks("r") if f"library({program})" in block)
    return own.replace(f"library({program});", "") + for_both


@pytest.fixture(scope="module")
def intervals():
    """Peaks in an order that neither sorts nor groups them; the last one has positions that R would write as 1e+04."""
    table = pd.DataFrame(
        [(c, s, s + 501) for c in ("chr2", "chr10", "chr1") for s in range(500, 8_000, 700)], columns=["chrom", "start", "end"]
    )
    table.loc[len(table)] = ["chr1", 10_000, 20_000]
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


@pytest.fixture(scope="module")
def counts(intervals):
    """Peaks x cells."""
    return np.random.default_rng(1).poisson(0.6, (len(intervals), 25))


BARCODES = [f"s{1 + i // 13}#CELL{i:02d}-1" for i in range(25)]


@pytest.fixture(scope="module")
def genome(write_fasta, tmp_path_factory):
    rng = np.random.default_rng(2)
    sequences = {name: "".join(rng.choice(list("ACGT"), 25_000)) for name in ("chr1", "chr2", "chr10")}
    return write_fasta(tmp_path_factory.mktemp("genome") / "genome.fa", sequences)


def assert_read_as_in_r(folder, table, counts, intervals, genome, out):
    """The prepared peak set has, for each interval and cell, what a look-up by name gives, and the types of the cells."""
    options = {"genome": genome, "assembly": "toy", "sort_peaks": True, "cells_table": table, "quiet": True}
    prepared = sz.prepare(folder, out=out, min_cell_fraction=0, **options)
    labels = prepared.labels(np.arange(prepared.n_peaks)).toarray()
    value_of = {
        (chrom, start, end, barcode): counts[row, column]
        for row, (chrom, start, end) in enumerate(intervals.itertuples(index=False))
        for column, barcode in enumerate(BARCODES)
    }
    assert prepared.n_peaks == len(intervals)
    for peak, interval in enumerate(prepared.peaks[["chrom", "start", "end"]].itertuples(index=False)):
        for cell, barcode in enumerate(prepared.cells.index):
            assert labels[peak, cell] == (value_of[(*interval, barcode)] > 0)
    assert prepared.cells["type"].tolist() == ["a" if BARCODES.index(barcode) % 2 == 0 else "b" for barcode in prepared.cells.index]


@pytest.mark.filterwarnings("ignore")
def test_commands_of_the_page_print_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    assert run(app, shlex.split("simulate sim --n-cells 120 --n-peaks 400")).exit_code == 0
    (code,) = (block for block in blocks("python") if block.startswith("# the files of this page"))
    exec(code, {})
    checker, n_commands = doctest.OutputChecker(), 0
    for block in blocks("console"):
        command, expected = block.split("\n", 1)
        with command_line():
            done = run(app, shlex.split(command.removeprefix("$ scbasset-zoo ")))
        error = f"error: {done.exception}" if done.exit_code else ""
        printed = f"\n{done.output}{error}\n".replace(f"{tmp_path}/", "")
        assert checker.check_output(expected, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE), f"{command}\n{printed}"
        n_commands += 1
    assert n_commands > 5


@pytest.mark.parametrize("program", R_OBJECTS)
def test_r_code_of_the_page_writes_what_prepare_reads(program, counts, intervals, genome, tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("R is not installed")
    lacking = subprocess.run(
        ["Rscript", "-e", f"cat(setdiff(c{R_PACKAGES!r}, rownames(installed.packages())))"], capture_output=True, text=True
    ).stdout
    if lacking:
        pytest.skip(f"R lacks {lacking}")
    np.savetxt(tmp_path / "values.csv", counts, fmt="%d", delimiter=",")
    intervals.to_csv(tmp_path / "intervals.csv", index=False)
    (tmp_path / "names.txt").write_text("".join(f"{barcode}\n" for barcode in BARCODES))
    (tmp_path / "code.R").write_text(R_OBJECTS[program] + r_code(program))
    done = subprocess.run(["Rscript", "code.R"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "peaks/peaks.bed").read_text().splitlines() == [
        f"{c}\t{s}\t{e}" for c, s, e in intervals.itertuples(index=False)
    ]
    assert_read_as_in_r(tmp_path / "peaks", tmp_path / "cells.csv", counts, intervals, genome, tmp_path / "out")


def test_a_folder_as_r_writes_it_is_read_in_the_order_of_its_files(counts, intervals, genome, tmp_path):
    folder = tmp_path / "peaks"
    folder.mkdir()
    by_cell = sparse.coo_matrix(counts.T)
    lines = [f"{peak + 1} {cell + 1} {value}" for cell, peak, value in zip(by_cell.row, by_cell.col, by_cell.data, strict=True)]
    header = f"%%MatrixMarket matrix coordinate integer general\n{counts.shape[0]} {counts.shape[1]} {len(lines)}\n"
    (folder / "matrix.mtx").write_text(header + "\n".join(lines) + "\n")
    (folder / "barcodes.tsv").write_text("".join(f"{barcode}\n" for barcode in BARCODES))
    (folder / "peaks.bed").write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in intervals.itertuples(index=False)))
    types = "".join(f'"{barcode}","{"ab"[i % 2]}"\n' for i, barcode in enumerate(BARCODES))
    (tmp_path / "cells.csv").write_text('"","type"\n' + types)
    assert_read_as_in_r(folder, tmp_path / "cells.csv", counts, intervals, genome, tmp_path / "out")
