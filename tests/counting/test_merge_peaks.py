"""Called peaks become one set of peaks of one width: a naive search finds the same, formats of callers, files that are refused."""

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import yeast
from hypothesis import given, settings
from hypothesis import strategies as st

import scbasset_zoo as sz
from scbasset_zoo.counting.called_peaks import read_called_peaks
from scbasset_zoo.counting.merged_peaks import without_overlaps
from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.bed import read_bed
from scbasset_zoo.inputs.intervals import overlapping

NARROW = "{chrom}\t{start}\t{end}\t{name}\t{score}\t.\t{signal}\t{pvalue}\t{qvalue}\t{summit}\n"


def narrow(chrom="chr1", start=1_000, end=1_600, name="p", score=50, signal=2.5, pvalue=7.5, qvalue=5.0, summit=300):
    return NARROW.format(**locals())


def naive(files, width, min_samples=1, blacklist=()):
    """Merge peaks by comparing every pair. Files are lists of (chrom, summit, score)."""

    def collide(one, other):
        return one[0] == other[0] and one[1] < other[1] + width and other[1] < one[1] + width

    def greedy(peaks):
        kept = []
        for peak in sorted(peaks, key=lambda peak: (-peak[2], peak[0], peak[1])):
            if not any(collide(peak, other) for other in kept):
                kept.append(peak)
        return kept

    left = []
    for peaks in files:
        peaks = [(chrom, summit - width // 2, score) for chrom, summit, score in peaks]
        peaks = [peak for peak in peaks if peak[1] >= 0]
        peaks = [p for p in peaks if not any(c == p[0] and start < p[1] + width and p[1] < end for c, start, end in blacklist)]
        peaks = greedy(peaks)
        total = sum(score for *_, score in peaks)
        left.append([(chrom, start, score / total * 1e6 if total else 0.0) for chrom, start, score in peaks])
    result = []
    for peak in greedy([peak for peaks in left for peak in peaks]):
        n_samples = sum(any(collide(peak, other) for other in peaks) for peaks in left)
        if n_samples >= min_samples:
            result.append((*peak, n_samples))
    return sorted(result)


# Whole scores, and few of them, so that many tie.
PEAKS = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2", "chr10"]), st.integers(0, 120), st.integers(0, 4)), min_size=1, max_size=25
).filter(lambda peaks: any(score for *_, score in peaks))


def write_files(folder, files):
    paths = []
    for number, peaks in enumerate(files):
        paths.append(folder / f"{number}.narrowPeak")
        text = (narrow(chrom, summit, summit + 1, qvalue=score, summit=0) for chrom, summit, score in peaks)
        paths[-1].write_text("".join(text))
    return paths


@settings(deadline=None, max_examples=60)
@given(st.lists(PEAKS, min_size=1, max_size=4), st.integers(1, 30), st.integers(1, 3), st.booleans(), st.randoms())
def test_merged_peaks_are_those_of_a_naive_search_in_any_order(tmp_path_factory, files, width, min_samples, has_blacklist, random):
    folder = tmp_path_factory.mktemp("peaks")
    min_samples = min(min_samples, len(files))
    regions = [("chr1", 50, 55), ("chr1", 10, 90), ("chr2", 100, 101), *((chrom, 500, 501) for chrom in ("chr1", "chr2", "chr10"))][
        has_blacklist:
    ]
    (folder / "black.bed").write_text("".join(f"{chrom}\t{start}\t{end}\n" for chrom, start, end in regions))
    options = {"width": width, "min_samples": min_samples, "score": "qvalue", "quiet": True}
    options |= {"blacklist": folder / "black.bed"} if has_blacklist else {}
    expected = naive(files, width, min_samples, blacklist=regions if has_blacklist else ())
    paths = write_files(folder, files)
    if not expected:
        with pytest.raises(InputError, match="No peak is kept"):
            sz.merge_peaks(paths, out=folder / "out.bed", **options)
        assert not (folder / "out.bed").exists()
        return
    merged = sz.merge_peaks(paths, out=folder / "out.bed", **options).peaks
    assert merged[["chrom", "start", "n_samples"]].to_numpy().tolist() == [[c, s, n] for c, s, _, n in expected]
    np.testing.assert_allclose(merged["score"], [score for *_, score, _ in expected], rtol=1e-12)
    assert ((merged["end"] - merged["start"]) == width).all()
    assert not overlapping(merged).any()
    # The order of files and lines does not matter.
    shuffled = [random.sample(peaks, len(peaks)) for peaks in random.sample(files, len(files))]
    sz.merge_peaks(write_files(folder, shuffled), out=folder / "again.bed", **options)
    assert (folder / "again.bed").read_bytes() == (folder / "out.bed").read_bytes()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-50, 50), st.integers(0, 3)), max_size=30), st.integers(1, 20))
