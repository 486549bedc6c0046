"""Fragments are counted in peaks: numbers equal a naive count, and bad input is refused with its file and line."""

import json
import os
import re
import threading
import zlib

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers.fragments import HEADER, barcodes, naive_counts, random_fragments, write_bed, write_fragments, write_text
from helpers.gtf import GTF_LINE
from hypothesis import given, settings
from hypothesis import strategies as st

import scbasset_zoo as sz
from scbasset_zoo.counting import fragment_file
from scbasset_zoo.counting.called_cells import steepest_drop
from scbasset_zoo.counting.count import knee_file
from scbasset_zoo.counting.tss_enrichment import enrichment

PEAKS = [
    ("chr1", 100, 600),
    ("chr1", 600, 1_100),
    ("chr1", 5_000, 5_500),
    ("chr1", 5_300, 6_000),
    ("chr2", 0, 300),
    ("chr2", 9_000, 9_900),
]


@pytest.fixture
def bed(tmp_path):
    return write_bed(tmp_path / "peaks.bed", PEAKS)


@pytest.fixture
def cells(tmp_path):
    path = tmp_path / "barcodes.tsv"
    path.write_text("\n".join(barcodes(20)) + "\n")
    return path


def assert_equal_to_naive(result, fragments, peaks, counting, prefix=""):
    expected = naive_counts(fragments, peaks, counting)
    names = [f"{chrom}:{start}-{end}" for chrom, start, end in peaks]
    table = result.to_df().astype(int)
    found = {(cell.removeprefix(prefix), names.index(peak)): count for (cell, peak), count in table.stack().items() if count}
    assert found == dict(expected)


@pytest.mark.parametrize("counting", ["insertions", "fragments"])
@pytest.mark.parametrize("name", ["fragments.tsv.gz", "fragments.tsv"])
@pytest.mark.parametrize("block", [1 << 24, 3_000])
def test_counts_equal_a_naive_count(tmp_path, bed, cells, counting, name, block, monkeypatch):
    monkeypatch.setattr(fragment_file, "BLOCK", block)
    fragments = random_fragments()
    path = write_fragments(tmp_path / name, fragments)
    result = sz.count(path, peaks=bed, cells=cells, counting=counting, quiet=True)
    assert_equal_to_naive(result, fragments, PEAKS, counting)
    assert result.obs_names.tolist() == [name for name in barcodes(20) if name in {fragment[3] for fragment in fragments}]
    assert result.var[["chrom", "start", "end"]].to_numpy().tolist() == [list(peak) for peak in PEAKS]


POSITION = st.integers(0, 60)
FRAGMENT = st.tuples(st.sampled_from(["chr1", "chr2"]), POSITION, st.integers(1, 40), st.sampled_from("abc"))
INTERVALS = st.lists(st.tuples(st.sampled_from(["chr1", "chr2", "chr3"]), POSITION, st.integers(1, 30)), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    fragments=st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2"]), POSITION, st.integers(1, 40), st.sampled_from("abc")), min_size=1
    ),
    peaks=INTERVALS,
    counting=st.sampled_from(["insertions", "fragments"]),
    block=st.sampled_from([20, 64, 1 << 20]),
)
def test_any_fragments_in_any_peaks_are_counted_once(fragments, peaks, counting, block, tmp_path_factory):
    """Peaks may overlap, be nested and touch each other; lines may repeat across the bounds of blocks."""
    folder = tmp_path_factory.mktemp("count")
    fragments = sorted((chrom, start, start + width, barcode) for chrom, start, width, barcode in fragments)
    peaks = sorted({(chrom, start, start + width) for chrom, start, width in peaks} | {("chr1", 0, 100), ("chr2", 0, 100)})
    path = write_fragments(folder / "fragments.tsv", fragments)
    bed = write_bed(folder / "peaks.bed", peaks)
    present = sorted({fragment[3] for fragment in fragments}, reverse=True)
    lists = write_text(folder / "cells.txt", "".join(f"{barcode}\n" for barcode in present))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fragment_file, "BLOCK", block)
        result = sz.count(path, peaks=bed, cells=lists, counting=counting, force=True, quiet=True)
    assert_equal_to_naive(result, fragments, peaks, counting)
    for barcode, row in result.obs.iterrows():
        own = [fragment for fragment in set(fragments) if fragment[3] == barcode]
        in_peaks = sum(
            any(chrom == peak[0] and peak[1] <= place < peak[2] for peak in peaks)
            for chrom, start, end, _ in own
            for place in (start, end - 1)
        )
        assert (row["n_fragments"], row["n_insertions_in_peaks"]) == (len(own), in_peaks)
        assert row["fraction_in_peaks"] == pytest.approx(in_peaks / (2 * len(own)))


