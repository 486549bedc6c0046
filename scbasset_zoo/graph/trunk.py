"""The trunk of model.onnx: the part of the graph from the sequence to the peak embedding."""

from __future__ import annotations

import onnx

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.model_proto import all_tensors, inputs_of


def extract_trunk(model: onnx.ModelProto) -> onnx.ModelProto:
    """The part of the graph that `peak_embedding` depends on; the head, which grows with the cells, is left out."""
    graph = model.graph
    outputs = [output for output in graph.output if output.name == "peak_embedding"]
    if not outputs:
        raise PackageError("model.onnx has no output 'peak_embedding'.")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in all_tensors(model)):
        raise PackageError("model.onnx keeps weights in another file; all weights must be inside.")
    maker = {name: node for node in graph.node for name in node.output if name}
    needed: set[str] = set()
    waiting = ["peak_embedding"]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            if name in maker:
                waiting.extend(inputs_of(maker[name]))
    cut = onnx.helper.make_graph(
        [node for node in graph.node if needed.intersection(node.output)],
        graph.name,
        list(graph.input),
        outputs,
        [tensor for tensor in graph.initializer if tensor.name in needed],
        sparse_initializer=[tensor for tensor in graph.sparse_initializer if tensor.values.name in needed],
    )
    return onnx.helper.make_model(
        cut, opset_imports=list(model.opset_import), ir_version=model.ir_version, functions=list(model.functions)
    )