def test_removal_of_overlaps_is_that_of_every_pair(rows, width):
    kept = []
    for row in sorted(range(len(rows)), key=lambda row: (-rows[row][2], rows[row][1], row)):
        if all(rows[row][0] != rows[other][0] or abs(rows[row][1] - rows[other][1]) >= width for other in kept):
            kept.append(row)
    table = pd.DataFrame(rows, columns=["chrom", "start", "score"])
    is_kept = without_overlaps(table, table["score"].to_numpy(dtype=float), width)
    assert np.flatnonzero(is_kept).tolist() == sorted(kept)


def test_million_peaks_take_seconds():
    n = 1_000_000
    # A chain in which each peak overlaps the next, with rising scores: the worst case of methods that work in rounds.
    table = pd.DataFrame({"chrom": "chr1", "start": 100 * np.arange(n)})
    began = time.process_time()
    is_kept = without_overlaps(table, np.arange(n, dtype=float), 500)
    assert time.process_time() - began < 20
    assert (np.flatnonzero(is_kept[::-1]) % 5 == 0).all()
    assert is_kept.sum() == n // 5


def test_summit_is_column_ten_or_the_middle(tmp_path):
    (tmp_path / "a.narrowPeak").write_text(narrow(summit=0) + narrow(summit=599) + narrow(end=1_601, summit=-1))
    (tmp_path / "a_peaks.broadPeak").write_text("chr1\t1000\t1601\tp\t50\t.\t2.5\t7.5\t5.0\n")
    (tmp_path / "a_summits.bed").write_text("chr1\t1299\t1300\tp\t5.0\n")
    assert read_called_peaks(tmp_path / "a.narrowPeak").summits.tolist() == [1_000, 1_599, 1_300]
    assert read_called_peaks(tmp_path / "a_peaks.broadPeak").summits.tolist() == [1_300]
    assert read_called_peaks(tmp_path / "a_summits.bed").summits.tolist() == [1_299]
    merged = sz.merge_peaks(tmp_path / "a_summits.bed", out=tmp_path / "out.bed", quiet=True).peaks
    assert merged[["start", "end"]].to_numpy().tolist() == [[1_049, 1_549]]
    odd = sz.merge_peaks(tmp_path / "a_summits.bed", out=tmp_path / "odd.bed", width=501, quiet=True).peaks
    assert odd[["start", "end"]].to_numpy().tolist() == [[1_049, 1_550]]


@pytest.mark.parametrize(
    ("line", "scores"),
    [
        (narrow(), {"qvalue": 5.0, "pvalue": 7.5, "signal": 2.5, "score": 50.0}),
        ("chr1\t1\t9\tp\t50\t.\t2.5\t7.5\t5.0\n", {"qvalue": 5.0, "pvalue": 7.5, "signal": 2.5, "score": 50.0}),
        ("chr1\t1\t9\tp\t50\t+\t1\t9\t0\n", {"score": 50.0}),  # a BED of nine columns with a colour
        ("chr1\t1\t9\tp\t50\t+\t3\t5\t255,0,0\n", {"score": 50.0}),
        ("chr1\t1\t9\tp\t50\t+\t1\t9\t0\t1\t8,\t0,\n", {"score": 50.0}),
        ("chr1\t1\t9\tp\t5.25\n", {"score": 5.25}),
        ("chr1\t1\t9\tp\n", {}),
        ("chrom\tstart\tend\twidth\tstrand\tscore\nchr1\t1\t9\t8\t*\t50\n", {"score": 50.0}),
    ],
)
def test_scores_of_each_format_are_read(tmp_path, line, scores):
    (tmp_path / "a.bed").write_text("track name=x\n" + line)
    assert {name: values.tolist() for name, values in read_called_peaks(tmp_path / "a.bed").scores.items()} == {
        name: [value] for name, value in scores.items()
    }