def test_a_line_that_repeats_a_fragment_counts_once_and_is_said(tmp_path, bed, cells, capsys):
    fragments = random_fragments()
    twice = sorted(fragments + fragments[::3], key=lambda fragment: (fragment[0], fragment[1]))
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", twice), peaks=bed, cells=cells, quiet=True)
    assert_equal_to_naive(result, fragments, PEAKS, "insertions")
    assert f"{len(fragments[::3]):,} lines repeat a fragment" in capsys.readouterr().err


def test_mitochondrial_fragments_are_kept_apart(tmp_path, bed, cells):
    fragments = random_fragments(chroms=("chr1", "chrM"))
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", fragments), peaks=bed, cells=cells, quiet=True)
    counts = pd.DataFrame(fragments, columns=["chrom", "start", "end", "barcode"]).groupby(["barcode", "chrom"]).size().unstack()
    counts = counts.fillna(0).loc[result.obs_names]
    assert result.obs["n_fragments"].tolist() == counts["chr1"].tolist()
    assert result.obs["n_mitochondrial_fragments"].tolist() == counts["chrM"].tolist()


def test_tss_enrichment_equals_a_naive_one(tmp_path, bed, cells):
    fragments = random_fragments(20_000)
    sites = [("chr1", 8_000, "+"), ("chr1", 8_040, "+"), ("chr2", 12_000, "-")]
    lines = [
        GTF_LINE.format(chrom, "gene", *((tss + 1, tss + 500) if strand == "+" else (tss - 500, tss + 1)), strand, number, number)
        for number, (chrom, tss, strand) in enumerate(sites)
    ]  # fmt: skip
    gtf = write_text(tmp_path / "genes.gtf", "".join(lines))
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", fragments), peaks=bed, cells=cells, gtf=gtf, force=True, quiet=True)
    for barcode, value in result.obs["tss_enrichment"].items():
        centre = flank = 0
        for chrom, start, end, own in fragments:
            for place in (start, end - 1) if own == barcode else ():
                distances = [abs(place - tss) for site_chrom, tss, _ in sites if site_chrom == chrom]
                centre += sum(distance <= 50 for distance in distances)
                flank += sum(1_900 < distance <= 2_000 for distance in distances)
        assert value == pytest.approx((centre / 101) / (max(flank, 1) / 200))


def test_enrichment_without_an_insertion_in_the_flanks_is_finite():
    assert enrichment(np.array([0, 101]), np.array([0, 0])).tolist() == [0, 200]


def test_samples_prefix_the_barcodes(tmp_path, bed, cells):
    one, two = random_fragments(seed=1), random_fragments(seed=2)
    files = {"s1": write_fragments(tmp_path / "1.tsv.gz", one), "s2": write_fragments(tmp_path / "2.tsv.gz", two)}
    result = sz.count(files, peaks=bed, cells=[cells, cells], quiet=True)
    assert set(result.obs["sample"]) == {"s1", "s2"}
    for sample, fragments in (("s1", one), ("s2", two)):
        of_sample = result[result.obs["sample"] == sample]
        assert all(name.startswith(f"{sample}#") for name in of_sample.obs_names)
        assert_equal_to_naive(of_sample, fragments, PEAKS, "insertions", prefix=f"{sample}#")
    joint = write_text(tmp_path / "joint.txt", "".join(f"{name}\n" for name in result.obs_names))
    again = sz.count(list(files.values()), samples=list(files), peaks=bed, cells=joint, quiet=True)
    assert (again.X != result.X).nnz == 0
    assert again.obs_names.tolist() == result.obs_names.tolist()


