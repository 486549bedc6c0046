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
        ("chrom\tstart\tend\n", "line 1: the start must be a whole number"),
        ("chr1\t1.5\t5\n", "line 1: the start must be a whole number"),
        ("# nothing\n", "has no intervals"),
    ],
)
def test_impossible_bed_is_refused_with_its_line(text, message, tmp_path):
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_bed(tmp_path / "a.bed")
    assert "a.bed" in str(caught.value)


def test_missing_bed_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no .*a.bed"):
        read_bed(tmp_path / "a.bed")
