"""Text files are opened as plain or gzip by their content."""

import gzip

import pytest

from scbasset_zoo.inputs.text_files import open_text

TEXT = "chr1\t5\t9\tpéak\nchr2\t1\t4\n"


@pytest.mark.parametrize("name", ["a.bed", "a.bed.gz"])
@pytest.mark.parametrize("write", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gzip"])
def test_the_content_says_whether_a_file_is_gzip(write, name, tmp_path):
    (tmp_path / name).write_bytes(write(TEXT))
    with open_text(tmp_path / name) as file:
        assert list(file) == TEXT.splitlines(keepends=True)


def test_an_empty_file_is_plain(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    with open_text(str(tmp_path / "empty")) as file:
        assert file.read() == ""


def test_truncated_gzip_and_bytes_that_are_not_text_raise_errors(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(TEXT.encode() * 100)[:-20])
    with pytest.raises(EOFError), open_text(tmp_path / "cut.gz") as file:
        file.read()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnicodeDecodeError), open_text(tmp_path / "binary") as file:
        file.read()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte-order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_marks_and_line_ends_do_not_change_the_text(mark, end, compress, tmp_path):
    (tmp_path / "a.bed").write_bytes(compress(mark + TEXT.replace("\n", end).encode()))
    with open_text(tmp_path / "a.bed") as file:
        assert file.read() == TEXT