def test_score_is_the_first_that_all_files_have(tmp_path, capsys):
    # Without q-values, the p-value is the first; the summits have a score only.
    (tmp_path / "a.narrowPeak").write_text(narrow(qvalue=-1) + narrow(summit=290, qvalue=-1, pvalue=9))
    (tmp_path / "b.narrowPeak").write_text(narrow(chrom="chr2"))
    (tmp_path / "c.bed").write_text("chr3\t5000\t5001\tp\t12\n")
    (tmp_path / "plain.bed").write_text("chr3\t5000\t5900\nchr3\t5100\t6000\n")
    a, b, c, plain = (tmp_path / name for name in ("a.narrowPeak", "b.narrowPeak", "c.bed", "plain.bed"))
    peaks = sz.merge_peaks([a, b], out=tmp_path / "1.bed", quiet=True).peaks
    assert peaks["start"].tolist() == [1_040, 1_050]
    assert "compared by pvalue" in capsys.readouterr().err
    sz.merge_peaks([a, b, c], out=tmp_path / "2.bed", quiet=True)
    assert "compared by score" in capsys.readouterr().err
    peaks = sz.merge_peaks(plain, out=tmp_path / "3.bed", quiet=True).peaks
    assert "No file has scores" in capsys.readouterr().err
    assert peaks["start"].tolist() == [5_200]
    with pytest.raises(InputError, match=r"no score in common.*c.bed has score; .*plain.bed has none"):
        sz.merge_peaks([c, plain], out=tmp_path / "4.bed", quiet=True)
    with pytest.raises(InputError, match=r"c.bed has no qvalue above 0. It has score. Give another score,"):
        sz.merge_peaks([b, c], out=tmp_path / "4.bed", score="qvalue", quiet=True)
    a.write_text(narrow() + "\n" + narrow(qvalue=-1))
    with pytest.raises(InputError, match=r"a.narrowPeak, line 3: this peak has no qvalue. It has pvalue, signal, score"):
        sz.merge_peaks([a, b], out=tmp_path / "4.bed", score="qvalue", quiet=True)
    assert not (tmp_path / "4.bed").exists()


def test_peaks_beyond_the_end_or_on_other_chromosomes_are_left_out(tmp_path, toy_fasta):
    # chr3 of the toy genome has 9,000 bp.
    lines = [(249, "chr3"), (250, "chr3"), (8_750, "chr3"), (8_751, "chr3"), (50, "chrUn")]
    text = "".join(narrow(chrom, start=summit, end=summit + 9, summit=0) for summit, chrom in lines)
    (tmp_path / "a.narrowPeak").write_text(text)
    merged = sz.merge_peaks(tmp_path / "a.narrowPeak", out=tmp_path / "out.bed", genome=toy_fasta, quiet=True)
    assert merged.peaks["name"].tolist() == ["chr3:0-500", "chr3:8500-9000"]
    counts = {"read": 5, "other_chromosomes": 1, "beyond_the_end": 2, "overlap_a_higher_peak": 0, "left": 2, "supports": 2}
    assert merged.samples.loc["a.narrowPeak"].to_dict() == counts
    without = sz.merge_peaks(tmp_path / "a.narrowPeak", out=tmp_path / "all.bed", quiet=True)
    assert without.samples.loc["a.narrowPeak", "beyond_the_end"] == 2  # before the start, on chr3 and chrUn


