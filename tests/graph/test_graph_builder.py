"""The builder of graphs: what it builds is valid ONNX and computes what its methods say."""

import numpy as np
import onnx
import onnxruntime
import pytest

from scbasset_zoo.graph.graph_builder import IR_VERSION, OPSET, GraphBuilder, value_info


def run(model, **inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


def test_gelu_is_x_times_the_sigmoid_of_a_x():
    graph = GraphBuilder(gelu_slope=1.5)
    graph.gelu("x", name="y")
    model = graph.model("gelu", [value_info("x", ["N"])], [value_info("y", ["N"])])
    onnx.checker.check_model(model, full_check=True)
    x = np.linspace(-4, 4, 9, dtype=np.float32)
    np.testing.assert_allclose(run(model, x=x)[0], x / (1 + np.exp(-1.5 * x)), rtol=1e-5, atol=1e-6)
    assert [node.name for node in model.graph.node] == ["y_scaled", "y_gate", "y"]
    assert (model.opset_import[0].version, model.ir_version, model.producer_name) == (OPSET, IR_VERSION, "scbasset_zoo")


def test_names_that_are_not_given_differ():
    graph = GraphBuilder()
    graph.node("Add", graph.node("Add", "x", graph.constant(1.0)), graph.constant(2.0), name="y")
    model = graph.model("sum", [value_info("x", [None, 2])], [value_info("y", [None, 2])])
    assert run(model, x=np.array([[1, 2]], np.float32))[0].tolist() == [[4, 5]]
    names = [node.name for node in graph.nodes] + [tensor.name for tensor in graph.constants]
    assert len(set(names)) == 4


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (1.5, np.float32(1.5)),
        ([1, -1], np.array([1, -1], np.int64)),
        (np.arange(6.0).reshape(2, 3).T, np.arange(6, dtype=np.float32).reshape(2, 3).T),
        (np.zeros((0, 2)), np.zeros((0, 2), np.float32)),
    ],
)
def test_constants_are_float32_or_int64_and_keep_their_shape(values, expected):
    graph = GraphBuilder()
    graph.constant(values)
    array = onnx.numpy_helper.to_array(graph.constants[0])
    np.testing.assert_array_equal(array, expected)
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)


def test_gelu_needs_a_slope():
    with pytest.raises(ValueError, match="gelu_slope"):
        GraphBuilder().gelu("x")
