"""Text files are opened by their content; lines, columns and numbers are read as programs write them."""

import gzip

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.text_files import columns_of, is_plain, open_text, read_names, text_lines, whole_number

TEXT = "chr1\t5\t9\tpéak\nchr2\t1\t4\n"


@pytest.mark.parametrize("name", ["a.bed", "a.bed.gz"])
@pytest.mark.parametrize("write", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gzip"])
def test_the_content_says_whether_a_file_is_gzip(write, name, tmp_path):
    (tmp_path / name).write_bytes(write(TEXT))
    with open_text(tmp_path / name) as file:
        assert list(file) == TEXT.splitlines(keepends=True)


@pytest.mark.parametrize("empty", [b"", gzip.compress(b"", mtime=0), b"\xef\xbb\xbf"], ids=["nothing", "gzip", "byte-order mark"])
def test_an_empty_file_has_no_text(empty, tmp_path):
    (tmp_path / "empty").write_bytes(empty)
    with open_text(str(tmp_path / "empty")) as file:
        assert file.read() == ""


def test_truncated_gzip_and_bytes_that_are_not_text_raise_errors(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(TEXT.encode() * 100)[:-20])
    with pytest.raises(InputError, match="cut.gz cannot be read: .*cut short"), open_text(tmp_path / "cut.gz") as file:
        file.read()
    (tmp_path / "latin-1").write_bytes(TEXT.encode("latin-1"))
    with pytest.raises(UnicodeDecodeError), open_text(tmp_path / "latin-1") as file:
        file.read()
    (tmp_path / "late").write_bytes(TEXT.encode() * 10_000 + b"\0")
    with open_text(tmp_path / "late") as file, pytest.raises(InputError, match="late is not text: it has NUL bytes"):
        file.read()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte-order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_marks_and_line_ends_do_not_change_the_text(mark, end, compress, tmp_path):
    path = tmp_path / "a.bed"
    path.write_bytes(compress(mark + TEXT.replace("\n", end).encode()))
    with open_text(path) as file:
        assert file.read() == TEXT
    assert is_plain(path) == (not mark and end != "\r" and compress is bytes)


def test_lines_come_with_their_numbers_without_comments_and_blank_lines(tmp_path):
    (tmp_path / "a").write_bytes("\ufeff# about\r\n\r\n a\tb \t\r\n  # more\r\n\ufeff# joined\r\n\ufeffç\r\n".encode())
    assert list(text_lines(tmp_path / "a")) == [(3, " a\tb"), (6, "ç")]
    assert [number for number, _ in text_lines(tmp_path / "a", comments=())] == [1, 3, 4, 5, 6]


def test_letters_of_another_encoding_are_refused_with_the_line_unless_they_do_not_matter(tmp_path):
    (tmp_path / "a").write_bytes("# é\na\né\n".encode("latin-1"))
    with pytest.raises(InputError, match="a, line 3: expected UTF-8.*iconv -f LATIN1"):
        list(text_lines(tmp_path / "a"))
    assert list(text_lines(tmp_path / "a", strict=False)) == [(2, "a"), (3, "\ufffd")]


def test_columns_are_separated_by_tabs_or_blanks_and_lose_their_quotes():
    assert columns_of("chr1\t5 \tmy peak\t") == ["chr1", "5", "my peak", ""]
    assert columns_of("chr1  5 9") == ["chr1", "5", "9"]
    assert columns_of('"chr1"\t5\t"a ""b"""\t"a \\"b\\""') == ["chr1", "5", 'a "b"', 'a "b"']
    assert columns_of('"chr1" 5 "my peak" x"y') == ["chr1", "5", "my peak", 'x"y']
    assert columns_of('"') == ['"']


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4100000", 4_100_000),
        ("4,100,000", 4_100_000),
        ("1e+05", 100_000),
        ("100.0", 100),
        ("-3", -3),
        *((text, None) for text in ("", "1.5", "4,10", "1_000", "nan", "inf", "chr1", "1 000", "0x10", "1" * 5_000, "1e300")),
    ],
)
def test_whole_numbers_are_read_as_programs_write_them(text, number):
    assert whole_number(text) == number


def test_names_stand_on_lines_of_their_own(tmp_path):
    (tmp_path / "names").write_text('"AAAC-1"\n\ncell 2 \n#3\n')
    assert read_names(tmp_path / "names") == ["AAAC-1", "cell 2", "#3"]
    (tmp_path / "names").write_text("AAAC-1\nAAAC-2\tT cell\n")
    with pytest.raises(InputError, match="names, line 2: expected one name on a line; found columns"):
        read_names(tmp_path / "names")


@pytest.mark.parametrize("name", ["file/inside", "loop", "x" * 300])
def test_a_path_that_cannot_be_is_no_damage(name, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="Check the path"):
        open_text(tmp_path / name)
