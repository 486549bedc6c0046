"""model.onnx: what its graph must be, the trunk that ends in the peak embedding, and a plain run without our runtime."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from scbasset_zoo.card import BATCH_OUTPUT, Card
from scbasset_zoo.errors import DeviceError, PackageError

Array = NDArray[np.float32]
_DEFAULT_DOMAINS = ("", "ai.onnx")
# What networks of this kind are drawn with. No loops, no random numbers, nothing that makes large tensors out of small ones.
OPERATORS = frozenset(
    """Abs Add And AveragePool BatchNormalization Cast Celu Clip Concat Constant Conv Div Dropout Elu Equal Erf Exp Flatten Floor
    Gather Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GroupNormalization HardSigmoid HardSwish Identity
    InstanceNormalization LayerNormalization LeakyRelu Less Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mul Neg Not Or PRelu
    Pad Pow Reciprocal ReduceL2 ReduceMax ReduceMean ReduceProd ReduceSum Relu Reshape Round Selu Shape Sigmoid Sign Slice
    Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh Transpose Unsqueeze Where""".split()  # noqa: SIM905  a table of words
)
MAX_BYTES = 2**30
_SMALL = 1_024
_MAX_CONV_RANK = 5  # beyond, ONNX Runtime writes out the whole input for each place of the kernel


class BatchPath(NamedTuple):
    """What a batch-corrected model adds to its logits: (peak_embedding @ embedding + intercept) @ by_cell.

    Attributes
    ----------
    embedding : float32 (embedding_size, n_batches)
    intercept : float32 (n_batches,)
    by_cell : float32 (n_batches, n_cells)
        1 where a cell is of a batch, else 0.
    """

    embedding: Array
    intercept: Array
    by_cell: Array


BATCH_INITIALIZERS = {f"batch_{field}": rank for field, rank in zip(BatchPath._fields, (2, 1, 2), strict=True)}


def parse(raw: bytes) -> onnx.ModelProto:
    """The graph in the bytes of model.onnx; nothing outside them is read."""
    try:
        return onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf raises what it likes
        raise PackageError(f"model.onnx is no ONNX model: {error}") from error


def metadata(card: Card) -> dict[str, str]:
    """What `metadata_props` of model.onnx must hold, so that a swapped model or table of cells is noticed."""
    return {
        "id": card.id,
        "version": card.version,
        "n_cells": str(card.cells.n_cells),
        "cell_order_sha256": card.cells.order_sha256,
    }


def head(model: onnx.ModelProto) -> tuple[Array, Array]:
    """Cell embedding, (n_cells, embedding_size), and cell intercept, (n_cells,), from the graph's initializers.

    Raises
    ------
    PackageError
        They are absent, kept in another file, or of the wrong type or shape.
    """
    embedding, intercept = _named_weights(model, {"cell_embedding": 2, "cell_intercept": 1})
    if embedding.shape[1] != intercept.shape[0]:
        raise PackageError(
            f"model.onnx: cell_embedding is for {embedding.shape[1]:,} cells, cell_intercept {intercept.shape[0]:,}."
        )
    return np.ascontiguousarray(embedding.T), intercept


def batch_path(model: onnx.ModelProto) -> BatchPath | None:
    """The batch path, None where the model has none.

    Raises
    ------
    PackageError
        Its weights are absent, kept in another file, or of the wrong type or shape.
    """
    if all(output.name != BATCH_OUTPUT for output in model.graph.output):
        return None
    path = BatchPath(*_named_weights(model, BATCH_INITIALIZERS))
    if not path.embedding.shape[1] == path.intercept.shape[0] == path.by_cell.shape[0]:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(BATCH_INITIALIZERS, path, strict=True))
        raise PackageError(f"model.onnx: the weights of the batch path are for different numbers of batches: {shapes}.")
    return path


def trunk(model: onnx.ModelProto) -> onnx.ModelProto:
    """The part of the graph that `peak_embedding` depends on; the head, which grows with the cells, is left out."""
    graph = model.graph
    outputs = [output for output in graph.output if output.name == "peak_embedding"]
    if not outputs:
        raise PackageError("model.onnx has no output 'peak_embedding'.")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise PackageError("model.onnx keeps weights in another file; all weights must be inside.")
    maker = {name: node for node in graph.node for name in node.output if name}
    needed: set[str] = set()
    waiting = ["peak_embedding"]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            if name in maker:
                waiting.extend(_reads(maker[name]))
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


def problems(model: onnx.ModelProto, card: Card) -> list[str]:
    """Everything in which the graph is not what its card says and what any ONNX tool may rely on; empty when all is well."""
    return [
        *_invalid(model),
        *_foreign(model, card),
        *_weights(model),
        *_too_large(model, card),
        *_signature(model, card),
        *_initializers(model, card),
        *_metadata(model, card),
    ]


def run_plainly(raw: bytes, sequence: Array) -> dict[str, Array]:
    """All outputs for one-hot sequences (n, length, 4), by ONNX Runtime on the CPU and none of our code."""
    runs = list(run_each(raw, sequence))
    return {name: np.concatenate([outputs[name] for outputs in runs]) for name in runs[0]}


def run_each(raw: bytes, sequence: Array) -> Iterator[dict[str, Array]]:
    """:func:`run_plainly` for one sequence after the other: :func:`problems` bounds what one needs, not what many need at once."""
    onnxruntime = import_onnxruntime()
    try:
        session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        for i in range(len(sequence)):
            yield dict(zip(names, session.run(names, {"sequence": sequence[i : i + 1]}), strict=True))
    except Exception as error:  # ONNX Runtime's own errors share no base but Exception
        raise PackageError(f"ONNX Runtime cannot run model.onnx: {error}") from error


def import_onnxruntime() -> Any:
    """The module `onnxruntime`, which comes by extra since its CPU and GPU builds overwrite each other."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            "No ONNX Runtime is installed. Run pip install 'scbasset-zoo[cpu]', or pip install 'scbasset-zoo[gpu]' "
            f"on a machine with an NVIDIA GPU ({error})."
        ) from error
    return onnxruntime