def simulated_barcodes(n_cells=60, n_background=2_000, seed=0):
    """Return fragments of cells with about 300 fragments each, and of background barcodes with a few."""
    rng = np.random.default_rng(seed)
    sizes = np.concatenate([rng.poisson(300, n_cells), rng.poisson(3, n_background)])
    names = barcodes(n_cells + n_background)
    rng.shuffle(names)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    start = rng.integers(0, 1_000_000, len(owner))
    end = start + rng.integers(20, 500, len(owner))
    fragments = sorted((("chr1", int(s), int(e), names[o]) for s, e, o in zip(start, end, owner, strict=True)))
    return fragments, set(names[:n_cells])


def test_without_a_list_the_cells_are_above_the_steepest_drop(tmp_path, bed, capsys):
    fragments, expected = simulated_barcodes()
    out = tmp_path / "matrix.h5ad"
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", fragments), peaks=bed, out=out, force=True, quiet=True)
    assert set(result.obs_names) == expected
    assert "60 of" in capsys.readouterr().err
    assert knee_file(out).read_bytes().startswith(b"\x89PNG")
    few = sz.count(tmp_path / "a.tsv.gz", peaks=bed, min_fragments=300, force=True, quiet=True)
    assert few.obs["n_fragments"].min() >= 300
    assert set(few.obs_names) < expected


def test_the_file_holds_what_was_returned(tmp_path, bed, cells):
    path = write_fragments(tmp_path / "a.tsv.gz", random_fragments())
    for name in ("m.h5ad", "m.zarr"):
        result = sz.count(path, peaks=bed, cells=cells, out=tmp_path / name, quiet=True)
        read = (ad.read_h5ad if name.endswith("h5ad") else ad.read_zarr)(tmp_path / name)
        assert (read.X != result.X).nnz == 0
        pd.testing.assert_frame_equal(read.obs, result.obs, check_dtype=False)
        made = read.uns["scbasset_zoo"]
        assert json.loads(made["fragments"]) == {"a.tsv.gz": {"name": "a.tsv.gz", "bytes": path.stat().st_size}}
    with pytest.raises(sz.InputError, match="exists"):
        sz.count(path, peaks=bed, cells=cells, out=tmp_path / "m.h5ad", quiet=True)


def test_a_matrix_of_counts_can_be_prepared(tmp_path, cells):
    """What `count` writes is what `prepare` takes."""
    fragments = random_fragments(6_000, chroms=("chr1",))
    bed = write_bed(tmp_path / "p.bed", [("chr1", start, start + 500) for start in range(0, 19_500, 500)])
    sz.count(
        write_fragments(tmp_path / "a.tsv.gz", fragments), peaks=bed, cells=cells, out=tmp_path / "m.h5ad", force=True, quiet=True
    )
    letters = np.random.default_rng(0).choice(list("ACGT"), 20_000)
    fasta = write_text(tmp_path / "g.fa", ">chr1\n" + "".join(letters) + "\n")
    prepared = sz.prepare(
        tmp_path / "m.h5ad", genome=fasta, assembly="small", out=tmp_path / "p", min_peaks_per_cell=1, split="80/10/10", quiet=True
    )
    # The last peak has no fragment.
    assert prepared.n_peaks == 38


