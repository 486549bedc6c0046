"""The trunk: all that the peak embedding depends on, and nothing that grows with the cells."""

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import toy
from onnx import helper

from scbasset_zoo.graph.trunk import extract_trunk


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy").folder


def test_the_trunk_holds_nothing_that_grows_with_the_cells(folder):
    trunk = extract_trunk(onnx.load(folder / "model.onnx"))
    onnx.checker.check_model(trunk, full_check=True)
    assert {tensor.name for tensor in trunk.graph.initializer}.isdisjoint({"cell_embedding", "cell_intercept"})
    assert [output.name for output in trunk.graph.output] == ["peak_embedding"]
    assert not any(node.output[0] in ("logits", "accessibility") for node in trunk.graph.node)


def test_the_trunk_keeps_what_a_subgraph_reads_from_outside():
    f = onnx.TensorProto.FLOAT
    branch = helper.make_graph(
        [helper.make_node("Add", ["x2", "w"], ["b"])], "branch", [], [helper.make_tensor_value_info("b", f, [2])]
    )
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["sequence", "sequence"], ["x2"]),
            helper.make_node("If", ["yes"], ["peak_embedding"], then_branch=branch, else_branch=branch),
            helper.make_node("Add", ["peak_embedding", "unused"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("sequence", f, [2])],
        [helper.make_tensor_value_info(name, f, [2]) for name in ("logits", "peak_embedding")],
        [
            helper.make_tensor("w", f, [2], [1, 2]),
            helper.make_tensor("unused", f, [2], [1, 2]),
            helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True]),
        ],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    trunk = extract_trunk(whole)
    assert {tensor.name for tensor in trunk.graph.initializer} == {"w", "yes"}
    session = onnxruntime.InferenceSession(trunk.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"sequence": np.array([1, 2], np.float32)})[0].tolist() == [3, 6]