def _invalid(model: onnx.ModelProto) -> Iterator[str]:
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        return  # a finding of its own; the checker would look for the files
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # noqa: BLE001  the checker's errors share no base but Exception
        yield f"is not valid ONNX: {error}"


def _foreign(model: onnx.ModelProto, card: Card) -> Iterator[str]:
    opset = {entry.domain: entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS}
    if list(opset.values()) != [card.architecture.opset]:
        yield f"has opset {', '.join(map(str, opset.values())) or 'none'}; the card says {card.architecture.opset}"
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in _nodes(model) if node.domain not in _DEFAULT_DOMAINS})
    if foreign or model.functions:
        yield f"uses operators outside the ONNX standard: {', '.join(foreign) or 'functions of its own'}"
    unknown = sorted({node.op_type for node in _nodes(model) if node.domain in _DEFAULT_DOMAINS} - OPERATORS)
    if unknown:
        yield (
            f"uses operators that a package's model may not have: {', '.join(unknown)}; loops, random numbers and operators that "
            "make large tensors out of small ones are refused. Export the network as it is at inference, with constants folded"
        )
    if model.graph.sparse_initializer or any(attribute.HasField("sparse_tensor") for attribute in _attributes(model)):
        yield "has sparse tensors, which may unpack to any size; store weights densely"


def _too_large(model: onnx.ModelProto, card: Card) -> Iterator[str]:
    """Bounds the values of a pass over one sequence, all together, by shape inference, before anything is run."""
    try:
        values = _inferred(model, card).graph.value_info
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


def _inferred(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    """The graph for one sequence with the shape of every value; large weights enter by their shape alone."""
    graph = model.graph
    shaped = onnx.helper.make_tensor_value_info
    large = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > _SMALL]
    inputs = [shaped("sequence", onnx.TensorProto.FLOAT, [1, card.input.length, 4])]
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
    for tensor in _tensors(model):
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


def _signature(model: onnx.ModelProto, card: Card) -> Iterator[str]:
    length, n_cells, size = card.input.length, card.cells.n_cells, card.architecture.embedding_size
    inputs = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    if inputs != ["sequence"]:
        yield f"must have one input, 'sequence'; found {inputs}"
    if outputs != list(card.output_names):
        yield f"must have the outputs {', '.join(card.output_names)} in this order; found {outputs}"
    wanted = dict.fromkeys(card.output_names, (n_cells,)) | {"sequence": (length, 4), "peak_embedding": (size,)}
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


def _initializers(model: onnx.ModelProto, card: Card) -> Iterator[str]:
    shapes = {tensor.name: (tuple(tensor.dims), tensor.data_type) for tensor in model.graph.initializer}
    n_cells, size = card.cells.n_cells, card.architecture.embedding_size
    wanted: dict[str, tuple[int, ...]] = {"cell_embedding": (size, n_cells), "cell_intercept": (n_cells,)}
    if card.batch_correction and BATCH_OUTPUT in card.output_names:
        n_batches = card.batch_correction.n_batches
        wanted |= zip(BATCH_INITIALIZERS, ((size, n_batches), (n_batches,), (n_batches, n_cells)), strict=True)
    for name, shape in wanted.items():
        if name not in shapes:
            yield f"has no initializer {name!r}"
        elif shapes[name] != (shape, onnx.TensorProto.FLOAT):
            yield f"initializer {name} must be float32 of shape {shape}; found shape {shapes[name][0]}"


def _named_weights(model: onnx.ModelProto, ranks: Mapping[str, int]) -> list[Array]:
    """Float32 initializers by name, each of its rank."""
    found = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in ranks}
    for name, rank in ranks.items():
        if name not in found:
            raise PackageError(f"model.onnx has no initializer {name!r}, where the head's weights must be.")
        tensor = found[name]
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise PackageError(f"model.onnx keeps {name} in another file; all weights must be inside.")
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) != rank:
            raise PackageError(f"model.onnx: {name} must be float32 of rank {rank}; found shape {tuple(tensor.dims)}.")
    try:
        return [numpy_helper.to_array(found[name]) for name in ranks]
    except ValueError as error:
        raise PackageError(f"model.onnx: the data of the head's weights are not of the shape they declare: {error}") from error


def _metadata(model: onnx.ModelProto, card: Card) -> Iterator[str]:
    found: Mapping[str, str] = {entry.key: entry.value for entry in model.metadata_props}
    for key, value in metadata(card).items():
        if found.get(key) != value:
            yield f"metadata_props: {key} is {found.get(key)!r}; the card says {value!r}. The files may come from two models"


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from _nodes_of(model.graph.node)
    for function in model.functions:
        yield from _nodes_of(function.node)


def _nodes_of(nodes: Any) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in _subgraphs(node):
            yield from _nodes_of(graph.node)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node may read, those of the outer graph that its subgraphs use included."""
    yield from (name for name in node.input if name)
    for graph in _subgraphs(node):
        for inner in graph.node:
            yield from _reads(inner)
        yield from (output.name for output in graph.output)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    graphs = [model.graph, *(graph for node in _nodes(model) for graph in _subgraphs(node))]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in _attributes(model):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def _attributes(model: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    for node in _nodes(model):
        yield from node.attribute
