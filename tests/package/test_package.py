"""A package on disk: complete or absent, and every damage to it is found."""

import hashlib
import json
import shutil

import numpy as np
import onnx
import pandas as pd
import pytest
from helpers import toy
from helpers.forgery import change_card, change_model, findings, rehash
from onnx import helper, numpy_helper
from typer import Typer
from typer.testing import CliRunner

from scbasset_zoo import files
from scbasset_zoo.cli.info import info
from scbasset_zoo.cli.verify import verify
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.digests import order_digest
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.zoo.models import open_model


def test_a_written_package_opens_and_verifies(original):
    package = Package.open(original)
    assert package.verify() == []
    assert package.card_sha256 == files.sha256(original / "card.yaml")
    assert sorted(path.relative_to(original).as_posix() for path in original.rglob("*") if path.is_file()) == [
        "README.md",
        "card.yaml",
        "cells.parquet",
        "model.onnx",
        "peaks.parquet",
        "tests/expected.npz",
        "tests/sequences.txt",
    ]


def test_cells_and_peaks_come_back_as_they_were_given(original):
    package = Package.open(original)
    pd.testing.assert_frame_equal(package.cells(), toy.toy_cells(), check_names=False)
    pd.testing.assert_frame_equal(package.peaks(), toy.toy_peaks())
    assert package.card.cells.order_sha256 == order_digest(f"cell-{i}" for i in range(7))
    assert package.card.peaks.order_sha256 == order_digest(f"{p.chrom}:{p.start}-{p.end}" for p in toy.toy_peaks().itertuples())


def test_the_test_vectors_are_plain_onnxruntimes_and_include_n(original):
    sequences = (original / "tests/sequences.txt").read_text().split()
    assert any("N" in sequence for sequence in sequences)
    got = run_plainly((original / "model.onnx").read_bytes(), dna.one_hot(dna.as_codes(sequences)))
    with np.load(original / "tests/expected.npz", allow_pickle=False) as expected:
        assert sorted(expected) == ["accessibility", "cells", "logits", "peak_embedding"]
        assert expected["cells"].tolist() == list(range(7))
        for name in got:
            np.testing.assert_allclose(expected[name], got[name], atol=1e-6)


def test_test_vectors_of_many_cells_are_kept_for_a_thousand(tmp_path):
    package = toy.toy_package(tmp_path / "many", n_cells=2_500)
    with np.load(package.folder / "tests/expected.npz", allow_pickle=False) as expected:
        assert expected["logits"].shape == (4, 1_000)
        assert expected["cells"][[0, -1]].tolist() == [0, 2_499]


def test_metadata_of_the_model_names_the_package(original):
    model = onnx.load(original / "model.onnx")
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        "id": "scbasset/toy",
        "version": "1.0.0",
        "n_cells": "7",
        "cell_order_sha256": order_digest(f"cell-{i}" for i in range(7)),
    }


def test_the_readme_says_what_the_card_says(original):
    text = (original / "README.md").read_text()
    for said in ("scbasset/toy 1.0.0", "CC0-1.0", "toy1", "https://doi.org/10.1038/s41592-022-01562-8", "Predicts nothing."):
        assert said in text


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
            found = {finding.file for finding in verify_package(folder)}
            missed += [] if path.relative_to(folder).as_posix() in found else [(path.name, place)]
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


@pytest.mark.parametrize(
    ("name", "read", "old", "new"),
    [("cells.parquet", Package.cells, b"HSC", b"HSD"), ("peaks.parquet", Package.peaks, b"validation", b"validatiom")],
)
def test_a_table_with_another_byte_is_not_read_though_its_order_is_the_cards(folder, name, read, old, new):
    path = folder / name
    path.write_bytes(path.read_bytes().replace(old, new))
    assert new.decode() in pd.read_parquet(path).to_string()
    with pytest.raises(PackageError, match=rf"{name} is not the file that the card names.*Fetch or export the package again"):
        read(Package.open(folder))


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


def _not_finite(model):
    tensor = next(t for t in model.graph.initializer if t.name == "w_2")
    values = numpy_helper.to_array(tensor).copy()
    values.flat[:2] = np.nan, np.inf
    tensor.CopyFrom(numpy_helper.from_array(values, "w_2"))


def _external(model):
    tensor = next(t for t in model.graph.initializer if t.name == "w_2")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def _foreign_operator(model):
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    model.graph.node.append(helper.make_node("Run", ["logits"], ["x"], domain="com.evil"))


def _outputs_in_another_order(model):
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(outputs[::-1])


def _fixed_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _renamed_input(model):
    model.graph.input[0].name = "dna"


def _no_metadata(model):
    del model.metadata_props[:]


def _renamed_head(model):
    next(t for t in model.graph.initializer if t.name == "cell_embedding").name = "weights"


