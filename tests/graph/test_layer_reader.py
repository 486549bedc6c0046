"""Weights are read from any drawing of the network, and other networks are refused by name."""

import numpy as np
import onnx
import pytest
from helpers import toy
from helpers.trunks import SMALL, draw_trunk, edit_node
from onnx import helper, numpy_helper

from scbasset_zoo.graph.layer_reader import read_layers
from scbasset_zoo.graph.layers import UnsupportedTrunk
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.devices import choose_device, open_session


def forward(layers, sequence):
    """The network in plain numpy and float64, one sequence (length, 4)."""

    def gelu(x):
        return x / (1 + np.exp(-layers.gelu_slope * x))

    x = np.asarray(sequence, np.float64)
    for block in layers.blocks:
        width = len(block.kernel)
        padded = np.pad(gelu(x), (((width - 1) // 2, width // 2), (0, 0)))
        x = np.array([np.tensordot(padded[i : i + width], block.kernel, 2) for i in range(len(x))]) + block.bias
        after = -(len(x) + block.pool_padding) % block.pool
        padded = np.pad(x, ((block.pool_padding, after), (0, 0)), constant_values=-np.inf)
        x = padded.reshape(-1, block.pool, x.shape[1]).max(axis=1)
    return gelu(gelu(x).reshape(-1) @ layers.dense_kernel + layers.dense_bias)


def run(trunk, sequences):
    session = open_session(trunk.SerializeToString(), choose_device("cpu"))
    return session.run(["peak_embedding"], {"sequence": sequences})[0]


@pytest.mark.parametrize(
    "drawing",
    [
        {},
        {"row_axis": 3},
        {"rank": 3},
        {"rank": 3, "channels_last": True},
        {"channels_last": True, "bias": "add"},
        {"bias": "add"},
        {"bias": "after pool"},
        {"pads": "same"},
        {"pads": "same", "rank": 3, "length": 58},
        {"pads": "ceil"},
        {"gelu": "gate first"},
        {"dense": "gemm"},
        {"flatten": "channels first"},
        {"flatten": "channels first", "shape": "flatten", "dense": "gemm", "rank": 3},
        {"shape": "computed"},
        {"length": 1},
        {"length": 60, "blocks": ((3, 4, 2), (3, 2, 5))},
        {"blocks": ((1, 3, 2),)},
    ],
)
def test_layers_of_every_drawing_compute_what_the_graph_computes(drawing):
    trunk = draw_trunk(**drawing)
    layers = read_layers(trunk)
    codes = np.random.default_rng(1).integers(0, 5, (2, layers.sequence_length), dtype=np.int8)
    sequences = dna.one_hot(codes)
    expected = [forward(layers, sequence) for sequence in sequences]
    np.testing.assert_allclose(run(trunk, sequences), expected, rtol=1e-5, atol=1e-6)


def test_layers_of_a_package_hold_its_weights():
    model = toy.toy_model(widths=(5, 6, 7, 8, 9, 4, 3, 2))
    layers = read_layers(extract_trunk(model))
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for number, (block, kernel, pool) in enumerate(zip(layers.blocks, toy.KERNELS, toy.POOLS, strict=True)):
        np.testing.assert_array_equal(block.kernel, weights[f"w_{number}"].transpose(2, 1, 0))
        np.testing.assert_array_equal(block.bias, weights[f"b_{number}"])
        assert (len(block.kernel), block.pool, block.pool_padding) == (kernel, pool, 0)
    assert layers.lengths == (1344, 448, 224, 112, 56, 28, 14, 7, 7)
    np.testing.assert_array_equal(layers.dense_kernel, weights["dense"])
    np.testing.assert_array_equal(layers.dense_bias, weights["dense_bias"])
    assert layers.gelu_slope == pytest.approx(1.702)


def test_quick_gelu_is_gelu():
    trunk = draw_trunk(blocks=SMALL[:1])
    expected = read_layers(trunk)
    fused = onnx.ModelProto()
    fused.CopyFrom(trunk)
    del fused.graph.node[:]
    nodes = list(trunk.graph.node)
    for number, node in enumerate(nodes):
        if node.op_type == "Mul" and nodes[number - 1].op_type == "Sigmoid":
            fused.graph.node.append(helper.make_node("QuickGelu", [node.input[0]], node.output, alpha=1.702))
        elif node.op_type not in ("Mul", "Sigmoid"):
            fused.graph.node.append(node)
    layers = read_layers(fused)
    assert layers.gelu_slope == pytest.approx(expected.gelu_slope)
    np.testing.assert_array_equal(layers.dense_kernel, expected.dense_kernel)


def test_pool_padding_of_same_pools_is_before_the_first_position_too():
    layers = read_layers(draw_trunk(length=58, pads="same"))
    assert [block.pool_padding for block in layers.blocks] == [1, 0, 0, 0]
    assert layers.lengths == (58, 20, 10, 5, 5)


def _attribute(name, value):
    def change(node):
        kept = [entry for entry in node.attribute if entry.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def _operation(name):
    return lambda node: setattr(node, "op_type", name)


@pytest.mark.parametrize(
    ("op_type", "number", "change", "message"),
    [
        ("Sigmoid", 0, _operation("Tanh"), r"Tanh\) is not part of a scBasset trunk"),
        ("Conv", 1, _attribute("strides", [1, 2]), "stride 1"),
        ("Conv", 1, _attribute("pads", [0, 0, 0, 0]), r"same-padded; found pads \(0, 0\) for a kernel of 5"),
        ("Conv", 0, _attribute("dilations", [1, 2]), "plain convolution"),
        ("MaxPool", 0, _attribute("strides", [1, 1]), "stride equal to its width"),
        ("MaxPool", 0, _attribute("pads", [0, 0, 0, 0]), "must cover all 61 positions"),
        ("MaxPool", 0, _operation("AveragePool"), "AveragePool"),
        ("Mul", 3, lambda node: node.input.__setitem__(0, "sequence"), "not x and sigmoid"),
        ("Conv", 0, lambda node: node.input.__setitem__(0, "sequence"), "must read a gelu; found sequence"),
        ("Sigmoid", 0, lambda node: node.input.__setitem__(0, "nowhere"), "reads nowhere, which nothing computes"),
        ("Reshape", 0, lambda node: node.input.__setitem__(0, "sequence"), "cannot give shape"),
    ],
)
def test_other_networks_are_refused_with_the_node_that_differs(op_type, number, change, message):
    with pytest.raises(UnsupportedTrunk, match=message):
        read_layers(edit_node(draw_trunk(), op_type, change, number))


def test_gelus_of_different_slopes_are_refused():
    trunk = draw_trunk()
    slopes = [tensor for tensor in trunk.graph.initializer if len(tensor.dims) == 0]
    slopes[2].CopyFrom(numpy_helper.from_array(np.float32(1.0), slopes[2].name))
    with pytest.raises(UnsupportedTrunk, match=r"one slope; found \[1.0, 1.70"):
        read_layers(trunk)


def test_a_bias_that_differs_between_positions_is_refused():
    trunk = draw_trunk(bias="add")
    add = next(node for node in trunk.graph.node if node.op_type == "Add")
    bias = next(tensor for tensor in trunk.graph.initializer if tensor.name == add.input[0])
    values = np.random.default_rng(0).normal(size=(6, 1, 61)).astype(np.float32)
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    with pytest.raises(UnsupportedTrunk, match="differs between positions"):
        read_layers(trunk)


def test_another_input_is_refused():
    trunk = draw_trunk()
    trunk.graph.input[0].name = "x"
    with pytest.raises(UnsupportedTrunk, match="one input must be 'sequence'"):
        read_layers(trunk)


def test_a_trunk_without_the_last_gelu_is_refused():
    trunk = draw_trunk()
    last = trunk.graph.node[-1]
    last.op_type = "Identity"
    del last.input[1]
    with pytest.raises(UnsupportedTrunk, match="must be the GELU of one dense layer"):
        read_layers(trunk)