def test_chromosomes_of_the_genome_have_any_name(tmp_path, write_fasta):
    genome = yeast.write_genome(tmp_path / "g.2bit", write_fasta, "RefSeq")
    end = yeast.SIZES["chrVI"]
    (tmp_path / "a.narrowPeak").write_text("".join(narrow("VI", start, start + 9, summit=0) for start in (end - 250, end - 249)))
    options = {"genome": genome, "assembly": "sacCer3", "overwrite": True, "quiet": True}
    assert sz.merge_peaks(tmp_path / "a.narrowPeak", out=tmp_path / "out.bed", **options).peaks["end"].tolist() == [end]
    with pytest.raises(InputError, match="no peak lies on a chromosome of the genome"):
        sz.merge_peaks(tmp_path / "a.narrowPeak", out=tmp_path / "out.bed", **options | {"assembly": None})


def test_files_that_name_chromosomes_differently_are_refused(tmp_path):
    (tmp_path / "ucsc.narrowPeak").write_text(narrow("chr1") + narrow("chr2"))
    (tmp_path / "ensembl.narrowPeak").write_text(narrow("1"))
    paths = [tmp_path / "ucsc.narrowPeak", tmp_path / "ensembl.narrowPeak"]
    with pytest.raises(InputError, match=r"ensembl.narrowPeak names chromosomes as Ensembl does, .*ucsc.narrowPeak as UCSC does"):
        sz.merge_peaks(paths, out=tmp_path / "out.bed", quiet=True)


def test_nothing_left_is_refused_with_the_numbers(tmp_path):
    (tmp_path / "a.narrowPeak").write_text(narrow() + narrow(start=0, summit=0))
    (tmp_path / "black.bed").write_text("chr1\t900\t1600\n")
    with pytest.raises(InputError, match=r"No peak is kept. The peaks of each file(.|\n)*a.narrowPeak +2 +1 +1 +0 +0 +0") as caught:
        sz.merge_peaks(tmp_path / "a.narrowPeak", out=tmp_path / "out.bed", blacklist=tmp_path / "black.bed", quiet=True)
    assert "min_samples" not in str(caught.value)
    assert not (tmp_path / "out.bed").exists()


@pytest.mark.parametrize("chrom", ["chr21", "21", "NC_000021.9"])
def test_an_assembly_gives_the_lengths_of_its_chromosomes(tmp_path, chrom):
    # chr21 of hg38 has 46,709,983 bp.
    text = "".join(narrow(chrom, start=start, end=start + 9, summit=0) for start in (46_709_733, 46_709_734))
    (tmp_path / "a.narrowPeak").write_text(text)
    merged = sz.merge_peaks(tmp_path / "a.narrowPeak", out=tmp_path / "out.bed", assembly="hg38", quiet=True)
    assert merged.peaks["end"].tolist() == [46_709_983]
    (tmp_path / "a.narrowPeak").write_text(text + narrow(chrom, start=46_709_900, end=46_800_000, summit=83))
    with pytest.raises(InputError, match=rf"line 3: the summit, base 46,709,983, lies beyond the end of {chrom} \(46,709,983 bp\)"):
        sz.merge_peaks(tmp_path / "a.narrowPeak", out=tmp_path / "out.bed", overwrite=True, assembly="hg38", quiet=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1,100,200,p,5\n", "line 1: .*looks like CSV"),
        (narrow() + narrow(qvalue="high"), r"line 2: the score \(column 9\) must be a number from 0, or -1 for none; found 'high'"),
        (narrow() + "\n" + narrow(signal=-3), r"line 3: the score \(column 7\) must be a number from 0"),
        (narrow(score="inf"), r"line 1: the score \(column 5\) must be a number"),
        ("chr1\t1\t9\tp\t+\n", r"line 1: the score \(column 5\) must be a number"),
        (narrow() + narrow(summit=600), r"line 2: the summit \(column 10\) must be from 0 to 599.* found 600"),
        (narrow(summit=-2), r"line 1: the summit \(column 10\) must be from 0 to 599"),
        (narrow(summit="x"), r"line 1: the summit \(column 10\) must be a whole number; found 'x'"),
        (narrow() + "chr1\t5\t9\tp\t5\n", "line 2: expected 10 columns, as in the first line; found 5"),
        (narrow() + "chr1\t9\t5\tp\t5\t.\t1\t1\t1\t0\n", "line 2: the end must be greater than the start"),
        (
            "# MACS\nchr\tstart\tend\tlength\tabs_summit\tpileup\n\nchr1\t101\t200\t100\t150\t9\nchr2\t7\t9\t3\t8\t9\n",
            "line 4: the starts count from 1.*give the .narrowPeak or .broadPeak that it writes beside the .xls",
        ),
        ("# nothing\n", "has no intervals"),
    ],
)
def test_impossible_peaks_are_refused_with_their_line(text, message, tmp_path):
    (tmp_path / "good.narrowPeak").write_text(narrow())
    (tmp_path / "bad.narrowPeak").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        sz.merge_peaks([tmp_path / "good.narrowPeak", tmp_path / "bad.narrowPeak"], out=tmp_path / "out.bed", quiet=True)
    assert "bad.narrowPeak" in str(caught.value)
    assert not list(tmp_path.glob("*out*"))


