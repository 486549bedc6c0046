"""Parses the bytes of model.onnx, and walks over nodes, subgraphs and tensors of a graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx

from scbasset_zoo.errors import PackageError


def parse_model(raw: bytes) -> onnx.ModelProto:
    """Parse the bytes of model.onnx. No other file is read.

    Raises
    ------
    PackageError
        The bytes are not an ONNX model.
    """
    try:
        return onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf raises errors of many types
        raise PackageError(f"model.onnx is not an ONNX model: {error}") from error


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node, also those in subgraphs and functions."""
    yield from _nodes_in(model.graph.node)
    for function in model.functions:
        yield from _nodes_in(function.node)


def _nodes_in(nodes: Any) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from _nodes_in(graph.node)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs among the attributes of a node, such as the body of a loop."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def inputs_of(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names of the values that a node may read, also those that its subgraphs read."""
    yield from (name for name in node.input if name)
    for graph in subgraphs(node):
        for inner in graph.node:
            yield from inputs_of(inner)
        yield from (output.name for output in graph.output)


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every constant tensor: initializers, both parts of sparse initializers, and attributes."""
    graphs = [model.graph, *(graph for node in all_nodes(model) for graph in subgraphs(node))]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in all_attributes(model):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def all_attributes(model: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    """Yield every attribute of every node."""
    for node in all_nodes(model):
        yield from node.attribute