def _other_opset(model):
    model.opset_import[0].version = 14


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_not_finite, "w_2 has 2 weights that are not finite"),
        (_external, "keeps w_2 in another file"),
        (_foreign_operator, "operators outside the ONNX standard: com.evil.Run"),
        (_outputs_in_another_order, "outputs accessibility, logits, peak_embedding in this order"),
        (_fixed_batch, "sequence must have shape (N, 1344, 4); found (1, 1344, 4)"),
        (_renamed_input, "one input, 'sequence'"),
        (_no_metadata, "metadata_props: n_cells is None; the card says '7'"),
        (_renamed_head, "has no initializer 'cell_embedding'"),
        (_other_opset, "has opset 14; the card says 15"),
    ],
)
def test_a_network_that_breaks_its_contract_is_found(folder, change, message):
    change_model(folder, change)
    text = findings(folder)
    assert message in text
    assert "tests: not run" in text


@pytest.mark.parametrize(("change", "message"), [(_external, "another file"), (_renamed_head, "no initializer")])
def test_such_a_network_is_not_opened_either(folder, change, message):
    change_model(folder, change)
    with pytest.raises(PackageError, match=message):
        open_model(folder, "cpu")


def test_a_changed_model_is_not_opened(folder):
    raw = bytearray((folder / "model.onnx").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "model.onnx").write_bytes(raw)
    with pytest.raises(PackageError, match="SHA-256 differs"):
        open_model(folder, "cpu")


def test_test_files_are_data_never_pickles(folder):
    np.savez(folder / "tests/expected.npz", cells=np.array([object()], dtype=object), logits=1, accessibility=1, peak_embedding=1)
    rehash(folder)
    assert "tests/expected.npz: cannot be read: 'cells' holds object" in findings(folder)
    (folder / "tests/expected.npz").write_bytes(b"\x80\x04N.")
    rehash(folder)
    assert "not a NumPy .npz file" in findings(folder)


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(PackageError, match="has no card.yaml"):
        Package.open(tmp_path)
    with pytest.raises(PackageError, match="is not a folder"):
        Package.open(tmp_path / "nothing")


def test_a_card_with_problems_is_one_finding_that_lists_them(folder):
    path = folder / "card.yaml"
    change_card(folder, lambda card: card.update(intended_use="TODO", mood="good"))
    (finding,) = verify_package(folder)
    assert "2 problems" in finding.problem
    path.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in findings(folder)


def write(folder, **changes):
    arguments = {"card": toy.toy_card(), "model": toy.toy_model(), "cells": toy.toy_cells(), "peaks": toy.toy_peaks()}
    return write_package(folder, **(arguments | changes))


def test_a_package_without_peaks_is_complete(tmp_path):
    package = write(tmp_path / "p", peaks=None)
    assert package.verify() == []
    assert package.peaks() is None


def test_columns_get_the_meanings_given_or_plain_ones(original):
    columns = Package.open(original).card.cells.columns
    assert columns["cell_type"] == "simulated cell type"
    assert columns["batch"] == "the column batch of the training cells' annotation (.obs)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": toy.toy_cells(6)}, "The model has 7 cells, the table of cells 6 rows"),
        ({"cells": toy.toy_cells().rename(index={"cell-1": "cell-0"})}, "'cell-0' appears more than once"),
        ({"cells": toy.toy_cells().assign(barcode="x")}, "'barcode' differs"),
        ({"cells": toy.toy_cells().assign(mixed=[1, "a", 2.0, None, [1], {}, "b"])}, "cells.parquet cannot be written"),
        ({"peaks": toy.toy_peaks().drop(columns="end")}, "lacks the column 'end'"),
        ({"sequences": ["ACGT"]}, "1,344 bp"),
        ({"card": toy.toy_card(limits="TODO", license="GPL")}, "has 2 problems"),
        ({"card": toy.toy_card(files={})}, "'files' is made"),
        ({"card": toy.toy_card(colour="red")}, "colour: unknown key"),
    ],
)
def test_what_cannot_be_packaged_is_refused_and_leaves_nothing(tmp_path, changes, message):
    with pytest.raises((InputError, PackageError), match=message):
        write(tmp_path / "p", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_breaks_the_contract_is_not_written(tmp_path):
    model = toy.toy_model()
    _not_finite(model)
    _outputs_in_another_order(model)
    with pytest.raises(PackageError, match=r"not finite(.|\n)*in this order"):
        write(tmp_path / "p", model=model)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_package_is_replaced_only_when_asked(tmp_path):
    write(tmp_path / "p")
    with pytest.raises(InputError, match="already exists"):
        write(tmp_path / "p")
    assert write(tmp_path / "p", card=toy.toy_card(version="2.0.0"), overwrite=True).card.version == "2.0.0"


def command(function, *arguments):
    app = Typer()
    app.command()(function)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_verify_on_the_command_line(original, folder):
    done = command(verify, original)
    assert (done.exit_code, done.stdout) == (0, f"{original}: OK\n")
    assert json.loads(command(verify, original, "--json").stdout) == {"ok": True, "findings": []}
    (folder / "README.md").write_text("other")
    done = command(verify, folder)
    assert done.exit_code == 1
    assert "1 finding" in done.stdout
    assert "README.md: has 5 bytes" in done.stdout
    done = command(verify, folder, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"][0]["file"] == "README.md"


def test_info_shows_the_card(original):
    done = command(info, original)
    assert done.exit_code == 0
    for said in ("scbasset/toy", "CC0-1.0", "Predicts nothing."):
        assert said in done.stdout