def test_missing_and_cut_files_are_refused_by_name(tmp_path):
    whole = gzip.compress("".join(narrow(start=n, end=n + 600) for n in range(2_000)).encode())
    (tmp_path / "cut.narrowPeak.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut.narrowPeak.gz cannot be read: .*It seems to be cut short or damaged"):
        sz.merge_peaks(tmp_path / "cut.narrowPeak.gz", out=tmp_path / "out.bed", quiet=True)
    with pytest.raises(InputError, match=r"There is no .*none.narrowPeak"):
        sz.merge_peaks(tmp_path / "none.narrowPeak", out=tmp_path / "out.bed", quiet=True)
    assert not (tmp_path / "out.bed").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peaks": []}, "No file of peaks is given"),
        ({"peaks": ["a.narrowPeak", "./a.narrowPeak"]}, "a.narrowPeak is given twice"),
        ({"min_samples": 3}, "min_samples=3 is more than the number of files, 2"),
        ({"min_samples": 2}, r"No peak is kept. Lower min_samples, now 2.(.|\n)*a.narrowPeak +1 +0 +0 +1 +0\n"),
        ({"samples": ["x"]}, "samples has 1 names \\(x\\), but there are 2 inputs"),
        ({"samples": "x,x"}, "two samples are called 'x'"),
        ({"width": 0}, "width: must be at least 1"),
        ({"score": "best"}, "score: must be 'qvalue', 'pvalue', 'signal' or 'score'"),
        ({"assembly": "hg99"}, "lengths of hg99 are not built in. Give its genome too, with genome"),
        ({"assembly": "hg38", "genome": "mm10"}, "genome='mm10' is another assembly than assembly='hg38'"),
        (
            {"blacklist": "black.bed"},
            "no chromosome of the peaks. It has 1; the peaks have chr1, chr2. It names chromosomes as Ensembl",
        ),
        ({"genome": "other.fa"}, 'no peak lies on a chromosome of the genome.*named "chr1" on one side and "1" in the FASTA'),
        ({"out": "a.narrowPeak", "overwrite": True}, "is or contains the input"),
        ({"out": "b.narrowPeak"}, "already exists"),
    ],
)
def test_impossible_requests_are_refused(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.narrowPeak").write_text(narrow())
    Path("b.narrowPeak").write_text(narrow(chrom="chr2"))
    Path("black.bed").write_text("1\t5\t9\n")
    Path("other.fa").write_text(">1\nACGT\n")
    options = {"peaks": ["a.narrowPeak", "b.narrowPeak"], "out": "out.bed"} | options
    with pytest.raises(InputError, match=message):
        sz.merge_peaks(options.pop("peaks"), quiet=True, **options)
    assert not Path("out.bed").exists()
    assert Path("b.narrowPeak").read_text() == narrow(chrom="chr2")


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for sample in "ab":
        (tmp_path / sample).mkdir()
        (tmp_path / sample / "peaks.narrowPeak").write_text(narrow())
    paths = [tmp_path / sample / "peaks.narrowPeak" for sample in "ab"]
    assert sz.merge_peaks(paths, out=tmp_path / "out.bed", quiet=True).samples.index.tolist() == list(map(str, paths))


def test_command_writes_a_sorted_bed_and_a_summary(tmp_path):
    one = [narrow("chr2", 9_000, 9_600), narrow("chr1", 5_000, 5_600, qvalue=9), narrow("chr1", 5_400, 6_000, qvalue=3)]
    two = [narrow("chr1", 5_100, 5_700, qvalue=1), narrow("chr10", 1_000, 1_600, qvalue=4), narrow("chr2", 90_000, 90_600)]
    (tmp_path / "one.narrowPeak").write_text("".join(one))
    (tmp_path / "two.narrowPeak.gz").write_bytes(gzip.compress("".join(two).encode()))
    (tmp_path / "black.bed").write_text("chr2\t90000\t90100\n")
    command = [sys.executable, "-m", "scbasset_zoo", "merge-peaks", "one.narrowPeak", "two.narrowPeak.gz"]
    command += ["--samples", "T cells,B cells", "--blacklist", "black.bed", "--out", "peaks.bed.gz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    # Per million: 9 and 5 of 14 in the first file, 1 and 4 of 5 in the second.
    assert gzip.decompress((tmp_path / "peaks.bed.gz").read_bytes()).decode().splitlines() == [
        "chr1\t5050\t5550\tchr1:5050-5550\t642857\t.\t2",
        "chr10\t1050\t1550\tchr10:1050-1550\t800000\t.\t1",
        "chr2\t9050\t9550\tchr2:9050-9550\t357143\t.\t1",
    ]
    assert read_bed(tmp_path / "peaks.bed.gz")["start"].tolist() == [5_050, 1_050, 9_050]
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["T", "cells", "3", "0", "0", "1", "2", "2"] in rows
    assert ["B", "cells", "3", "0", "1", "0", "2", "2"] in rows
    assert "left out between files: 1 for a higher peak of another file that they overlap" in done.stdout
    assert "peaks.bed.gz: 3 peaks of 500 bp that do not overlap" in done.stdout
    assert "compared by qvalue" in done.stderr
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert again.returncode == 1
    assert "peaks.bed.gz already exists. Choose another name, or replace it with --overwrite" in again.stderr


def test_a_narrow_peak_with_titles_has_its_summits_and_scores(tmp_path):
    lines = ["chr1\t1000\t2000\ta\t10\t.\t5\t6\t7\t900", "chr1\t1500\t2600\tb\t20\t.\t5\t6\t3\t100"]
    titles = "chrom\tstart\tend\tname\tscore\tstrand\tsignalValue\tpValue\tqValue\tpeak"
    (tmp_path / "plain.narrowPeak").write_text("\n".join(lines) + "\n")
    (tmp_path / "titled.narrowPeak").write_text("\n".join([titles, *lines]) + "\n")
    plain, titled = (
        sz.merge_peaks([tmp_path / f"{name}.narrowPeak"], out=tmp_path / "merged.bed", overwrite=True).peaks
        for name in ("plain", "titled")
    )
    assert plain["start"].tolist() == [1650]
    pd.testing.assert_frame_equal(plain, titled)


def test_one_chromosome_under_two_names_is_refused_although_another_is_shared(tmp_path):
    for name, chrom in (("a", "chr1"), ("b", "1")):
        (tmp_path / f"{name}.bed").write_text(f"{chrom}\t1000\t2000\tx\t5\nGL000194.1\t100\t900\ty\t5\n")
    with pytest.raises(InputError, match="has the chromosome 1, .* has chr1: the same peak would be kept twice"):
        sz.merge_peaks([tmp_path / "a.bed", tmp_path / "b.bed"], out=tmp_path / "merged.bed", overwrite=True)
    (tmp_path / "black.bed").write_text("1\t0\t5000\nGL000194.1\t1\t2\n")
    with pytest.raises(InputError, match="the blacklist has the chromosome 1, the peaks have chr1"):
        sz.merge_peaks([tmp_path / "a.bed"], blacklist=[tmp_path / "black.bed"], out=tmp_path / "merged.bed", overwrite=True)
