"""10x folders: files that do not belong together, damaged files, and other kinds of entries."""

import numpy as np
import pytest
from scipy import io, sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.matrix import open_matrix
from tests.helpers.matrices import VALUES, cut, write_10x_folder


def test_mtx_that_does_not_fit_its_folder_is_refused(tmp_path):
    folder = write_10x_folder(tmp_path / "m", VALUES, "peaks.bed")
    text = (folder / "matrix.mtx").read_text()
    (folder / "matrix.mtx").write_text(text.replace("4 3 12", "3 4 12"))
    with pytest.raises(InputError, match="is 3 x 4, but there are 4 peaks .* and 3 barcodes.*10x writes peaks x cells"):
        open_matrix(folder)
    (folder / "matrix.mtx").write_text("\n".join(text.split("\n")[:-3]) + "\n")
    with pytest.raises(InputError, match="incomplete or was changed: its header says 12 entries, but it has 10"):
        list(open_matrix(folder).open_entries())
    (folder / "matrix.mtx").write_text("cells,peaks\n")
    with pytest.raises(InputError, match="not a Matrix Market coordinate file"):
        open_matrix(folder)
    (folder / "barcodes.tsv").unlink()
    with pytest.raises(InputError, match="lacks barcodes.tsv"):
        open_matrix(folder)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("real", "complex", "not a Matrix Market coordinate file of integers, reals or a pattern"),
        ("coordinate real general", "coordinate real", "not a Matrix Market coordinate file"),
        ("4 3 12", "4 3", "expected numbers of rows, columns and entries; found '4 3'"),
        ("4 3 12", "4 3 many", "expected numbers of rows, columns and entries"),
        ("1 1 0.0\n", "1 1 0.0 1\n", "expected 3 numbers on a line, as its first line says; found more"),
        ("1 1 0.0\n", "1 1 0.0 1 1 1\n", "found more|cannot be read"),
        ("coordinate real", "coordinate pattern", "expected 2 numbers on a line"),
        ("1 1 0.0\n", "1 1\n", "cell 'cell0' and peak .* is nan; expected counts"),
    ],
)
def test_mtx_with_other_numbers_than_its_header_says_is_refused(before, after, message, tmp_path):
    folder = write_10x_folder(tmp_path / "m", VALUES, "peaks.bed")
    text = (folder / "matrix.mtx").read_text()
    assert before in text
    (folder / "matrix.mtx").write_text(text.replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        list(open_matrix(folder).open_entries())


def test_quotes_around_barcodes_and_features_are_left_out(tmp_path):
    folder = write_10x_folder(tmp_path / "m", VALUES, "peaks.bed")
    (folder / "barcodes.tsv").write_text('"cell0"\n"cell1" \n"cell ""2"""\n')
    assert open_matrix(folder).cells.index.tolist() == ["cell0", "cell1", 'cell "2"']


def test_truncated_gzip_mtx_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    folder = write_10x_folder(tmp_path / "m", rng.random((50, 40)))
    cut(folder / "matrix.mtx.gz", folder / "matrix.mtx.gz")
    with pytest.raises(InputError, match="cannot be read"):
        list(open_matrix(folder).open_entries())


def test_pattern_and_integer_mtx_as_scipy_writes_them(tmp_path):
    x = (VALUES > 0).astype(np.int32)
    folder = write_10x_folder(tmp_path / "m", x, "peaks.bed")
    for field in ("integer", "pattern"):
        io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(x.T), field=field, symmetry="general")
        entries = {(c, p) for cell, peak in open_matrix(folder).open_entries() for c, p in zip(cell, peak, strict=True)}
        assert entries == set(zip(*np.nonzero(x), strict=True))
