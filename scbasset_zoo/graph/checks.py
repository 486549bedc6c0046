"""Checks model.onnx against the contract by its structure alone: nothing is run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.graph.contract import INPUT_NAME, Contract
from scbasset_zoo.graph.gauge import COVARIANCE, MEAN, gauge_problems
from scbasset_zoo.graph.graph_builder import value_info
from scbasset_zoo.graph.head import BATCH_INITIALIZERS
from scbasset_zoo.graph.model_proto import all_attributes, all_nodes, all_tensors
from scbasset_zoo.graph.operators import OPERATORS

MAX_BYTES = 2**30

_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
# Text has no bounded size, so tensors hold numbers only.
ELEMENT_TYPES = _FLOATS | {
    TensorProto.BOOL,
    TensorProto.INT8,
    TensorProto.INT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT8,
    TensorProto.UINT16,
    TensorProto.UINT32,
    TensorProto.UINT64,
}
_FLOAT_ONLY = frozenset({"Div", "Reciprocal", "ReduceMean", "Mean"})
_STANDARD_DOMAINS = ("", "ai.onnx")
# Constants of at most so many elements may hold shapes, which shape inference has to read.
_MAX_SHAPE_ELEMENTS = 1_024
# For more axes, ONNX Runtime copies the whole input once for each element of the kernel.
_MAX_CONV_RANK = 5


def contract_problems(model: onnx.ModelProto, contract: Contract) -> list[str]:
    """Return everything in which the graph breaks the contract, as lines to follow "model.onnx"; an empty list if nothing."""
    return [
        *_validity_problems(model),
        *_operator_problems(model, contract),
        *_mode_problems(model),
        *_weight_problems(model),
        *_value_problems(model, contract),
        *_signature_problems(model, contract),
        *_initializer_problems(model, contract),
        *_metadata_problems(model, contract),
    ]


def _validity_problems(model: onnx.ModelProto) -> Iterator[str]:
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in all_tensors(model)):
        return  # _weight_problems reports it. The ONNX checker would open these files.
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001  the checker's errors share no base but Exception
        yield f"is not valid ONNX: {error}"


def _operator_problems(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    opsets = {entry.domain: entry.version for entry in model.opset_import if entry.domain in _STANDARD_DOMAINS}
    if list(opsets.values()) != [contract.opset]:
        yield f"has opset {', '.join(map(str, opsets.values())) or 'none'}; the card says {contract.opset}"
    nodes = list(all_nodes(model))
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in _STANDARD_DOMAINS})
    if foreign or model.functions:
        yield f"uses operators outside the ONNX standard: {', '.join(foreign) or 'functions of its own'}"
    refused = sorted({str(node.op_type) for node in nodes if node.domain in _STANDARD_DOMAINS} - OPERATORS)
    if refused:
        yield (
            f"uses operators that a package's model may not have: {', '.join(refused)}; loops, random numbers and operators that "
            "make large tensors out of small ones are refused. Export the network as it is at inference, with constants folded"
        )
    if model.graph.sparse_initializer or any(attribute.HasField("sparse_tensor") for attribute in all_attributes(model)):
        yield "has sparse tensors, which may unpack to any size; store weights densely"


def _mode_problems(model: onnx.ModelProto) -> Iterator[str]:
    """Find nodes that work as in training: their results are random, or depend on the other sequences of a batch."""
    for node in model.graph.node:
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            yield f"has a Dropout, {node.output[0]!r}, with an input training_mode; remove it, since it does nothing at inference"
        if node.op_type == "BatchNormalization" and any(a.name == "training_mode" and a.i for a in node.attribute):
            yield f"has a BatchNormalization, {node.output[0]!r}, in training mode; export the network as it is at inference"


def _weight_problems(model: onnx.ModelProto) -> Iterator[str]:
    for tensor in all_tensors(model):
        name = tensor.name or "a constant"
        if tensor.data_location == TensorProto.EXTERNAL:
            yield f"keeps {name} in another file; all weights must be inside"
            continue
        if tensor.data_type not in ELEMENT_TYPES:
            yield f"{name} has elements of type {_type_name(tensor.data_type)}; a model has numbers only"
            continue
        try:
            values = numpy_helper.to_array(tensor)
        except Exception as error:  # noqa: BLE001  a damaged tensor fails in as many ways as there are types
            yield f"{name} cannot be read: {error}"
            continue
        if values.dtype.kind in "fV" and not np.isfinite(values).all():
            yield f"{name} has {int((~np.isfinite(values)).sum()):,} weights that are not finite"


def bytes_of_sequence(model: onnx.ModelProto, contract: Contract) -> int:
    """Return the bytes that all values of the graph take together for one sequence. The graph has no contract problems."""
    return sum(_bytes_of(value) or 0 for value in _with_shapes(model, contract).graph.value_info)


def _value_problems(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    """Infer the shape and type of every value for one sequence, and check them."""
    try:
        values = {value.name: value for value in _with_shapes(model, contract).graph.value_info}
        sizes = {name: _bytes_of(value) for name, value in values.items()}
    except Exception as error:  # noqa: BLE001  inference fails in as many ways as there are graphs
        yield f"has values whose shapes cannot be inferred: {error}"
        return
    yield from _type_problems(model, values)
    yield from _memory_problems(model, values, sizes)
    yield from _growth_problems(model, contract, sizes)


def _growth_problems(model: onnx.ModelProto, contract: Contract, sizes: Mapping[str, int | None]) -> Iterator[str]:
    """Compare the sizes of values for one sequence with those for two."""
    try:
        sizes_of_two = {value.name: _bytes_of(value) for value in _with_shapes(model, contract, n=2).graph.value_info}
    except Exception as error:  # noqa: BLE001  inference fails in as many ways as there are graphs
        yield f"has values whose shapes cannot be inferred for two sequences: {error}"
        return
    growing = [name for name, size in sizes.items() if size is not None and (sizes_of_two.get(name) or 0) > 2 * size > 0]
    if growing:
        yield f"has {len(growing):,} values that grow faster than the number of sequences, first {growing[0]!r}"


def _type_problems(model: onnx.ModelProto, values: Mapping[str, onnx.ValueInfoProto]) -> Iterator[str]:
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types |= {name: value.type.tensor_type.elem_type for name, value in values.items()}
    others = {name: kind for name, kind in types.items() if kind not in ELEMENT_TYPES}
    if others:
        name, kind = next(iter(others.items()))
        yield f"has values that are no numbers, first {name!r} of type {_type_name(kind)}"
    for node in model.graph.node:
        # A whole number divided by zero ends the process.
        if node.op_type in _FLOAT_ONLY and types.get(node.input[0], TensorProto.FLOAT) not in _FLOATS:
            yield f"divides whole numbers ({node.op_type} {node.output[0]!r}); only floats may be divided. Fold constants at export"
        if any(attribute.HasField("s") or attribute.strings for attribute in node.attribute if node.op_type == "Constant"):
            yield f"has a constant of text, {node.output[0]!r}; a model has numbers only"


def _type_name(kind: int) -> str:
    return TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else str(kind)


def _memory_problems(
    model: onnx.ModelProto, values: Mapping[str, onnx.ValueInfoProto], sizes: Mapping[str, int | None]
) -> Iterator[str]:
    """Check that all values of one sequence have a known size, and fit in MAX_BYTES together."""
    names = [name for node in model.graph.node for name in node.output if name]
    unbounded = [name for name in names if sizes.get(name) is None]
    if unbounded:
        yield (
            f"has {len(unbounded):,} values whose shapes cannot be inferred from that of the input, first {unbounded[0]!r}; "
            "export it with fixed shapes, all but N"
        )
    empty = [name for name in names if sizes.get(name) == 0]
    if empty:
        yield f"has {len(empty):,} empty values, first {empty[0]!r}"
    convolutions = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    wide = [name for name in convolutions if name in values and _rank(values[name]) > _MAX_CONV_RANK]
    if wide:
        yield f"has convolutions over more than 3 axes, first {wide[0]!r}, which need memory beyond their values"
    total = sum(sizes.get(name) or 0 for name in names)
    if total > MAX_BYTES:
        largest = max(names, key=lambda name: sizes.get(name) or 0)
        yield (
            f"makes {total:,} bytes of one sequence, {sizes[largest]:,} of them as {largest!r}; at most {MAX_BYTES:,} are allowed"
        )


def _rank(value: onnx.ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


def _with_shapes(model: onnx.ModelProto, contract: Contract, n: int = 1) -> onnx.ModelProto:
    """Return the graph for `n` sequences, with the shape of every value.

    Large weights become inputs, since their shapes suffice. Small constants stay, since some of them are shapes.
    """
    large = [tensor for tensor in model.graph.initializer if math.prod(tensor.dims) > _MAX_SHAPE_ELEMENTS]
    small = [tensor for tensor in model.graph.initializer if math.prod(tensor.dims) <= _MAX_SHAPE_ELEMENTS]
    inputs = [value_info(INPUT_NAME, [n, contract.sequence_length, 4])]
    inputs += [value_info(tensor.name, list(tensor.dims), tensor.data_type) for tensor in large]
    graph = helper.make_graph(list(model.graph.node), "fixed number of sequences", inputs, [], small)
    single = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    return onnx.shape_inference.infer_shapes(single, strict_mode=True, data_prop=True)


def _bytes_of(value: onnx.ValueInfoProto) -> int | None:
    """Return the size of a value in bytes, or None if a part of its shape is not fixed."""
    tensor = value.type.tensor_type
    dims = list(tensor.shape.dim)
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
        return None
    item = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return item * math.prod(dim.dim_value for dim in dims)


def _signature_problems(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    length, n_cells, size = contract.sequence_length, contract.n_cells, contract.embedding_size
    inputs = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    if inputs != [INPUT_NAME]:
        yield f"must have one input, {INPUT_NAME!r}; found {inputs}"
    if outputs != list(contract.output_names):
        yield f"must have the outputs {', '.join(contract.output_names)} in this order; found {outputs}"
    shapes = dict.fromkeys(contract.output_names, (n_cells,)) | {INPUT_NAME: (length, 4), "peak_embedding": (size,)}
    for value in [*model.graph.input, *model.graph.output]:
        if value.name not in shapes:
            continue
        tensor = value.type.tensor_type
        if tensor.elem_type != TensorProto.FLOAT:
            yield f"{value.name} must be float32; found {_type_name(tensor.elem_type)}"
        first, *rest = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim] or [None]
        if first is not None or tuple(rest) != shapes[value.name]:
            shape = ", ".join("N" if dim is None else str(dim) for dim in (first, *rest))
            yield f"{value.name} must have shape (N, {', '.join(map(str, shapes[value.name]))}); found ({shape})"


def _initializer_problems(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    initializers = {tensor.name: (tuple(tensor.dims), tensor.data_type) for tensor in model.graph.initializer}
    n_cells, size = contract.n_cells, contract.embedding_size
    shapes: dict[str, tuple[int, ...]] = {"cell_embedding": (size, n_cells), "cell_intercept": (n_cells,)}
    if (n_batches := contract.n_batches) is not None:
        shapes |= zip(BATCH_INITIALIZERS, ((size, n_batches), (n_batches,), (n_batches, n_cells)), strict=True)
    for name, shape in shapes.items():
        if name not in initializers:
            yield f"has no initializer {name!r}"
        elif initializers[name] != (shape, TensorProto.FLOAT):
            yield f"initializer {name} must be float32 of shape {shape}; found shape {initializers[name][0]}"
    if contract.has_gauge:
        yield from gauge_problems(model, size)
    elif found := [name for name in (MEAN, COVARIANCE) if name in initializers]:
        yield f"has the initializer {found[0]!r}, but the card has no section 'gauge'"


def _metadata_problems(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    metadata: Mapping[str, str] = {entry.key: entry.value for entry in model.metadata_props}
    for key, value in contract.metadata.items():
        if metadata.get(key) != value:
            yield f"metadata_props: {key} is {metadata.get(key)!r}; the card says {value!r}. The files may come from two models"
