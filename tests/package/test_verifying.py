"""Verifying a package: all damage to it is reported."""

import hashlib
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers import toy
from helpers.forgery import (
    change_card,
    change_model,
    findings,
    make_weights_not_finite,
    move_weights_outside,
    rehash,
    rename_cell_embedding,
    reverse_outputs,
)
from onnx import helper, numpy_helper

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.digests import order_digest
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.zoo.models import open_model


def test_every_changed_byte_is_found_whichever_file_it_is_in(folder):
    """600 single bytes over all files, the card included, and each file's first and last."""
    rng = np.random.default_rng(0)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(paths) == 7
    missed, tried = [], 0
    for path in paths:
        intact = path.read_bytes()
        for place in {0, len(intact) - 1, *rng.choice(len(intact), 85, replace=False).tolist()}:
            damaged = bytearray(intact)
            damaged[place] ^= int(rng.integers(1, 256))
            path.write_bytes(damaged)
            reported = {finding.file for finding in verify_package(folder)}
            missed += [] if path.relative_to(folder).as_posix() in reported else [(path.name, place)]
            tried += 1
        path.write_bytes(intact)
    assert missed == []
    assert tried >= 595
    assert verify_package(folder) == []


def test_every_byte_of_the_cards_digest_line_counts(folder):
    path = folder / "card.yaml"
    intact = path.read_bytes()
    assert intact.splitlines()[-1] == b"digest: " + hashlib.sha256(intact[:-73]).hexdigest().encode()
    for place in range(len(intact) - 73, len(intact)):
        damaged = bytearray(intact)
        damaged[place] ^= 0x20
        path.write_bytes(damaged)
        assert findings(folder), place
        with pytest.raises(PackageError, match=r"card\.yaml"):
            Package.open(folder)
    path.write_bytes(intact.upper())
    assert findings(folder)


@pytest.mark.parametrize("change", [lambda raw: raw[:-73], lambda raw: raw + b"\n", lambda raw: raw.replace(b"Tests.", b"Fame.")])
def test_an_edited_card_says_to_seal_it(folder, change):
    path = folder / "card.yaml"
    path.write_bytes(change(path.read_bytes()))
    assert "if you edited the card yourself, run scbasset-zoo seal FOLDER" in findings(folder)
    with pytest.raises(PackageError, match=r"card\.yaml"):
        Package.open(folder)


def test_missing_unexpected_and_cut_files_are_all_reported(folder):
    (folder / "peaks.parquet").unlink()
    (folder / "evil.py").write_text("print(1)")
    raw = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(raw[:-100])
    text = findings(folder)
    assert "peaks.parquet: is missing" in text
    assert "evil.py: is not listed in the card" in text
    assert f"model.onnx: has {len(raw) - 100:,} bytes; the card says {len(raw):,}" in text
    assert "tests: not run" in text
    with pytest.raises(PackageError, match=r"model.onnx: has(.|\n)*peaks.parquet: is missing"):
        Package.open(folder)


def test_symbolic_links_are_refused(folder, tmp_path):
    (folder / "README.md").rename(tmp_path / "elsewhere.md")
    (folder / "README.md").symlink_to(tmp_path / "elsewhere.md")
    assert "README.md: is a symbolic link" in findings(folder)
    with pytest.raises(PackageError, match="symbolic link"):
        Package.open(folder)


def test_a_folder_behind_a_symbolic_link_inside_the_package_is_refused(folder, tmp_path):
    (folder / "tests").rename(tmp_path / "moved")
    (folder / "tests").symlink_to(tmp_path / "moved")
    with pytest.raises(PackageError, match="tests/sequences.txt: is a symbolic link"):
        Package.open(folder)


def test_swapped_cells_are_found_even_with_a_matching_hash(folder):
    table = pd.read_parquet(folder / "cells.parquet")
    table.iloc[::-1].to_parquet(folder / "cells.parquet", index=False)
    rehash(folder)
    assert "cells.parquet: the cells or their order are not those of the card" in findings(folder)
    with pytest.raises(PackageError, match="order"):
        _ = open_model(folder, "cpu").cells


@pytest.mark.parametrize("old", ["license: cc0-1.0", "- onnx"])
def test_a_readme_whose_front_matter_contradicts_the_card_is_found_even_with_a_matching_hash(folder, old):
    path = folder / "README.md"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace("toy", "TOY"))
    rehash(folder)
    assert verify_package(folder) == []
    path.write_text(text.replace(old, "license: mit"))
    rehash(folder)
    assert findings(folder) == ("README.md: does not begin with the front matter that the card gives; run scbasset-zoo seal FOLDER")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"start": -5}, "1 peaks do not have 0 <= start < end; the first is row 3, start -5, end "),
        ({"start": 900, "end": 900}, "1 peaks do not have 0 <= start < end; the first is row 3, start 900, end 900"),
        ({"start": 900.5}, "start and end must be whole numbers; found float64 and int64"),
    ],
)
def test_peaks_that_are_no_intervals_are_found(folder, changes, reason):
    peaks = pd.read_parquet(folder / "peaks.parquet")
    for column, value in changes.items():
        peaks[column] = peaks[column].astype(type(value))
        peaks.loc[3, column] = value
    peaks.to_parquet(folder / "peaks.parquet", index=False)
    digest = order_digest(f"{p.chrom}:{p.start}-{p.end}" for p in peaks.itertuples())
    change_card(folder, lambda card: card["peaks"].update(order_sha256=digest))
    rehash(folder)
    assert f"peaks.parquet: {reason}" in findings(folder)


