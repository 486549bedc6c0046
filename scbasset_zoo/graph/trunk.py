"""Extracts the trunk of model.onnx: the part of the graph from the sequence to the peak embedding."""

from __future__ import annotations

import onnx

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.model_proto import all_tensors, inputs_of


def extract_trunk(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the part of the graph that computes `peak_embedding`. The head, which grows with the cells, is not in it.

    Raises
    ------
    PackageError
        There is no output `peak_embedding`, or weights are in another file.
    """
    # Not onnx.utils.Extractor: it loses what subgraphs read and refuses every model with a sparse initializer.
    graph = model.graph
    outputs = [output for output in graph.output if output.name == "peak_embedding"]
    if not outputs:
        raise PackageError("model.onnx has no output 'peak_embedding'.")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in all_tensors(model)):
        raise PackageError("model.onnx keeps weights in another file; all weights must be inside.")
    node_of = {name: node for node in graph.node for name in node.output if name}
    needed: set[str] = set()
    to_visit = ["peak_embedding"]
    while to_visit:
        name = to_visit.pop()
        if name not in needed:
            needed.add(name)
            if name in node_of:
                to_visit.extend(inputs_of(node_of[name]))
    trunk = onnx.helper.make_graph(
        [node for node in graph.node if needed.intersection(node.output)],
        graph.name,
        list(graph.input),
        outputs,
        [tensor for tensor in graph.initializer if tensor.name in needed],
        sparse_initializer=[tensor for tensor in graph.sparse_initializer if tensor.values.name in needed],
    )
    return onnx.helper.make_model(
        trunk, opset_imports=list(model.opset_import), ir_version=model.ir_version, functions=list(model.functions)
    )
