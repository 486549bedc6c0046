"""float16: which weights are rounded, what stays float32, and how far the results are from those of float32."""

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers.trunks import draw_trunk
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.graph.half_precision import in_float16


def run(model, sequence):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        ["peak_embedding"], {"sequence": sequence}
    )[0]


@pytest.fixture(scope="module")
def sequence():
    return np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (5, 61))]


@pytest.mark.parametrize("dense", ["matmul", "gemm"])
def test_results_differ_from_float32_by_the_rounding_of_float16_and_no_more(sequence, dense):
    trunk = draw_trunk(dense=dense)
    before = trunk.SerializeToString()
    converted = in_float16(trunk)
    got, expected = run(converted, sequence), run(trunk, sequence)
    assert got.dtype == np.float32
    difference = np.abs(got - expected).max()
    # Half a unit in the last of 11 bits is 5e-4; the activations are about 1 and pass through ten layers.
    assert 1e-5 < difference < 5e-3
    assert trunk.SerializeToString() == before, "the model that was given is not changed"


def test_kernels_are_rounded_and_the_dense_layer_is_not():
    trunk = draw_trunk(dense="gemm")
    original = {tensor.name: numpy_helper.to_array(tensor) for tensor in trunk.graph.initializer}
    converted = {tensor.name: numpy_helper.to_array(tensor) for tensor in in_float16(trunk).graph.initializer}
    kernels = [node.input[1] for node in trunk.graph.node if node.op_type == "Conv"]
    (dense,) = [node.input[1] for node in trunk.graph.node if node.op_type == "Gemm"]
    assert len(kernels) == 4
    for name in kernels:
        np.testing.assert_array_equal(converted[name], original[name].astype(np.float16))
    assert converted[dense].dtype == np.float32
    np.testing.assert_array_equal(converted[dense], original[dense])


def test_a_graph_without_convolutions_stays_as_it_is():
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("sequence", "peak_embedding")]
    graph = helper.make_graph([helper.make_node("Neg", ["sequence"], ["peak_embedding"])], "g", values[:1], values[1:])
    model = helper.make_model(graph)
    assert isinstance(model, onnx.ModelProto)
    assert in_float16(model).SerializeToString() == model.SerializeToString()