def test_wrong_counts_and_columns_are_found(folder):
    table = pd.read_parquet(folder / "cells.parquet")
    pd.concat([table, table.iloc[:1]]).assign(extra=1).drop(columns="batch").to_parquet(folder / "cells.parquet", index=False)
    peaks = pd.read_parquet(folder / "peaks.parquet")
    peaks.iloc[1:].to_parquet(folder / "peaks.parquet", index=False)
    rehash(folder)
    text = findings(folder)
    assert "cells.parquet: has 8 cells; the card says 7" in text
    assert "cells.parquet: the barcode 'cell-0' appears more than once" in text
    assert "cells.parquet: has columns that the card does not describe: extra" in text
    assert "cells.parquet: lacks columns that the card describes: batch" in text
    assert "peaks.parquet: has 11 peaks; the card says 12" in text
    assert "peaks.parquet: the peaks or their order" in text


def test_a_split_that_contradicts_the_card_is_found(folder):
    split = {"method": "random", "train": 6, "validation": 3, "test": 2}
    change_card(folder, lambda card: card.update(training={"split": split}))
    assert findings(folder) == "peaks.parquet: has 3 peaks of split 'test'; the card says 2"


def test_a_model_of_another_package_is_found_by_its_metadata(folder, tmp_path):
    other = toy.toy_package(tmp_path / "other", id="scbasset/other", seed=5)
    shutil.copy(other.folder / "model.onnx", folder / "model.onnx")
    rehash(folder)
    text = findings(folder)
    assert "metadata_props: id is 'scbasset/other'; the card says 'scbasset/toy'" in text


def test_changed_weights_are_found_by_the_test_vectors_which_say_how_much_and_where(folder):
    def change(model):
        tensor = next(t for t in model.graph.initializer if t.name == "cell_intercept")
        values = numpy_helper.to_array(tensor).copy()
        values[3] += 2.0
        tensor.CopyFrom(numpy_helper.from_array(values, "cell_intercept"))

    with np.load(folder / "tests/expected.npz") as expected:
        logits = expected["logits"]
    change_model(folder, change)
    text = findings(folder)
    assert "tests/expected.npz: logits: 4 of 28 values differ by more than rtol 0.001, atol 0.0001" in text
    worst = next(line for line in text.splitlines() if "logits: 4 of 28" in line)
    assert "column 3: expected" in worst
    assert worst.endswith("(off by 2)")
    row = int(worst.split("sequence ")[1].split(",")[0])
    assert float(worst.split("expected ")[1].split(",")[0]) == pytest.approx(logits[row, 3], rel=1e-5)


def test_a_head_that_is_not_the_initializers_is_found(folder):
    def change(model):
        add = next(node for node in model.graph.node if node.output[0] == "logits")
        add.op_type = "Sub"

    change_model(folder, change)
    assert "logits are not peak_embedding times cell_embedding plus cell_intercept" in findings(folder)


def _foreign_operator(model):
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    model.graph.node.append(helper.make_node("Run", ["logits"], ["x"], domain="com.evil"))


def _fixed_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _renamed_input(model):
    model.graph.input[0].name = "dna"


def _no_metadata(model):
    del model.metadata_props[:]


def _other_opset(model):
    model.opset_import[0].version = 14


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (make_weights_not_finite, "w_2 has 2 weights that are not finite"),
        (move_weights_outside, "keeps w_2 in another file"),
        (_foreign_operator, "operators outside the ONNX standard: com.evil.Run"),
        (reverse_outputs, "outputs accessibility, logits, peak_embedding in this order"),
        (_fixed_batch, "sequence must have shape (N, 1344, 4); found (1, 1344, 4)"),
        (_renamed_input, "one input, 'sequence'"),
        (_no_metadata, "metadata_props: n_cells is None; the card says '7'"),
        (rename_cell_embedding, "has no initializer 'cell_embedding'"),
        (_other_opset, "has opset 14; the card says 15"),
    ],
)
def test_a_network_that_breaks_its_contract_is_found(folder, change, message):
    change_model(folder, change)
    text = findings(folder)
    assert message in text
    assert "tests: not run" in text


def test_test_files_are_data_never_pickles(folder):
    np.savez(folder / "tests/expected.npz", cells=np.array([object()], dtype=object), logits=1, accessibility=1, peak_embedding=1)
    rehash(folder)
    assert "tests/expected.npz: cannot be read: 'cells' holds object" in findings(folder)
    (folder / "tests/expected.npz").write_bytes(b"\x80\x04N.")
    rehash(folder)
    assert "not a NumPy .npz file" in findings(folder)


def test_a_card_with_problems_is_one_finding_that_lists_them(folder):
    path = folder / "card.yaml"
    change_card(folder, lambda card: card.update(intended_use="TODO", mood="good"))
    (finding,) = verify_package(folder)
    assert "2 problems" in finding.problem
    path.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in findings(folder)


def test_a_network_whose_outputs_are_not_finite_is_refused(tmp_path):
    model = toy.toy_model()
    (embedding,) = (tensor for tensor in model.graph.initializer if tensor.name == "cell_embedding")
    embedding.CopyFrom(numpy_helper.from_array(np.full((32, 7), 3e38, np.float32), embedding.name))
    with pytest.raises(PackageError, match="gives logits of which .* values are not finite"):
        write_package(tmp_path / "toy", card=toy.toy_card(), model=model, cells=toy.toy_cells())
    assert not (tmp_path / "toy").exists()