CELL_TABLES = {
    "a list": "{a}\n{b}\n",
    "a list with a title": "barcode\n{a}\n{b}\n",
    "singlecell.csv": "barcode,total,duplicate,is__cell_barcode\nNO_BARCODE,900,1,0\n{a},50,1,1\n{b},60,2,1\n{c},3,0,0\n",
    "singlecell.csv of two species": "barcode,is_GRCh38_cell_barcode,is_mm10_cell_barcode\n{a},1,0\n{b},0,1\n{c},0,0\n",
    "per_barcode_metrics.csv": "barcode,gex_barcode,atac_barcode,is_cell\n{a},{a},X,1\n{b},{b},Y,1\n{c},{c},Z,0\n",
    "a table of cells": "cell_id\tcluster\n{a}\t1\n{b}\t2\n",
    "row names of R or pandas": ",cluster\n{a},1\n{b},2\n",
    "semicolons, and numbers with a point": "barcode;is_cell\n{a};1.0\n{b};1.0\n{c};0.0\n",
}


@pytest.mark.parametrize("name", CELL_TABLES)
@pytest.mark.parametrize("suffix", ["txt", "gz"])
def test_cells_come_from_a_list_or_a_table(tmp_path, bed, name, suffix):
    a, b, c = barcodes(20)[:3]
    path = write_text(tmp_path / f"cells.{suffix}", CELL_TABLES[name].format(a=a, b=b, c=c), bgzip=False)
    fragments = random_fragments()
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", fragments), peaks=bed, cells=path, quiet=True)
    assert result.obs_names.tolist() == [a, b]


