"""Peaks from the columns or row names of a table, and tables that are refused."""

import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.peaks import check_order, peaks_from_var


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chr1:100-600", ["chr1", 100, 600]),
        ("chr1-100-600", ["chr1", 100, 600]),
        ("chr1_100_600", ["chr1", 100, 600]),
        ("chr1:100_600", ["chr1", 100, 600]),
        ("20:0-1", ["20", 0, 1]),
        ("chrUn_gl000220_1_500", ["chrUn_gl000220", 1, 500]),
        ("GL000194.1-100-200", ["GL000194.1", 100, 200]),
        ("chr4_ctg9_hap1:5-9", ["chr4_ctg9_hap1", 5, 9]),
        ("HLA-A*01:01:01:01:5-9", ["HLA-A*01:01:01:01", 5, 9]),
    ],
)
def test_peaks_from_names(name, expected):
    peaks = peaks_from_var(pd.DataFrame({"gene": ["G"]}, index=[name]), "x")
    assert peaks[["name", "chrom", "start", "end", "gene"]].iloc[0].tolist() == [name, *expected, "G"]


@pytest.mark.parametrize("chrom", ["chr", "chrom", "chromosome", "seqnames", "Chr"])
def test_peaks_from_columns_go_before_names(chrom):
    var = pd.DataFrame({"score": [3], chrom: ["chrX"], "Start": ["7"], "end": [9.0], "name": ["n"]}, index=["chr1:1-2"])
    peaks = peaks_from_var(var, "x")
    assert peaks.columns.tolist() == ["name", "chrom", "start", "end", "score", "var_name"]
    assert peaks.iloc[0].tolist() == ["chr1:1-2", "chrX", 7, 9, 3, "n"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("chr1", -1, 5), "the start must not be negative; found 'chr1 -1 5'"),
        (("chr1", 5, 5), "the end must be greater than the start; found 'chr1 5 5'"),
        (("chr1", 9, 5), "the end must be greater than the start"),
        (("chr1", 1.5, 5), "the start must be a whole number; found 'chr1 1.5 5'"),
        (("chr1", 1, "x"), "the end must be a whole number"),
        (("chr1", 1, np.nan), "the end must be a whole number"),
        (("chr1", 1, np.inf), "the end must be a whole number"),
        (("", 1, 2), "the chromosome has no name"),
        ((None, 1, 2), "the chromosome has no name"),
    ],
)
def test_impossible_intervals_are_refused_with_their_row(row, message):
    var = pd.DataFrame([("chr1", 1, 2), row], columns=["chr", "start", "end"], index=["good", "bad"])
    with pytest.raises(InputError, match=r"m.h5ad, row 1 \(counting from 0, 'bad'\): " + message):
        peaks_from_var(var, "m.h5ad")


@pytest.mark.parametrize("name", ["chr1:-5-100", "chr1:9-5", "chr1:5-5"])
def test_impossible_names_are_refused(name):
    with pytest.raises(InputError, match="must"):
        peaks_from_var(pd.DataFrame(index=[name]), "x")


@pytest.mark.parametrize("name", ["GAPDH", "chr1", "chr1:5", "chr1--5-100", "chr1:1 000-2 000"])
def test_no_peak_columns_and_no_peak_names_are_refused(name):
    with pytest.raises(InputError, match=r"has no columns chr, start and end \(its columns: gene\), and row 1 "):
        peaks_from_var(pd.DataFrame({"gene": [1, 2]}, index=["chr1:1-5", name]), "x")


@pytest.mark.parametrize(
    ("peaks", "wrong"),
    [
        ([("b", 1), ("b", 1), ("b", 5), ("a", 0), ("c", 2)], None),
        ([("b", 5), ("b", 1)], 1),
        ([("a", 1), ("b", 1), ("a", 5)], 2),
        ([("a", 1), ("b", 1), ("c", 1), ("b", 0)], 3),
    ],
)
def test_peaks_must_be_grouped_by_chromosome_and_rise(peaks, wrong):
    table = pd.DataFrame(peaks, columns=["chrom", "start"])
    table["end"] = table["start"] + 1
    if wrong is None:
        check_order(table, "x")
    else:
        with pytest.raises(InputError, match=rf"\(row {wrong}, counting from 0\).*sort_peaks=True"):
            check_order(table, "x")


def test_names_with_thousands_separators_are_intervals():
    peaks = peaks_from_var(pd.DataFrame(index=["chr1:4,100,000-4,100,500"]), "m")
    assert peaks[["chrom", "start", "end"]].to_numpy().tolist() == [["chr1", 4_100_000, 4_100_500]]


@pytest.mark.parametrize(
    ("start", "message"),
    [([100, 901], r"row 1 .*another interval than the name \(1 of 2 rows differ\)"), ([101, 901], "columns seem to count from 1")],
)
def test_columns_that_contradict_the_names_are_refused(start, message):
    var = pd.DataFrame({"chrom": "chr1", "start": start, "end": [600, 1400]}, index=["chr1:100-600", "chr1:900-1400"])
    with pytest.raises(InputError, match=message):
        peaks_from_var(var, "m")
    assert len(peaks_from_var(var.assign(start=[100, 900]), "m")) == 2
    assert len(peaks_from_var(var.set_axis(["peak_1_2", "peak_3_4"]), "m")) == 2
