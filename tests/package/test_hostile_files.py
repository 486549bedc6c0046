"""Hostile cards, files and test vectors are refused with a reason, before anything is read.

Hashes and digest of each package fit, since an attacker can write the whole package.
"""

import io
import shutil
import struct
import zipfile

import numpy as np
import pytest
from helpers import toy
from helpers.forgery import change_card, findings, refused, rehash

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import MAX_BYTES
from scbasset_zoo.package.digests import seal
from scbasset_zoo.package.finding import Finding
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.sealing import seal_package
from scbasset_zoo.package.verifying import verify_package

# The card


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("limits: !!python/object/apply:os.system ['touch pwned']", "could not determine a constructor"),
        ("limits: !!python/name:os.system", "could not determine a constructor"),
        ("limits: &a [x, x]\nmore: *a", "anchors and aliases are not allowed"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]", "anchors and aliases are not allowed"),
        ("limits: " + "[" * 100, "nested more than"),
        ("limits: " + "[" * 10_000, "nest"),  # PyYAML may refuse it before we do
        ("<<: {id: scbasset/other}", "could not determine a constructor"),
        ("limits: " + "1" * 5_000, "a number has 5,000 characters"),
        ("limits: !!binary aGVsbG8=", "limits"),
        ('limits: "\\e]0;owned\\a"', "control character"),
        ('limits: "read \\u202e backwards"', "control character"),
    ],
)
def test_a_card_that_would_run_expand_or_deceive(folder, line, reason, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = (folder / "card.yaml").read_text()[:-73].replace("limits: Predicts nothing.\n", "")
    (folder / "card.yaml").write_bytes(seal(f"{text}{line}\n"))
    refused(folder, reason)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "name", ["../other/model.onnx", "/etc/passwd", "tests/../../x", "tests\\x", "C:x", "~/x", "a\0b", "x" * 300, "a b"]
)
def test_a_card_that_names_files_elsewhere(folder, name):
    change_card(folder, lambda card: card["files"].update({name: {"bytes": 1, "sha256": "0" * 64}}))
    refused(folder, "must be a plain relative path inside the package")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("input", "length"), 10**9),
        (("cells", "n_cells"), 10**12),
        (("architecture", "embedding_size"), 10**9),
        (("tests", "n_sequences"), 10**6),
        (("tests", "rtol"), 1e9),
        (("tests", "atol"), 1e9),
    ],
)
def test_a_card_with_counts_that_nothing_can_have_or_tolerances_that_forgive_all(folder, path, value):
    change_card(folder, lambda card: card[path[0]].update({path[1]: value}))
    refused(folder, f"{'.'.join(path)}: must be at most")


def test_a_card_beyond_any_size_is_not_read(folder):
    with (folder / "card.yaml").open("r+b") as file:
        file.truncate(50 * MAX_BYTES)
    for use in (Package.open, seal_package, verify_package):
        with pytest.raises(PackageError, match="a model card has at most"):
            use(folder)


def test_a_card_that_is_a_link_is_not_read(folder, tmp_path):
    (tmp_path / "secret").write_text("password")
    (folder / "card.yaml").unlink()
    (folder / "card.yaml").symlink_to(tmp_path / "secret")
    for use in (Package.open, seal_package, verify_package):
        with pytest.raises(PackageError, match="symbolic link") as caught:
            use(folder)
        assert "password" not in str(caught.value)


def test_findings_reach_the_terminal_as_text():
    assert str(Finding("x\x1b[2J", "\u202ename \x07\nsecond line µ")) == "x\\x1b[2J: \\x202ename \\x07\nsecond line µ"


def test_names_of_cells_cannot_break_the_readme(tmp_path):
    cells = toy.toy_cells().assign(cell_type=["a | b", "\x1b[2J", "c\nd", *"efgh"])
    text = (toy.toy_package(tmp_path / "p", cells=cells).folder / "README.md").read_text()
    assert "| a \\| b | 1 |" in text
    assert "| [2J | 1 |" in text
    assert "| c d | 1 |" in text


# Files that are not what they seem


@pytest.mark.parametrize("name", ["model.onnx", "tests/expected.npz", "README.md"])
def test_links_out_of_the_package(folder, tmp_path, name):
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    refused(folder, f"{name}: is a symbolic link") if name != "README.md" else None
    assert f"{name}: is a symbolic link" in findings(folder)