GOOD = "chr1\t100\t200\tAAA-1\t1\n"
BAD_FRAGMENTS = {
    "not sorted by start": (GOOD + "chr1\t90\t200\tA\t1\n", "line 2: .* not sorted: chr1:90 comes after chr1:100.*sort -k1,1"),
    "a chromosome that returns": (GOOD + "chr2\t5\t9\tA\t1\n" + GOOD, "line 3: the fragments are not sorted: chr1 comes again"),
    "blanks between the columns": (GOOD.replace("\t", " "), "line 1: expected chromosome, start, end and barcode with.*blanks"),
    "commas between the columns": (GOOD.replace("\t", ","), "line 1: .*commas"),
    "no barcode column": ("chr1\t100\t200\n", "line 1: .*It looks like a BED"),
    "an empty barcode": (GOOD + "chr1\t100\t200\t\t1\n", "line 2: the barcode is missing"),
    "a start that is no number": (GOOD + "chr1\tx\t200\tA\t1\n", "line 2: expected a start"),
    "a negative start": (GOOD + "chr1\t-5\t200\tA\t1\n", "line 2: expected a start"),
    "an end before the start": (GOOD + "chr1\t300\t200\tA\t1\n", "line 2: expected a start"),
    "a line with fewer columns": (GOOD + "chr1\t300\t400\tA\n", "line 2: expected 5 columns"),
    "only comments": (HEADER, "has no fragments"),
    "an empty file": ("", "has no fragments"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FRAGMENTS)
@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("compressed", [False, True])
def test_bad_fragments_are_refused_with_file_and_line(tmp_path, bed, name, header, compressed):
    text, message = BAD_FRAGMENTS[name]
    if header:
        message = message.replace("line 3:", "line 7:").replace("line 2:", "line 6:").replace("line 1:", "line 5:")
    path = write_text(tmp_path / ("bad.tsv.gz" if compressed else "bad.tsv"), header + text)
    with pytest.raises(sz.InputError, match=message) as error:
        sz.count(path, peaks=bed, min_fragments=1, out=tmp_path / "m.h5ad", quiet=True)
    assert "bad.tsv" in str(error.value)
    assert not (tmp_path / "m.h5ad").exists()


def test_a_problem_far_into_the_file_has_its_line(tmp_path, bed, cells, monkeypatch):
    monkeypatch.setattr(fragment_file, "BLOCK", 2_000)
    fragments = random_fragments()
    text = "".join(f"{chrom}\t{start}\t{end}\t{barcode}\t1\n" for chrom, start, end, barcode in fragments)
    path = write_text(tmp_path / "a.tsv.gz", HEADER + text + "chr2\t5\t9\tA\t1\n")
    with pytest.raises(sz.InputError, match=f"line {len(fragments) + 5}: the fragments are not sorted"):
        sz.count(path, peaks=bed, cells=cells, quiet=True)


@pytest.mark.parametrize("bgzip", [True, False])
def test_a_truncated_gzip_is_refused(tmp_path, bed, cells, bgzip):
    lines = "".join(f"{chrom}\t{start}\t{end}\t{barcode}\t1\n" for chrom, start, end, barcode in random_fragments(9_000))
    path = write_text(tmp_path / "cut.tsv.gz", lines, bgzip=bgzip)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(sz.InputError, match=r"cut\.tsv\.gz.*cut short") as error:
        sz.count(path, peaks=bed, cells=cells, out=tmp_path / "m.h5ad", quiet=True)
    if not bgzip:
        last = int(re.search(r"The last whole line is line ([\d,]+)", str(error.value))[1].replace(",", ""))
        unpacked = zlib.decompressobj(31).decompress(path.read_bytes())
        assert 0 < last <= unpacked.count(b"\n")
    assert not (tmp_path / "m.h5ad").exists()


def test_comments_between_the_fragments_of_joined_files_are_left_out(tmp_path, bed, cells):
    fragments = random_fragments()
    lines = [f"{chrom}\t{start}\t{end}\t{barcode}\t1\n" for chrom, start, end, barcode in fragments]
    path = write_text(tmp_path / "a.tsv.gz", HEADER + "".join(lines[:700]) + HEADER + "".join(lines[700:]))
    assert_equal_to_naive(sz.count(path, peaks=bed, cells=cells, quiet=True), fragments, PEAKS, "insertions")


def test_four_columns_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path, bed, cells):
    fragments = random_fragments()
    text = "".join(f"{chrom}\t{start}\t{end}\t{barcode}\r\n" for chrom, start, end, barcode in fragments)
    (tmp_path / "a.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert_equal_to_naive(sz.count(tmp_path / "a.tsv", peaks=bed, cells=cells, quiet=True), fragments, PEAKS, "insertions")


BAD_CELLS = {
    "barcodes of another sample": ("GGGG-1\n", "has no fragment of 1 of the 1 barcodes.*'GGGG-1'.*of the same sample"),
    "mostly of another sample": ("GGGG-1\nCCCC-1\n{a}\n", "has no fragment of 2 of the 3 barcodes"),
    "numbered by aggr": ("{plain}-2\n", "end in different numbers, as Cell Ranger's aggr"),
    "without the suffix -1": ("{plain}\n", "Only one of them ends in a number such as -1"),
    "with a prefix": ("donor_{a}\n", "Only one of them has something before the barcode"),
    "twice": ("{a}\n{b}\n{a}\n", "line 3: the barcode .* is in line 1 too"),
    "no cell": ("barcode,is_cell\n{a},0\n", "no barcode is called as a cell"),
    "no barcodes": ("x,y\n1,2\n", "line 1: expected a column barcode"),
    "a flag that is none": ("barcode,is_cell\n{a},maybe\n", "line 2: is_cell must be 0 or 1"),
    "a short row": ("barcode,is_cell\n{a}\n", "line 2: expected 2 columns"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("name", BAD_CELLS)
def test_bad_lists_of_cells_are_refused(tmp_path, bed, name):
    text, message = BAD_CELLS[name]
    a, b = barcodes(20)[:2]
    cells = write_text(tmp_path / "cells.csv", text.format(a=a, b=b, plain=a[:-2]))
    path = write_fragments(tmp_path / "a.tsv.gz", random_fragments())
    with pytest.raises(sz.InputError, match=message) as error:
        sz.count(path, peaks=bed, cells=cells, quiet=True)
    assert "cells.csv" in str(error.value)


def test_listed_barcodes_without_fragments_are_left_out_and_counted(tmp_path, bed, capsys):
    names = barcodes(20)
    cells = write_text(tmp_path / "cells.txt", f"{names[0]}\nGGGG-1\n{names[1]}\n")
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", random_fragments()), peaks=bed, cells=cells, quiet=True)
    assert result.obs_names.tolist() == names[:2]
    assert "1 of the 3 barcodes of" in capsys.readouterr().err


def test_peaks_and_fragments_beyond_the_assembly_are_refused_with_their_line(tmp_path):
    cells = write_text(tmp_path / "cells.txt", f"{barcodes(20)[0]}\n")
    inside = write_bed(tmp_path / "in.bed", [("chr20", 100, 600)])
    beyond = write_bed(tmp_path / "out.bed", [("chr20", 100, 600), ("chr20", 63_025_000, 63_025_521)])
    name = barcodes(20)[0]
    good = write_fragments(tmp_path / "good.tsv", [("chr20", 100, 200, name)])
    bad = write_fragments(tmp_path / "bad.tsv", [("chr20", 100, 200, name), ("chr20", 63_025_400, 63_025_600, name)])
    with pytest.raises(sz.InputError, match=r"out\.bed, line 2: the peak .* beyond the end of chr20 in hg19"):
        sz.count(good, peaks=beyond, cells=cells, assembly="hg19", quiet=True)
    with pytest.raises(sz.InputError, match=r"bad\.tsv, line 6: the fragment ends at 63,025,600"):
        sz.count(bad, peaks=inside, cells=cells, assembly="hg19", quiet=True)
    assert sz.count(good, peaks=inside, cells=cells, assembly="hg19", quiet=True).X.sum() == 2


def test_peaks_that_hold_no_more_than_chance_are_refused(tmp_path, cells, capsys):
    """So peaks of another assembly are noticed although no name and no length differs."""
    fragments = random_fragments(9_000, chroms=("chr1",), length=200_000)
    path = write_fragments(tmp_path / "a.tsv.gz", fragments)
    bed = write_bed(tmp_path / "elsewhere.bed", [("chr1", start, start + 100) for start in range(0, 190_000, 2_000)])
    with pytest.raises(sz.InputError, match="hardly more than by chance. Are fragments and peaks of the same assembly"):
        sz.count(path, peaks=bed, cells=cells, quiet=True)
    assert sz.count(path, peaks=bed, cells=cells, force=True, quiet=True).n_vars == 95
    assert "hardly more than by chance" in capsys.readouterr().err


BAD_PEAKS = {
    "other names of chromosomes": ("1\t100\t600\n", "has the chromosome chr1, .* has 1"),
    "other names of a second chromosome": ("chr1\t100\t600\n2\t100\t600\n", "has the chromosome 2, .* has chr2"),
    "summits": ("chr1\t100\t101\nchr1\t700\t701\n", "1 bp or less, as summits have.*merge-peaks"),
    "no chromosome in common": ("scaffold_1\t100\t600\n", "no chromosome in common"),
    "a peak twice": ("chr1\t100\t600\nchr1\t700\t900\nchr1\t100\t600\n", "line 3: the peak chr1:100-600 is there more than once"),
    "no interval": ("chr1 x y\n", "line 1"),
}


@pytest.mark.parametrize("name", BAD_PEAKS)
def test_bad_peaks_are_refused(tmp_path, cells, name):
    text, message = BAD_PEAKS[name]
    bed = write_text(tmp_path / "peaks.bed", text)
    with pytest.raises(sz.InputError, match=message):
        sz.count(write_fragments(tmp_path / "a.tsv.gz", random_fragments()), peaks=bed, cells=cells, quiet=True)


def test_with_an_assembly_chromosomes_are_found_by_each_of_their_names(tmp_path, cells, capsys):
    """UCSC, Ensembl, RefSeq and GenBank in fragments, peaks and genes give the same counts."""
    names = {"UCSC": ("chr20", "chr21"), "Ensembl": ("20", "21"), "RefSeq": ("NC_000020.11", "NC_000021.9")}
    results = []
    for of_fragments, of_peaks in [("UCSC", "UCSC"), ("Ensembl", "UCSC"), ("UCSC", "RefSeq"), ("RefSeq", "Ensembl")]:
        rename = dict(zip(("chr1", "chr2"), names[of_peaks], strict=True))
        bed = write_bed(tmp_path / "peaks.bed", [(rename[chrom], start, end) for chrom, start, end in PEAKS])
        path = write_fragments(tmp_path / "a.tsv.gz", random_fragments(chroms=names[of_fragments]))
        gtf = write_text(tmp_path / "genes.gtf", GTF_LINE.format("chr20", "gene", 8_001, 9_000, "+", "g", "g"))
        blacklist = write_bed(tmp_path / "blacklist.bed", [("chr21", 1, 10), ("chr20", 600, 601)])
        options = {"assembly": "hg38", "gtf": gtf, "blacklist": [blacklist], "force": True, "quiet": True}
        results.append(sz.count(path, peaks=bed, cells=cells, **options))
        said = capsys.readouterr().err
        assert ("chromosomes are found by their names in hg38" in said) == (of_fragments != of_peaks)
        assert "2 of 6 peaks overlap the blacklist" in said
        assert results[-1].var["chrom"].iloc[0] == rename["chr1"]
        assert results[-1].obs["tss_enrichment"].max() > 0
    assert all((result.X != results[0].X).nnz == 0 for result in results)
    assert results[0].X.sum() > 100


def test_overlapping_peaks_are_refused_as_asked(tmp_path, bed, cells, capsys):
    path = write_fragments(tmp_path / "a.tsv.gz", random_fragments())
    with pytest.raises(sz.InputError, match="2 of 6 peaks overlap another one.*merge-peaks"):
        sz.count(path, peaks=bed, cells=cells, allow_overlaps=False, quiet=True)
    sz.count(path, peaks=bed, cells=cells, quiet=True)
    assert "2 of 6 peaks overlap another one" in capsys.readouterr().err


def test_peaks_on_a_blacklist_are_left_out_and_unsorted_ones_sorted(tmp_path, cells, capsys):
    bed = write_bed(tmp_path / "peaks.bed", [PEAKS[5], PEAKS[4], PEAKS[1], PEAKS[0]])
    blacklist = write_bed(tmp_path / "blacklist.bed", [("chr1", 1_099, 1_200)])
    path = write_fragments(tmp_path / "a.tsv.gz", random_fragments())
    result = sz.count(path, peaks=bed, cells=cells, blacklist=[blacklist], quiet=True)
    assert result.var_names.tolist() == ["chr2:0-300", "chr2:9000-9900", "chr1:100-600"]
    assert "1 of 4 peaks overlap the blacklist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "samples has no names, but there are 2 inputs"),
        (["a"], "samples has 1 names"),
        (["a", "a"], "two samples are called 'a'"),
        (["a#1", "b"], "cannot be the name"),
        (["", "b"], "cannot be the name"),
    ],
)
def test_bad_names_of_samples_are_refused(tmp_path, bed, cells, samples, message):
    files = [write_fragments(tmp_path / f"{number}.tsv.gz", random_fragments()) for number in range(2)]
    with pytest.raises(sz.InputError, match=message):
        sz.count(files, peaks=bed, cells=[cells, cells], samples=samples, quiet=True)


def test_cells_may_be_given_in_memory_and_by_sample(tmp_path, bed):
    names, fragments = barcodes(20), random_fragments()
    path = write_fragments(tmp_path / "a.tsv.gz", fragments)
    for listed in (pd.Index(names[:4]), pd.Series(names[:4]), np.array(names[:4])):
        assert sz.count(path, peaks=bed, cells=listed, quiet=True).obs_names.tolist() == names[:4]
    other = write_fragments(tmp_path / "b.tsv.gz", fragments)
    lists = {"s2": pd.Index(names[:2]), "s1": write_text(tmp_path / "s1.txt", f"{names[2]}\n")}
    result = sz.count({"s1": path, "s2": other}, peaks=bed, cells=lists, quiet=True)
    assert result.obs_names.tolist() == [f"s1#{names[2]}", f"s2#{names[0]}", f"s2#{names[1]}"]
    table = write_text(tmp_path / "t.csv", f"sample,barcode\ns1,{names[0]}\ns2,{names[0]}\n")
    result = sz.count({"s1": path, "s2": other}, peaks=bed, cells=table, quiet=True)
    assert result.obs_names.tolist() == [f"s1#{names[0]}", f"s2#{names[0]}"]
    with pytest.raises(sz.InputError, match="has the samples s1; the fragments have s1, s2"):
        sz.count({"s1": path, "s2": other}, peaks=bed, cells={"s1": names}, quiet=True)


def test_a_list_from_a_pipe_is_read_whole_and_other_pipes_are_refused(tmp_path, bed):
    names = barcodes(20)
    pipe = tmp_path / "cells.fifo"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("".join(f"{name}\n" for name in names)))
    writer.start()
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", random_fragments()), peaks=bed, cells=pipe, quiet=True)
    writer.join()
    assert result.n_obs == 15
    with pytest.raises(sz.InputError, match="is a pipe or another special file"):
        sz.count(pipe, peaks=bed, min_fragments=1, quiet=True)


