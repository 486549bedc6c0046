"""Checks that a graph keeps the contract, from its structure alone: nothing is run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from scbasset_zoo.graph.contract import Contract
from scbasset_zoo.graph.head import BATCH_INITIALIZERS
from scbasset_zoo.graph.model_proto import all_attributes, all_nodes, all_tensors
from scbasset_zoo.graph.operators import OPERATORS

_DEFAULT_DOMAINS = ("", "ai.onnx")


MAX_BYTES = 2**30


_SMALL = 1_024


_MAX_CONV_RANK = 5  # beyond, ONNX Runtime writes out the whole input for each place of the kernel


def contract_problems(model: onnx.ModelProto, contract: Contract) -> list[str]:
    """Everything in which the graph is not what its card says and what any ONNX tool may rely on; empty when all is well."""
    return [
        *_invalid(model),
        *_foreign(model, contract),
        *_weights(model),
        *_too_large(model, contract),
        *_signature(model, contract),
        *_initializers(model, contract),
        *_metadata(model, contract),
    ]


def _invalid(model: onnx.ModelProto) -> Iterator[str]:
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in all_tensors(model)):
        return  # a finding of its own; the checker would look for the files
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001  the checker's errors share no base but Exception
        yield f"is not valid ONNX: {error}"


def _foreign(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    opset = {entry.domain: entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS}
    if list(opset.values()) != [contract.opset]:
        yield f"has opset {', '.join(map(str, opset.values())) or 'none'}; the card says {contract.opset}"
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in all_nodes(model) if node.domain not in _DEFAULT_DOMAINS})
    if foreign or model.functions:
        yield f"uses operators outside the ONNX standard: {', '.join(foreign) or 'functions of its own'}"
    unknown = sorted({node.op_type for node in all_nodes(model) if node.domain in _DEFAULT_DOMAINS} - OPERATORS)
    if unknown:
        yield (
            f"uses operators that a package's model may not have: {', '.join(unknown)}; loops, random numbers and operators that "
            "make large tensors out of small ones are refused. Export the network as it is at inference, with constants folded"
        )
    if model.graph.sparse_initializer or any(attribute.HasField("sparse_tensor") for attribute in all_attributes(model)):
        yield "has sparse tensors, which may unpack to any size; store weights densely"


def _too_large(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    """Bounds the values of a pass over one sequence, all together, by shape inference, before anything is run."""
    try:
        values = _inferred(model, contract).graph.value_info
        sizes = {value.name: _size(value) for value in values}
    except Exception as error:  # noqa: BLE001  inference fails in as many ways as there are graphs
        yield f"has values whose shapes cannot be inferred: {error}"
        return
    made = [name for node in model.graph.node for name in node.output if name]
    unknown = [name for name in made if sizes.get(name) is None]
    if unknown:
        yield (
            f"has {len(unknown):,} values whose shapes cannot be inferred from that of the input, first {unknown[0]!r}; "
            "export it with fixed shapes, all but N"
        )
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    wide = [node.output[0] for node in model.graph.node if node.op_type == "Conv" and ranks.get(node.output[0], 0) > _MAX_CONV_RANK]
    if wide:
        yield f"has convolutions over more than 3 axes, first {wide[0]!r}, which need memory beyond their values"
    total = sum(sizes.get(name) or 0 for name in made)
    if total > MAX_BYTES:
        largest = max(made, key=lambda name: sizes.get(name) or 0)
        yield (
            f"makes {total:,} bytes of one sequence, {sizes[largest]:,} of them as {largest!r}; at most {MAX_BYTES:,} are allowed"
        )


def _inferred(model: onnx.ModelProto, contract: Contract) -> onnx.ModelProto:
    """The graph for one sequence with the shape of every value; large weights enter by their shape alone."""
    graph = model.graph
    shaped = onnx.helper.make_tensor_value_info
    large = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > _SMALL]
    inputs = [shaped("sequence", onnx.TensorProto.FLOAT, [1, contract.sequence_length, 4])]
    inputs += [shaped(tensor.name, tensor.data_type, list(tensor.dims)) for tensor in large]
    small = [tensor for tensor in graph.initializer if math.prod(tensor.dims) <= _SMALL]
    single = onnx.helper.make_graph(list(graph.node), "one sequence", inputs, [], small)
    single = onnx.helper.make_model(single, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    return onnx.shape_inference.infer_shapes(single, strict_mode=True, data_prop=True)


def _size(value: onnx.ValueInfoProto) -> int | None:
    """Bytes of a value, None where its shape is not known."""
    tensor = value.type.tensor_type
    dims = list(tensor.shape.dim)
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
        return None
    item = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return item * math.prod(dim.dim_value for dim in dims)


def _weights(model: onnx.ModelProto) -> Iterator[str]:
    for tensor in all_tensors(model):
        name = tensor.name or "a constant"
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield f"keeps {name} in another file; all weights must be inside"
            continue
        try:
            values = numpy_helper.to_array(tensor)
        except Exception as error:  # noqa: BLE001  a damaged tensor fails in as many ways as there are types
            yield f"{name} cannot be read: {error}"
            continue
        if values.dtype.kind in "fV" and not np.isfinite(values).all():
            yield f"{name} has {int((~np.isfinite(values)).sum()):,} weights that are not finite"


def _signature(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    length, n_cells, size = contract.sequence_length, contract.n_cells, contract.embedding_size
    inputs = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    if inputs != ["sequence"]:
        yield f"must have one input, 'sequence'; found {inputs}"
    if outputs != list(contract.output_names):
        yield f"must have the outputs {', '.join(contract.output_names)} in this order; found {outputs}"
    wanted = dict.fromkeys(contract.output_names, (n_cells,)) | {"sequence": (length, 4), "peak_embedding": (size,)}
    for value in [*model.graph.input, *model.graph.output]:
        if value.name not in wanted:
            continue
        tensor = value.type.tensor_type
        if tensor.elem_type != onnx.TensorProto.FLOAT:
            yield f"{value.name} must be float32; found {onnx.TensorProto.DataType.Name(tensor.elem_type)}"
        first, *rest = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim] or [None]
        if first is not None or tuple(rest) != wanted[value.name]:
            shape = ", ".join("N" if dim is None else str(dim) for dim in (first, *rest))
            yield f"{value.name} must have shape (N, {', '.join(map(str, wanted[value.name]))}); found ({shape})"


def _initializers(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    shapes = {tensor.name: (tuple(tensor.dims), tensor.data_type) for tensor in model.graph.initializer}
    n_cells, size = contract.n_cells, contract.embedding_size
    wanted: dict[str, tuple[int, ...]] = {"cell_embedding": (size, n_cells), "cell_intercept": (n_cells,)}
    if (n_batches := contract.n_batches) is not None:
        wanted |= zip(BATCH_INITIALIZERS, ((size, n_batches), (n_batches,), (n_batches, n_cells)), strict=True)
    for name, shape in wanted.items():
        if name not in shapes:
            yield f"has no initializer {name!r}"
        elif shapes[name] != (shape, onnx.TensorProto.FLOAT):
            yield f"initializer {name} must be float32 of shape {shape}; found shape {shapes[name][0]}"


def _metadata(model: onnx.ModelProto, contract: Contract) -> Iterator[str]:
    found: Mapping[str, str] = {entry.key: entry.value for entry in model.metadata_props}
    for key, value in contract.metadata.items():
        if found.get(key) != value:
            yield f"metadata_props: {key} is {found.get(key)!r}; the card says {value!r}. The files may come from two models"
