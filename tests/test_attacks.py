"""Packages made to harm: each is refused with its reason, before anything is unpacked, run or written.

Every attack is signed: hashes and digest agree, as those of somebody who can write the whole package.
"""

import io
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy
from forgery import change_card, change_model, rehash
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.card import MAX_BYTES, seal
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package import Finding, Package, seal_package, verify_package, write_package
from scbasset_zoo.runtime.model import Model
from scbasset_zoo.tables import _unpacked_sizes


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("packages") / "toy").folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "toy")


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def peak_memory(folder, code):
    """MiB that a process of its own needs at most for `code`, which finds the package as `package`."""
    code = f"""
import sys
from scbasset_zoo.package import Package
package = Package.open(sys.argv[1])
{code}
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def findings(folder):
    return "\n".join(map(str, verify_package(folder)))


def refused(folder, reason):
    """The reason is a finding, and neither opening nor sealing gets past it."""
    assert reason in findings(folder)
    for use in (Package.open, seal_package):
        with pytest.raises(PackageError):
            use(folder)


# The card


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("limits: !!python/object/apply:os.system ['touch pwned']", "could not determine a constructor"),
        ("limits: !!python/name:os.system", "could not determine a constructor"),
        ("limits: &a [x, x]\nmore: *a", "anchors and aliases are not allowed"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]", "anchors and aliases are not allowed"),
        ("limits: " + "[" * 10_000, "nested more than"),
        ("<<: {id: scbasset/other}", "could not determine a constructor"),
        ("limits: " + "1" * 5_000, "impossible value"),
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
    refused(folder, f"{'.'.join(path)}: input should be less than or equal to")


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


# The network


def _weight(model, name="w_2"):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def _insert(model, *nodes, weights=()):
    """Nodes at the head of the trunk: x in, y out, between the transposed sequence and all that reads it."""
    for node in model.graph.node:
        node.input[:] = ["y" if name == "channels_first" else name for name in node.input]
    first = model.graph.node[0]
    rest = list(model.graph.node)[1:]
    del model.graph.node[:]
    model.graph.node.extend([first, *nodes, *rest])
    model.graph.initializer.extend(weights)


def _external(location):
    def change(model):
        tensor = _weight(model)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location

    return change


def _huge_shape(model):
    _weight(model).dims[0] = 2**40


def _negative_shape(model):
    _weight(model).dims[0] = -8


def _sparse(model):
    values = numpy_helper.from_array(np.ones(1, np.float32), "hidden")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "hidden_indices")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**40]))


def _sparse_constant(model):
    values = numpy_helper.from_array(np.ones(1, np.float32), "v")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64), "i"), [2**30])
    model.graph.node.insert(0, helper.make_node("Constant", [], ["big"], sparse_value=sparse))


def _constant_of_shape(model):
    shape = numpy_helper.from_array(np.array([2**40]), "shape")
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["shape"], ["big"]))


def _loop(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["logits"], ["x"], body=body))


def _mixed_in(big):
    """Nodes that add the largest values of something big to the sequence, so that it has to be computed."""
    return [helper.make_node("GlobalMaxPool", [big], ["most"]), helper.make_node("Add", ["channels_first", "most"], ["y"])]


def _doubling(model):
    names = ["channels_first", *(f"twice_{i}" for i in range(40))]
    nodes = [helper.make_node("Concat", [a, a], [b], axis=2) for a, b in zip(names, names[1:], strict=False)]
    _insert(model, *nodes, *_mixed_in(names[-1]))


def _padding(model):
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 2**40]), "pads")
    _insert(model, helper.make_node("Pad", ["channels_first", "pads"], ["z"]), *_mixed_in("z"), weights=[pads])


def _outer_product(model):
    column = numpy_helper.from_array(np.ones((1, 2**18, 1), np.float32), "column")
    nodes = [
        helper.make_node("Slice", ["channels_first", "zero", "one", "one"], ["first"]),
        helper.make_node("Mul", ["first", "column"], ["z"]),
        helper.make_node("ReduceMax", ["z"], ["most"], keepdims=0),
        helper.make_node("Add", ["channels_first", "most"], ["y"]),
    ]
    bounds = [numpy_helper.from_array(np.array([i]), name) for i, name in enumerate(("zero", "one"))]
    _insert(model, *nodes, weights=[column, *bounds])


def _many_at_once(model):
    names = [f"copy_{i}" for i in range(6)]
    column = numpy_helper.from_array(np.ones((1, 2**13, 1, 1), np.float32), "column")
    nodes = [
        helper.make_node("Mul", ["channels_first", "column"], ["large"]),
        *(helper.make_node("Neg", ["large"], [name]) for name in names),
        helper.make_node("Sum", names, ["z"]),
        helper.make_node("ReduceMax", ["z"], ["most"], keepdims=0),
        helper.make_node("Add", ["channels_first", "most"], ["y"]),
    ]
    _insert(model, *nodes, weights=[column])


def _convolution_over_four_axes(model):
    shape, kernel = np.array([1, 1, 1, 1, 1, 5_376]), np.ones((1, 1, 1, 1, 1, 1_000), np.float32)
    nodes = [
        helper.make_node("Reshape", ["channels_first", "shape"], ["six_axes"]),
        helper.make_node("Conv", ["six_axes", "kernel"], ["z"]),
        helper.make_node("ReduceMax", ["z"], ["most"], keepdims=0),
        helper.make_node("Add", ["channels_first", "most"], ["y"]),
    ]
    _insert(model, *nodes, weights=[numpy_helper.from_array(shape, "shape"), numpy_helper.from_array(kernel, "kernel")])


def _all_pairs(model):
    """Values that grow with the square of the number of sequences, which the outputs do not show."""
    shapes = [numpy_helper.from_array(np.array(shape), name) for shape, name in (((-1, 1), "down"), ((1, -1), "across"))]
    nodes = [
        helper.make_node("ReduceSum", ["channels_first", "channel_axis"], ["ones"], keepdims=0),
        helper.make_node("Reshape", ["ones", "down"], ["column"]),
        helper.make_node("Reshape", ["ones", "across"], ["row"]),
        helper.make_node("Mul", ["column", "row"], ["pairs"]),
        helper.make_node("ReduceMax", ["pairs"], ["most"], keepdims=0),
        helper.make_node("Mul", ["channels_first", "most"], ["y"]),
    ]
    _insert(model, *nodes, weights=[*shapes, numpy_helper.from_array(np.array([1]), "channel_axis")])


def _shape_of_its_own_making(model):
    nodes = [
        helper.make_node("ReduceSum", ["channels_first"], ["total"], keepdims=0),
        helper.make_node("Cast", ["total"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["whole", "zero"], ["end"]),
        helper.make_node("Slice", ["channels_first", "zero", "end", "zero"], ["y"]),
    ]
    _insert(model, *nodes, weights=[numpy_helper.from_array(np.zeros(1, np.int64), "zero")])


def _own_function(model):
    model.functions.append(helper.make_function("own", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], []))


def _strange_type(model):
    model.graph.output[0].type.tensor_type.elem_type = 999


def _not_a_number(model):
    tensor = _weight(model)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[3] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _not_a_number_in_sixteen_bits(model):
    values = helper.make_tensor("half", TensorProto.BFLOAT16, [2], [1.0, float("nan")])
    model.graph.initializer.append(values)


def _not_a_number_as_an_attribute(model):
    nodes = [
        helper.make_node("Constant", [], ["nan"], value_float=float("nan")),
        helper.make_node("Add", ["channels_first", "nan"], ["y"]),
    ]
    _insert(model, *nodes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_external("../../../etc/passwd"), "keeps w_2 in another file"),
        (_external("/etc/passwd"), "keeps w_2 in another file"),
        (_external("README.md"), "keeps w_2 in another file"),
        (_huge_shape, "w_2 cannot be read"),
        (_negative_shape, "w_2"),
        (_sparse, "sparse tensors, which may unpack to any size"),
        (_sparse_constant, "sparse tensors, which may unpack to any size"),
        (_constant_of_shape, "operators that a package's model may not have: ConstantOfShape"),
        (_loop, "operators that a package's model may not have: Loop"),
        (_doubling, "at most 1,073,741,824 are allowed"),
        (_padding, "at most 1,073,741,824 are allowed"),
        (_outer_product, "1,409,286,144 of them as 'z'; at most 1,073,741,824 are allowed"),
        (_many_at_once, "176,160,768 of them as 'large'; at most 1,073,741,824 are allowed"),
        (_convolution_over_four_axes, "convolutions over more than 3 axes, first 'z'"),
        (_shape_of_its_own_making, "values whose shapes cannot be inferred"),
        (_own_function, "operators outside the ONNX standard: functions of its own"),
        (_strange_type, "model.onnx: "),
        (_not_a_number, "w_2 has 1 weights that are not finite"),
        (_not_a_number_in_sixteen_bits, "half has 1 weights that are not finite"),
    ],
)
def test_a_network_that_reads_elsewhere_expands_or_is_no_network(folder, change, reason):
    change_model(folder, change)
    text = findings(folder)
    assert reason in text
    assert "tests: not run" in text
    with pytest.raises(PackageError):
        seal_package(folder)


def test_a_network_that_gives_no_numbers_is_found_by_its_test_vectors(folder):
    change_model(folder, _not_a_number_as_an_attribute)
    assert "tests/expected.npz: accessibility: 28 of 28 values differ" in findings(folder)


def test_outputs_of_other_shapes_than_they_declare_are_a_finding(folder):
    def change(model):
        product = next(node for node in model.graph.node if node.output[0] == "logits")
        product.output[0] = "all_logits"
        flat = numpy_helper.from_array(np.array([-1]), "flat_shape")
        model.graph.initializer.append(flat)
        model.graph.node.append(helper.make_node("Reshape", ["all_logits", "flat_shape"], ["logits"]))
        next(node for node in model.graph.node if node.op_type == "Sigmoid" and node.output[0] == "accessibility").input[0] = (
            "all_logits"
        )

    change_model(folder, change)
    assert "model.onnx: " in findings(folder)


@needs_proc
def test_values_that_grow_with_the_sequences_squared_are_made_for_one_sequence_at_a_time(tmp_path):
    parts = {"card": toy.toy_card(), "model": toy.toy_model(), "cells": toy.toy_cells()}
    folder = write_package(tmp_path / "toy", sequences=toy.random_sequences(15), **parts).folder
    change_model(folder, _all_pairs)
    assert verify_package(folder) == []
    assert peak_memory(folder, "package.verify()") < 600  # MiB; 16 sequences at once take 2,000


def test_a_head_of_a_shape_that_its_data_have_not_is_not_opened(folder):
    change_model(folder, lambda model: _weight(model, "cell_embedding").dims.__setitem__(0, 2**40))
    with pytest.raises(PackageError, match="not of the shape they declare"):
        Model(Package.open(folder), "cpu")


def test_bytes_that_are_no_network(folder):
    for raw in (b"", b"\x80\x04\x95", np.random.default_rng(0).bytes(2_000)):
        (folder / "model.onnx").write_bytes(raw)
        rehash(folder)
        assert "model.onnx: " in findings(folder)


# Tables


def _write(folder, name, table, **options):
    pq.write_table(table, folder / name, **options)
    rehash(folder)


def _tables_refused(folder, name, reason):
    assert reason in findings(folder)
    with pytest.raises(PackageError) as caught:
        Package.open(folder).cells() if name == "cells.parquet" else Package.open(folder).peaks()
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["cells.parquet", "peaks.parquet"])
def test_a_table_of_millions_of_rows_in_a_few_bytes(folder, name):
    zeros = pa.array(np.zeros(20_000_000, np.int8))
    _write(folder, name, pa.table({"barcode": zeros}))
    assert (folder / name).stat().st_size < 100_000
    _tables_refused(folder, name, "or more; at most")


@pytest.mark.parametrize("codec", ["zstd", "brotli"])
def test_a_table_that_is_nearly_nothing_while_it_is_packed(folder, codec):
    text = pa.array(["\0" * 200_000_000])
    _write(folder, "peaks.parquet", pa.table({"chrom": text}), compression=codec, use_dictionary=False, write_statistics=False)
    assert (folder / "peaks.parquet").stat().st_size < 100_000
    _tables_refused(folder, "peaks.parquet", "would unpack to 200,000,")


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([[0] * 1_000_000]), "list"),
        (pa.array([{"a": 1}]), "struct"),
        (pa.array([b"\x80\x04."]), "binary"),
        (pa.array([b"x" * 1_000], pa.binary(1_000)), "fixed_size_binary"),
    ],
)
def test_columns_that_are_not_plain(folder, column, kind):
    _write(folder, "cells.parquet", pa.table({"barcode": ["a"], "x": column}))
    _tables_refused(folder, "cells.parquet", f"the column 'x' holds {kind}")


def test_columns_of_one_name(folder):
    _write(folder, "cells.parquet", pa.Table.from_arrays([pa.array(["a"])] * 2, names=["barcode", "barcode"]))
    _tables_refused(folder, "cells.parquet", "each with a name of its own")


@needs_proc
def test_one_long_text_a_million_times_is_kept_once(folder):
    long = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, np.int32), ["x" * 1_000_000])
    numbers = pa.array(np.random.default_rng(0).integers(0, 2**60, 1_000_000))
    table = pa.table({"chrom": long.cast(pa.dictionary(pa.int32(), pa.string())), "start": numbers, "end": numbers})
    _write(folder, "peaks.parquet", table, store_schema=False)
    code = 'peaks = package.peaks()\nassert peaks["chrom"].iloc[-1] == "x" * 1_000_000 and len(peaks) == 1_000_000'
    assert peak_memory(folder, code) < 1_000  # MiB; unpacked it would be a million


def _replaced(raw, number, other):
    """A Parquet file whose footer has another number, in Thrift's compact protocol, wherever it had this one."""
    length = struct.unpack("<I", raw[-8:-4])[0]
    footer = raw[-8 - length : -8]
    assert _varint(number) in footer
    footer = footer.replace(_varint(number), _varint(other))
    return raw[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def _varint(number):
    digits, number = [], 2 * number
    while number > 127:
        digits.append(number % 128 + 128)
        number //= 128
    return bytes([*digits, number])


@needs_proc
def test_a_table_whose_footer_lies_about_its_bytes(folder):
    table = pa.table({"chrom": ["\0" * 400_000_000]})
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    _write(folder, "peaks.parquet", table, **options)
    path = folder / "peaks.parquet"
    path.write_bytes(_replaced(path.read_bytes(), pq.read_metadata(path).row_group(0).total_byte_size, 1_000))
    rehash(folder)
    assert pq.read_metadata(path).row_group(0).total_byte_size == 1_000
    _tables_refused(folder, "peaks.parquet", "would unpack to 400,000,")
    assert peak_memory(folder, "package.verify()") < 500


@needs_proc
def test_a_table_whose_footer_lies_about_its_values(folder):
    _write(folder, "peaks.parquet", pa.table({"start": np.arange(777_777)}), write_statistics=False)
    path = folder / "peaks.parquet"
    path.write_bytes(_replaced(path.read_bytes(), 777_777, 10**10))
    rehash(folder)
    assert pq.read_metadata(path).num_rows == 10**10
    assert peak_memory(folder, "print(len(package.peaks()))") < 600  # MiB; a bit for each value declared is 1,200


def test_texts_that_are_made_of_those_before_them(folder):
    texts = ["x" * 100_000 + str(i) for i in range(1_000)]
    _write(folder, "peaks.parquet", pa.table({"chrom": texts}), use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")
    assert (folder / "peaks.parquet").stat().st_size < 300_000
    _tables_refused(folder, "peaks.parquet", "and encoding 7")


def test_the_numbers_of_a_page_are_those_that_pyarrow_reads():
    chunk = bytes([0x15, 4, 0x15, 20, 0x15, 6, 0x4C, 0x15, 2, 0x15, 0, 0, 0]) + b"abc"
    assert list(_unpacked_sizes(chunk)) == [10 + 8]
    twice = chunk[:4] + bytes([0x05, 4, 2]) + chunk[4:]
    beyond = bytes([0x15, 4, 0x15, 0x80 | 20, 0x80, 0x80, 0x80, 0x80, 1]) + chunk[4:]
    for damaged in (twice, beyond, chunk[:7], chunk + b"\0"):
        with pytest.raises(ValueError, match="header of a page is damaged"):
            list(_unpacked_sizes(damaged))


@pytest.mark.parametrize("raw", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1"])
def test_bytes_that_are_no_table(folder, raw):
    (folder / "cells.parquet").write_bytes(raw)
    rehash(folder)
    _tables_refused(folder, "cells.parquet", "cannot be read as Parquet")


def test_tables_whose_pages_were_tampered_with_never_crash_the_reader(folder):
    rng = np.random.default_rng(1)
    intact = (folder / "cells.parquet").read_bytes()
    for _ in range(100):
        damaged = bytearray(intact)
        for place in rng.integers(0, len(intact), 3):
            damaged[place] = int(rng.integers(256))
        (folder / "cells.parquet").write_bytes(damaged)
        rehash(folder)
        verify_package(folder)


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


def test_nothing_is_written_into_or_beside_a_package_that_is_verified(folder):
    state = lambda: {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}  # noqa: E731
    before = state()
    verify_package(folder)
    Package.open(folder).cells()
    change_model(folder, _external("../x"))
    before = state()
    verify_package(folder)
    assert state() == before