def test_a_list_and_a_threshold_are_not_given_together(tmp_path, bed, cells):
    path = write_fragments(tmp_path / "a.tsv.gz", random_fragments())
    with pytest.raises(sz.InputError, match="Give either cells or min_fragments"):
        sz.count(path, peaks=bed, cells=cells, min_fragments=5, quiet=True)
    with pytest.raises(sz.InputError, match="is given twice"):
        sz.count([path, path], samples=["a", "b"], peaks=bed, cells=[cells, cells], quiet=True)


def test_a_knee_plot_of_the_user_is_not_replaced_unless_asked(tmp_path, bed):
    path = write_fragments(tmp_path / "a.tsv.gz", random_fragments())
    knee_file(tmp_path / "m.h5ad").write_text("mine")
    with pytest.raises(sz.InputError, match="exists"):
        sz.count(path, peaks=bed, min_fragments=1, out=tmp_path / "m.h5ad", quiet=True)
    assert not (tmp_path / "m.h5ad").exists()
    sz.count(path, peaks=bed, min_fragments=1, out=tmp_path / "m.h5ad", overwrite=True, quiet=True)
    assert knee_file(tmp_path / "m.h5ad").read_bytes().startswith(b"\x89PNG")


def test_a_file_of_cells_only_keeps_all_of_them(tmp_path, bed, capsys):
    fragments, expected = simulated_barcodes(n_background=0)
    result = sz.count(write_fragments(tmp_path / "a.tsv.gz", fragments), peaks=bed, force=True, quiet=True)
    assert set(result.obs_names) == expected
    assert "hardly any background" in capsys.readouterr().err
    assert steepest_drop(np.full(500, 40)) is None
    assert steepest_drop(np.zeros(5, int)) is None


def test_peaks_on_chromosomes_without_fragments_are_counted(tmp_path, cells, capsys):
    bed = write_bed(tmp_path / "p.bed", [*PEAKS, ("chr7", 1, 400), ("chr8", 1, 400)])
    sz.count(write_fragments(tmp_path / "a.tsv.gz", random_fragments()), peaks=bed, cells=cells, quiet=True)
    assert "2 of 8 peaks lie on chromosomes without fragments" in capsys.readouterr().err
