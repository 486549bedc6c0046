"""BED files: order, names, header lines, and files that are refused."""

import gzip

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.bed import read_bed


def test_bed_is_read_in_its_order_with_names_and_headers(tmp_path):
    lines = ["track name=x", "# about", "", "chr2\t5\t9\tmine\t0\t+", "chr1 1 4", "chr1 1 4"]
    for name, data in (("a.bed", "\n".join(lines).encode()), ("a.bed.gz", gzip.compress("\r\n".join(lines).encode()))):
        (tmp_path / name).write_bytes(data)
        bed = read_bed(tmp_path / name)
        assert bed.columns.tolist() == ["chrom", "start", "end", "name"]
        assert bed.to_numpy().tolist() == [["chr2", 5, 9, "mine"], *[["chr1", 1, 4, "chr1:1-4"]] * 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t1\n", "line 1: expected chrom, start and end"),
        ("chr1\t1\t5\n\nchr1\t-1\t5\n", "line 3: the start must not be negative"),
        ("#x\nchr1\t9\t5\n", "line 2: the end must be greater than the start; found 'chr1 9 5'"),
        ("chr1\t5\t5\n", "line 1: the end must be greater"),
        ("V1\tV2\tV3\nchr1\t1\t2\n", "line 1: .*If it is a line of titles, name the columns"),
        ("from\tto\tof\nchr1\t1\t2\n", "line 1: .* name the columns chrom, start and end, or remove the line"),
        ("chrom\tstart\tend\n", "has no intervals"),
        ("chrom\tend\tstart\nchr1\t1\t2\n", "line 2: the end must be greater than the start; found 'chr1 2 1'"),
        ("chrom\tstart\tend\nchr1\t1\n", "line 2: expected chrom, start and end"),
        ("chr1,100,200\n", "line 1: .*looks like CSV"),
        ("chr1, 100, 200\n", "line 1: .*looks like CSV"),
        ("chrom;start;end\nchr1;100;200\n", "line 1: expected chrom, start and end"),
        ("chr1:4,100,000-4,100,100\n", "line 1: .*looks like the name of a region"),
        (">chr1\nACGT\n", "line 1: .*looks like a FASTA"),
        ('chr1\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "G";\n', "line 1: .*looks like GTF"),
        ("##fileformat=VCFv4.2\nchr1\t5\t.\tA\tG\t.\n", "line 2: .*looks like VCF"),
        ("chr1\t0\t9\n1\t2\nchr2\t3\t5\n", "line 2: expected chrom, start and end"),
        ("# MACS\nchr\tstart\tend\tlength\nchr1\t101\t200\t100\nchr2\t7\t9\t3\n", "line 3: the starts count from 1"),
        ("chr1\t1.5\t5\n", "line 1: the start must be a whole number"),
        ("# nothing\n", "has no intervals"),
    ],
)
def test_impossible_bed_is_refused_with_its_line(text, message, tmp_path):
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_bed(tmp_path / "a.bed")
    assert "a.bed" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "chrom\tstart\tend\tname\nchr2\t100000\t4100500\tp 1\nchr1\t1\t4\t.\n",
        "name\tchrom\tstart\tend\np 1\tchr2\t100000\t4100500\n\tchr1\t1\t4\n",
        # write.table of R: quotes, and row names without a title
        '"seqnames" "start" "end" "width" "name"\n"1" "chr2" 1e+05 4100500 4000500 "p 1"\n"2" "chr1" 1 4 3 "."\n',
        "chr2\t100,000\t4,100,500\tp 1\nchr1\t1\t4\n",
        "chr2\t100000.0\t4100500.0\tp 1\t9\t+\nchr1\t1\t4\t.\t.\t-\n",
        "chrom\tchromStart\tchromEnd\tname\nchr2\t100000\t4100500\tp 1\nchrom\tchromStart\tchromEnd\tname\nchr1\t1\t4\n",
        '"chr2"\t"100000"\t"4100500"\t"p 1"\nbrowser position chr1\ntrack\tname=x\nchr1 1 4 .\n',
    ],
)
def test_titles_quotes_and_numbers_of_other_programs_are_read(text, tmp_path):
    (tmp_path / "a.bed").write_text(text)
    assert read_bed(tmp_path / "a.bed").to_numpy().tolist() == [["chr2", 100_000, 4_100_500, "p 1"], ["chr1", 1, 4, "chr1:1-4"]]


def test_chromosomes_whose_names_begin_like_a_line_for_a_browser_are_read(tmp_path):
    (tmp_path / "a.bed").write_text("tracked\t1\t4\nbrowser2 1 4\n")
    assert read_bed(tmp_path / "a.bed")["chrom"].tolist() == ["tracked", "browser2"]


def test_missing_bed_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no .*a.bed"):
        read_bed(tmp_path / "a.bed")


NARROW_PEAK = "chr1\t100\t700\tp\t50\t.\t2.5\t7.5\t5.0\t{}\n"


@pytest.mark.parametrize(
    ("text", "n_off_centre"),
    [
        (NARROW_PEAK.format(20) + NARROW_PEAK.format(300) + NARROW_PEAK.format(-1) + NARROW_PEAK.format(21), "2 of 4"),
        (NARROW_PEAK.format(20).replace("\t", " "), "1 of 1"),
        (NARROW_PEAK.format(300) + NARROW_PEAK.format(-1), None),
        ("chr1\t100\t700\tp\t50\t.\t2.5\t7.5\t5.0\n", None),  # broadPeak
        ("chr1\t100\t700\tp\t50\t.\tchr1\t90\t800\t20\n", None),  # two BEDs side by side
        ("chr1\t100\t700\tp\t50\t.\t100\t700\t0\t1\t600,\t0,\n", None),  # BED of twelve columns
        ("chrom\tstart\tend\ta\tb\tc\td\te\tf\tg\nchr1\t100\t700\tp\t50\t.\t2.5\t7.5\t5.0\t20\n", None),
        ("chr1\t100\t700\n", None),
    ],
)
def test_summits_of_a_narrow_peak_that_are_not_used_are_said_once(text, n_off_centre, tmp_path, capsys):
    (tmp_path / "a.narrowPeak").write_text(text)
    bed = read_bed(tmp_path / "a.narrowPeak")
    assert (bed["start"].unique().tolist(), bed["end"].unique().tolist()) == ([100], [700])
    said = capsys.readouterr().err
    if n_off_centre is None:
        assert said == ""
    else:
        assert said.count("\n") == 1
        assert f"a.narrowPeak is a narrowPeak with summits: {n_off_centre} are not in the middle" in said
        assert "merge-peaks" in said


def test_xls_of_macs_is_refused_since_its_starts_count_from_one(tmp_path):
    text = "# This file is generated by MACS version 3.0.0a6\n# d = 200\n\n"
    titles = "chr\tstart\tend\tlength\tabs_summit\tpileup\t-log10(pvalue)\tfold_enrichment\t-log10(qvalue)\tname\n"
    (tmp_path / "a_peaks.xls").write_text(text + titles + "chr1\t9997\t10250\t254\t10080\t9\t3.1\t2.2\t1.1\ta_peak_1\n")
    with pytest.raises(InputError, match=r"a_peaks.xls, line 5: the starts count from 1.*of MACS, give the .narrowPeak"):
        read_bed(tmp_path / "a_peaks.xls")
