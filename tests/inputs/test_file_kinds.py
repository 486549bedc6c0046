"""Files that are not text are named by their first bytes, and text is not taken for them."""

import gzip
import pickle
import tarfile

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbasset_zoo.inputs.file_kinds import START, kind_of, kind_of_file


def _tar(path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(__file__, "a.py")


WRITERS = {
    "an HDF5 file": lambda path: ad.AnnData(np.ones((1, 1))).write_h5ad(path),
    "a Parquet table": lambda path: pd.DataFrame({"a": [1]}).to_parquet(path),
    "a tar archive": _tar,
    "an array of NumPy": lambda path: np.save(path.open("wb"), np.ones(3)),
    "a pickle of Python": lambda path: path.write_bytes(pickle.dumps([1])),
    "compressed by gzip twice": lambda path: path.write_bytes(gzip.compress(gzip.compress(b"a"))),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_files_as_their_programs_write_them_are_named(kind, tmp_path):
    WRITERS[kind](tmp_path / "file")
    assert kind_of_file(tmp_path / "file").startswith(kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "chr1\t1\t2",
        "PAR1\t1\t2",
        "CRAM\t1",
        "BAM1",
        "PKD1\t3",
        "version 2",
        "BZh9\t1",
        "<DEL>",
        "A\n3\n",
        "Xist",
        "7zip",
        "BCF",
        ">a\nAC",
    ],
)
def test_text_that_begins_alike_is_not_named(text):
    assert kind_of((text.encode() + b"\n" * START)[:START]) is None


def test_files_that_cannot_be_read_are_not_named(tmp_path):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a" * 100)[:12])
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "cut.gz"):
        assert kind_of_file(path) is None
