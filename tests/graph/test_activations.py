"""The GELU that OpenVINO computes right is the GELU of the graph."""

import numpy as np
import onnx
from helpers import toy

from scbasset_zoo.graph.activations import with_scaled_gelu
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.graph.trunk import extract_trunk


def test_every_gelu_is_rewritten_and_the_result_is_the_same_but_for_rounding():
    trunk = extract_trunk(toy.toy_model())
    rewritten = with_scaled_gelu(trunk)
    n_gelus = sum(node.op_type == "Sigmoid" for node in trunk.graph.node)
    assert len(rewritten.graph.node) == len(trunk.graph.node) + n_gelus
    onnx.checker.check_model(rewritten)
    sequence = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (2, toy.LENGTH))]
    expected, found = (run_plainly(model.SerializeToString(), sequence)["peak_embedding"] for model in (trunk, rewritten))
    np.testing.assert_allclose(found, expected, atol=5e-5)


def test_other_products_stay_as_they_are(tmp_path):
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Sigmoid", ["x"], ["gate"]),
            onnx.helper.make_node("Mul", ["x", "gate"], ["swish"]),
            onnx.helper.make_node("Mul", ["swish", "two"], ["y"]),
        ],
        "products",
        [onnx.helper.make_tensor_value_info("x", 1, [3])],
        [onnx.helper.make_tensor_value_info("y", 1, [3])],
        [onnx.numpy_helper.from_array(np.float32(2), "two")],
    )
    model = onnx.helper.make_model(graph)
    assert with_scaled_gelu(model).SerializeToString() == model.SerializeToString()