def test_an_unlisted_link_folder_or_program(folder, tmp_path):
    (folder / "more").symlink_to("/etc")
    (folder / "setup.py").write_text("raise SystemExit")
    text = findings(folder)
    assert "more: is not listed in the card" in text
    assert "setup.py: is not listed in the card" in text
    assert "passwd" not in text


def test_the_files_of_another_model_under_this_ones_card(folder, tmp_path):
    other = toy.toy_package(tmp_path / "other", id="scbasset/other", seed=5).folder
    for name in ("model.onnx", "tests/expected.npz", "tests/sequences.txt"):
        shutil.copy(other / name, folder / name)
    rehash(folder)
    assert "id is 'scbasset/other'; the card says 'scbasset/toy'. The files may come from two models" in findings(folder)


def test_this_ones_network_with_the_cells_of_another(folder, tmp_path):
    cells = toy.toy_cells().rename(index=lambda name: f"other-{name}")
    other = toy.toy_package(tmp_path / "other", cells=cells)
    shutil.copy(other.folder / "cells.parquet", folder / "cells.parquet")
    change_card(folder, lambda card: card["cells"].update(order_sha256=other.card.cells.order_sha256))
    rehash(folder)
    assert "metadata_props: cell_order_sha256 is" in findings(folder)


# Test vectors


def _write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)


def _arrays(folder):
    with zipfile.ZipFile(folder / "tests/expected.npz") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _npy(shape, data, descr="<f4"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


@pytest.mark.parametrize(
    ("member", "raw", "reason"),
    [
        ("logits.npy", _npy((5_000_000, 10), b"\0" * 200_000_000), "'logits' unpacks to 200,000,"),
        ("cells.npy", _npy((25_000_000,), b"\0" * 200_000_000, "<i8"), "'cells' unpacks to 200,000,"),
        ("logits.npy", _npy((2**40, 2**20), b"\0" * 16), "'logits' has 16 bytes for the shape"),
        ("logits.npy", _npy((4, 7), b"\0" * 112, "|O"), "objects are never unpickled"),
        ("logits.npy", b"\x80\x04\x95", "tests/expected.npz: cannot be read"),
        ("cells.npy", _npy((0,), b"", "<i8"), "'cells' must be positions of cells, 0 to 6"),
        ("cells.npy", _npy((1,), struct.pack("<q", 7), "<i8"), "'cells' must be positions of cells, 0 to 6"),
        ("../evil.npy", _npy((0,), b""), "must hold the arrays cells, accessibility, logits, peak_embedding and nothing else"),
    ],
    # pytest would make names of the bytes, 800 MB each.
    ids=["large logits", "large cells", "short", "object", "pickle", "no cells", "cell out of range", "name outside"],
)
def test_an_archive_that_expands_pickles_or_tests_nothing(folder, member, raw, reason):
    _write_zip(folder / "tests/expected.npz", _arrays(folder) | {member: raw})
    assert (folder / "tests/expected.npz").stat().st_size < 1_000_000
    rehash(folder)
    assert reason in findings(folder)
    assert not (folder.parent / "evil.npy").exists()


def test_an_archive_whose_directory_lies_about_sizes(folder):
    path = folder / "tests/expected.npz"
    _write_zip(path, _arrays(folder) | {"logits.npy": _npy((5_000_000,), b"\0" * 20_000_000)})
    raw, size = path.read_bytes(), struct.pack("<I", len(_npy((5_000_000,), b"\0" * 20_000_000)))
    assert raw.count(size) >= 1
    path.write_bytes(raw.replace(size, struct.pack("<I", 240)))
    rehash(folder)
    assert "tests/expected.npz: cannot be read" in findings(folder)


def test_sequences_that_are_not_those_of_the_card(folder):
    path = folder / "tests/sequences.txt"
    path.write_bytes(b"A" * 10_000_000)
    rehash(folder)
    assert "has 10,000,000 bytes; 4 lines of 1,344 bases, as the card says, have 5,380" in findings(folder)
    path.write_bytes(b"\xff" * 5_380)
    rehash(folder)
    assert "tests/sequences.txt: cannot be read" in findings(folder)
