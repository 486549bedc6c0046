"""Hostile networks are refused with a reason, before they run or use much memory.

Hashes and digest of each package fit, since an attacker can write the whole package.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import toy
from helpers.forgery import change_model, findings, rehash, renew_vectors
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.limited_run import run_limited
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.sealing import seal_package
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.runtime.model import Model


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


def _dropout_in_training(model):
    ratio, training = numpy_helper.from_array(np.array(0.5, np.float32), "ratio"), numpy_helper.from_array(np.array(True), "yes")
    nodes = [
        helper.make_node("Not", ["yes"], ["no"]),
        helper.make_node("Not", ["no"], ["mode"]),
        helper.make_node("Dropout", ["channels_first", "ratio", "mode"], ["y"]),
    ]
    _insert(model, *nodes, weights=[ratio, training])


def _normalisation_in_training(model):
    weights = [
        numpy_helper.from_array(np.full(4, value, np.float32), name) for name, value in zip("abcd", (1, 0, 0, 1), strict=True)
    ]
    node = helper.make_node("BatchNormalization", ["channels_first", *"abcd"], ["y", "m", "v"], training_mode=1)
    _insert(model, node, weights=weights)


def _whole_numbers_divided(model):
    """The smallest whole number divided by -1 ends the process."""
    numbers = [numpy_helper.from_array(np.array([value], np.int32), name) for name, value in (("least", -(2**31)), ("minus", -1))]
    nodes = [
        helper.make_node("Div", ["least", "minus"], ["divided"]),
        helper.make_node("Cast", ["divided"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["channels_first", "real"], ["y"]),
    ]
    _insert(model, *nodes, weights=numbers)


def _text(model):
    model.graph.initializer.append(helper.make_tensor("words", TensorProto.STRING, [2], [b"a", b"b" * 1_000]))


def _constant_text(model):
    model.graph.node.insert(0, helper.make_node("Constant", [], ["words"], value_strings=[b"a", b"b"]))


def _cast_to_text(model):
    nodes = [
        helper.make_node("Cast", ["channels_first"], ["words"], to=TensorProto.STRING),
        helper.make_node("Cast", ["words"], ["y"], to=TensorProto.FLOAT),
    ]
    _insert(model, *nodes)


def _random(model):
    _insert(model, helper.make_node("RandomNormalLike", ["channels_first"], ["y"]))


def _other_domain(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    _insert(model, helper.make_node("BiasGelu", ["channels_first", "channels_first"], ["y"], domain="com.microsoft"))


def _branches(model):
    condition = numpy_helper.from_array(np.array(True), "condition")
    branch = lambda name: helper.make_graph(  # noqa: E731
        [helper.make_node("Identity", ["channels_first"], [name])], name, [], [helper.make_tensor_value_info(name, 1, None)]
    )
    _insert(
        model, helper.make_node("If", ["condition"], ["y"], then_branch=branch("p"), else_branch=branch("q")), weights=[condition]
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_dropout_in_training, "has a Dropout, 'y', with an input training_mode"),
        (_normalisation_in_training, "has a BatchNormalization, 'y', in training mode"),
        (_whole_numbers_divided, "divides whole numbers (Div 'divided')"),
        (_text, "words has elements of type STRING; a model has numbers only"),
        (_constant_text, "has a constant of text, 'words'"),
        (_cast_to_text, "has values that are no numbers, first 'words' of type STRING"),
        (_random, "operators that a package's model may not have: RandomNormalLike"),
        (_other_domain, "operators outside the ONNX standard"),
        (_branches, "operators that a package's model may not have: If"),
        (_all_pairs, "values that grow faster than the number of sequences, first 'pairs'"),
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
    # The same checks come before any session.
    with pytest.raises(PackageError, match="is not run"):
        Model(Package.open(folder), "cpu")


def _mean_of_the_batch(model):
    nodes = [
        helper.make_node("ReduceMean", ["channels_first"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["channels_first", "mean"], ["centred"]),
        helper.make_node("Add", ["centred", "channels_first"], ["y"]),
    ]
    _insert(model, *nodes)


def _softmax_over_the_batch(model):
    nodes = [
        helper.make_node("Softmax", ["channels_first"], ["share"], axis=0),
        helper.make_node("Add", ["channels_first", "share"], ["y"]),
    ]
    _insert(model, *nodes)


@pytest.mark.parametrize("change", [_mean_of_the_batch, _softmax_over_the_batch])
def test_a_network_whose_results_depend_on_the_batch_is_a_finding(folder, change):
    change_model(folder, change)
    renew_vectors(folder)
    assert "gives other results when sequences run together than when they run alone" in findings(folder)


def test_a_network_that_does_not_end_or_takes_too_much_memory_is_stopped(original):
    raw, sequence = (original / "model.onnx").read_bytes(), dna.one_hot(dna.as_codes(toy.random_sequences(1)))
    with pytest.raises(PackageError, match=r"had not finished after 0\.05 s, so it was stopped"):
        run_limited(raw, sequence, max_seconds=0.05)
    with pytest.raises(PackageError, match="ONNX Runtime cannot run model.onnx|crashed ONNX Runtime"):
        run_limited(raw, sequence, max_bytes=1_000)
    assert len(run_limited(raw, sequence).alone) == 1


def test_an_embedding_of_another_shape_is_never_spread_over_the_sequences(original):
    model = Model(Package.open(original), "cpu")
    run = model._session.run
    model._session = SimpleNamespace(run=lambda *arguments: [run(*arguments)[0][:1]])
    with pytest.raises(PackageError, match=r"gave a peak embedding of shape \(1, 32\); expected \(3, 32\)"):
        model.embed(toy.random_sequences(3))


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


def test_values_that_grow_with_the_sequences_squared_are_a_finding(folder):
    change_model(folder, _all_pairs)
    assert "values that grow faster than the number of sequences, first 'pairs'" in findings(folder)


def test_a_head_of_a_shape_that_its_data_have_not_is_not_opened(folder):
    change_model(folder, lambda model: _weight(model, "cell_embedding").dims.__setitem__(0, 2**40))
    with pytest.raises(PackageError, match=r"is not run:\n.*too small for the declared shape"):
        Model(Package.open(folder), "cpu")


def test_bytes_that_are_no_network(folder):
    for raw in (b"", b"\x80\x04\x95", np.random.default_rng(0).bytes(2_000)):
        (folder / "model.onnx").write_bytes(raw)
        rehash(folder)
        assert "model.onnx: " in findings(folder)


def test_nothing_is_written_into_or_beside_a_package_that_is_verified(folder):
    state = lambda: {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}  # noqa: E731
    before = state()
    verify_package(folder)
    Package.open(folder).cells()
    change_model(folder, _external("../x"))
    before = state()
    verify_package(folder)
    assert state() == before
