"""The two ONNX graphs of the mutation engine: what a reference leaves behind, and what an edit changes of it.

A convolution is linear, so the change of its output is the convolution of the change of its input. For an edit that spans
`width` bases, each block therefore

1. convolves the change of its input, at the few positions that changed, by :mod:`short_convolution`;
2. adds it to the reference's output at the positions of the pooling windows that it reaches;
3. takes the maximum of each window, then GELU, and subtracts the reference's: the next block's change.

The changed windows have the same number for every edit of a width, but start where the edit lies, at any phase of the
pooling. Tensors are (positions, edits, channels), so that step 1's transforms are plain products from the left; the phase
enters in step 2, which collects rows by an index: row `position * n_edits + edit` of the change (a last position of zeros
serves where nothing changed), row `reference * (length + 2) + 1 + position` of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.graph.layers import Block, TrunkLayers, UnsupportedTrunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.mutations.short_convolution import ShortConvolution, short_convolution, supports

Array = NDArray[np.float32]
Index = NDArray[np.int64]

_OPSET, _IR_VERSION = 18, 8
# Stands for minus infinity outside the sequence, where a pooling window reaches beyond it; finite, so that no NaN arises.
_OUTSIDE = -1e9


@dataclass(frozen=True, eq=False)
class Level:
    """One block as an edit passes it.

    Parameters
    ----------
    block : Block
    length, next_length : int
        Positions that the block reads and gives, in the whole sequence.
    n_changed : int
        Positions of its input that may have changed.
    n_windows : int
        Pooling windows that are computed anew.
    """

    block: Block
    length: int
    next_length: int
    n_changed: int
    n_windows: int

    @property
    def n_outputs(self) -> int:
        """Outputs of the convolution that change."""
        return self.n_changed + len(self.block.kernel) - 1

    @property
    def pointwise(self) -> bool:
        """Neither the convolution nor the pooling moves anything."""
        return len(self.block.kernel) == 1 and self.block.pool == 1 and self.n_windows == self.n_changed

    @property
    def convolution(self) -> ShortConvolution:
        """How the change is convolved."""
        return short_convolution(self.n_changed, len(self.block.kernel))


@dataclass(frozen=True, eq=False)
class EditPlan:
    """How edits of `width` bases are computed: sizes that hold wherever an edit lies."""

    layers: TrunkLayers
    width: int
    levels: tuple[Level, ...]

    @property
    def multiplications(self) -> int:
        """For one edit."""
        first, *rest = self.levels
        total = first.n_outputs * first.block.kernel.size + self.layers.dense_kernel.size
        for level in rest:
            _, n_in, n_out = level.block.kernel.shape
            total += len(level.convolution.signal) * (n_in * n_out + level.n_changed * n_in + level.n_outputs * n_out)
        return total

    @property
    def bytes_per_edit(self) -> int:
        """Working memory that an edit takes."""
        first, *rest = self.levels
        sizes = [first.n_outputs * (4 * len(first.block.kernel) + 3 * first.block.kernel.shape[2])]
        for level in rest:
            _, n_in, n_out = level.block.kernel.shape
            sizes.append(len(level.convolution.signal) * (n_in + n_out) + 5 * level.n_outputs * n_out)
        return 4 * max(sizes)


def full_multiplications(layers: TrunkLayers) -> int:
    """Multiplications of a full pass."""
    convolutions = sum(length * block.kernel.size for length, block in zip(layers.lengths, layers.blocks, strict=False))
    return convolutions + layers.dense_kernel.size


def reference_bytes(layers: TrunkLayers) -> int:
    """Memory that the activations of one reference take."""
    sizes = zip(layers.blocks, layers.lengths[:-1], layers.lengths[1:], strict=True)
    return 4 * sum(block.bias.size * (length + 2 + next_length) for block, length, next_length in sizes)


def plan_edits(layers: TrunkLayers, width: int) -> EditPlan:
    """Sizes of every level for edits of `width` bases.

    Raises
    ------
    UnsupportedTrunk
        A convolution after the first is too wide for :mod:`short_convolution`.
    """
    lengths, windows = layers.lengths, [width]
    for block, next_length in zip(layers.blocks, lengths[1:], strict=True):
        n_outputs = windows[-1] + len(block.kernel) - 1
        windows.append(min((n_outputs + block.pool - 2) // block.pool + 1, next_length))
    # The dense layer knows positions by their place in the sequence: it takes all, and so does what leads to it pointwise.
    windows[-1] = lengths[-1]
    for number in range(len(layers.blocks) - 1, 0, -1):
        block = layers.blocks[number]
        if not supports(len(block.kernel)):
            raise UnsupportedTrunk(f"Convolution {number} spans {len(block.kernel)} positions, more than are supported.")
        if len(block.kernel) == block.pool == 1 and windows[number + 1] == lengths[number + 1]:
            windows[number] = lengths[number]
    parts = zip(layers.blocks, lengths[:-1], lengths[1:], windows[:-1], windows[1:], strict=True)
    return EditPlan(layers, width, tuple(Level(*part) for part in parts))


def reference_graph(layers: TrunkLayers) -> onnx.ModelProto:
    """Graph from sequences (n, length, 4) to all that edits of them need.

    Outputs are, for block i, `convolved_i` ((length + 2) * n, channels), with a row before and after each sequence, and
    `active_i` (next length * n, channels), its pooled output after GELU; then `dense` and `peak_embedding`, (n, embedding
    size), before and after the last GELU.
    """
    graph = _Graph()
    x = graph.add("Transpose", [graph.gelu("sequence", layers.gelu_slope)], perm=[0, 2, 1])
    x = graph.add("Unsqueeze", [x, graph.constant(np.array([2]))])
    for number, (block, length, next_length) in enumerate(zip(layers.blocks, layers.lengths[:-1], layers.lengths[1:], strict=True)):
        width, channels = len(block.kernel), block.bias.size
        x = graph.add(
            "Conv",
            [x, graph.constant(block.kernel.transpose(2, 1, 0)[:, :, None]), graph.constant(block.bias)],
            kernel_shape=[1, width],
            pads=[0, (width - 1) // 2, 0, width // 2],
        )
        rows = graph.add("Transpose", [graph.add("Squeeze", [x, graph.constant(np.array([2]))])], perm=[0, 2, 1])
        ends = [graph.constant(np.array([0, 1, 0, 0, 1, 0])), graph.constant(np.float32(_OUTSIDE))]
        graph.rows(graph.add("Pad", [rows, *ends]), channels, f"convolved_{number}")
        if block.pool > 1:
            after = next_length * block.pool - length - block.pool_padding
            window, pads = [1, block.pool], [0, block.pool_padding, 0, after]
            x = graph.add("MaxPool", [x], kernel_shape=window, strides=window, pads=pads)
        x = graph.gelu(x, layers.gelu_slope)
        rows = graph.add("Transpose", [graph.add("Squeeze", [x, graph.constant(np.array([2]))])], perm=[0, 2, 1])
        graph.rows(rows, channels, f"active_{number}")
    flat = graph.add("Reshape", [rows, graph.constant(np.array([-1, len(layers.dense_kernel)]))])
    graph.add("Gemm", [flat, graph.constant(layers.dense_kernel), graph.constant(layers.dense_bias)], output="dense")
    graph.gelu("dense", layers.gelu_slope, output="peak_embedding")
    graph.outputs |= dict.fromkeys(("dense", "peak_embedding"), [None, layers.dense_bias.size])
    return graph.model({"sequence": (TensorProto.FLOAT, [None, layers.sequence_length, 4])})


def edit_graph(plan: EditPlan) -> onnx.ModelProto:
    """Graph from changes of the input, the reference's activations and indices to `peak_embedding` (edits, embedding size).

    Inputs are those of :func:`changes`, :func:`indices`, and the outputs of :func:`reference_graph`.
    """
    graph, layers = _Graph(), plan.layers
    inputs: dict[str, tuple[int, list[int | None]]] = {
        "change": (TensorProto.FLOAT, [None, 4 * len(layers.blocks[0].kernel)]),
        "dense": (TensorProto.FLOAT, [None, layers.dense_bias.size]),
        "reference": (TensorProto.INT64, [None]),
    }
    x = ""
    for number, level in enumerate(plan.levels):
        block = level.block
        if number == 0:
            changed = graph.add("MatMul", ["change", graph.constant(block.kernel.reshape(-1, block.bias.size))])
        else:
            changed = _convolve(graph, x, level)
        phases = []
        for phase in range(block.pool):
            kept, placed = f"kept_{number}_{phase}", f"placed_{number}_{phase}"
            inputs[kept] = (TensorProto.INT64, [level.n_windows, None])
            before = graph.add("Gather", [f"convolved_{number}", kept], axis=0)
            if not level.pointwise:
                inputs[placed] = (TensorProto.INT64, [level.n_windows, None])
                change = graph.add("Gather", [changed, placed], axis=0)
            else:
                shape = np.array([level.n_windows, -1, block.bias.size])
                change = graph.add("Reshape", [changed, graph.constant(shape)])
            phases.append(graph.add("Add", [before, change]))
        pooled = graph.add("Max", phases) if len(phases) > 1 else phases[0]
        inputs[f"active_index_{number}"] = (TensorProto.INT64, [level.n_windows, None])
        before = graph.add("Gather", [f"active_{number}", f"active_index_{number}"], axis=0)
        x = graph.add("Sub", [graph.gelu(pooled, layers.gelu_slope), before])
        for table in ("convolved", "active"):
            inputs[f"{table}_{number}"] = (TensorProto.FLOAT, [None, block.bias.size])
    kernel = layers.dense_kernel.reshape(layers.lengths[-1], -1, layers.dense_bias.size)
    products = graph.add("MatMul", [x, graph.constant(kernel)])
    change = graph.add("ReduceSum", [products, graph.constant(np.array([0]))], keepdims=0)
    dense = graph.add("Add", [graph.add("Gather", ["dense", "reference"], axis=0), change])
    graph.gelu(dense, layers.gelu_slope, output="peak_embedding")
    graph.outputs["peak_embedding"] = [None, layers.dense_bias.size]
    return graph.model(inputs)


def changes(layers: TrunkLayers, before: dna.Codes, after: dna.Codes) -> Array:
    """The change of the first convolution's input as it reads it, for edits of (edits, width) codes.

    Returns
    -------
    float32 array of shape ((changed outputs + 1) * edits, kernel width * 4); the last `edits` rows are zero
    """
    reach = len(layers.blocks[0].kernel) - 1
    inputs = dna.one_hot(np.arange(dna.N + 1, dtype=np.int8)).astype(np.float64)
    active = inputs / (1 + np.exp(-layers.gelu_slope * inputs))
    n_edits, width = before.shape
    change = np.zeros((n_edits, width + 2 * reach, 4), np.float32)
    change[:, reach : reach + width] = active[after] - active[before]
    n_outputs = width + reach
    read = np.lib.stride_tricks.sliding_window_view(change.reshape(n_edits, -1), 4 * (reach + 1), axis=1)[:, ::4]
    rows = np.zeros((n_outputs + 1, n_edits, 4 * (reach + 1)), np.float32)
    rows[:n_outputs] = read.transpose(1, 0, 2)
    return rows.reshape(-1, rows.shape[2])


def indices(plan: EditPlan, starts: Index, reference: Index) -> dict[str, Index]:
    """Rows that the graph of edits collects, by the name of its input.

    Parameters
    ----------
    starts : int64 array of shape (edits,)
        First base of each edit, in 0 .. length - width.
    reference : int64 array of shape (edits,)
        Number of its reference.
    """
    n_edits = len(starts)
    edit = np.arange(n_edits)
    found, start = {"reference": reference}, starts
    for number, level in enumerate(plan.levels):
        block = level.block
        first_output = start - len(block.kernel) // 2
        first_window = (first_output + block.pool_padding) // block.pool
        # A window moved back into the sequence still covers every change that lies inside it.
        start = first_window.clip(0, level.next_length - level.n_windows)
        windows = start + np.arange(level.n_windows)[:, None]
        for phase in range(block.pool):
            position = windows * block.pool - block.pool_padding + phase
            found[f"kept_{number}_{phase}"] = reference * (level.length + 2) + 1 + position.clip(-1, level.length)
            if not level.pointwise:
                row = position - first_output
                row[(row < 0) | (row >= level.n_outputs)] = level.n_outputs
                found[f"placed_{number}_{phase}"] = row * n_edits + edit
        found[f"active_index_{number}"] = reference * level.next_length + windows
    return found


def _convolve(graph: _Graph, x: str, level: Level) -> str:
    """The convolved change, ((outputs + 1) * edits, channels), of a change (positions, edits, channels)."""
    convolution, (_, n_in, n_out) = level.convolution, level.block.kernel.shape
    if level.pointwise:
        return graph.add("MatMul", [graph.rows(x, n_in), graph.constant(level.block.kernel[0])])
    # A convolution of a network is a correlation: its kernel is flipped.
    kernels = np.tensordot(convolution.kernel, level.block.kernel[::-1].astype(np.float64), 1)
    flat = graph.add("Reshape", [x, graph.constant(np.array([level.n_changed, -1]))])
    evaluated = graph.add("MatMul", [graph.constant(convolution.signal), flat])
    stacked = graph.add("Reshape", [evaluated, graph.constant(np.array([convolution.n_products, -1, n_in]))])
    products = graph.add("MatMul", [stacked, graph.constant(kernels)])
    flat = graph.add("Reshape", [products, graph.constant(np.array([len(convolution.signal), -1]))])
    with_zeros = np.vstack([convolution.output, np.zeros((1, len(convolution.signal)))])
    return graph.rows(graph.add("MatMul", [graph.constant(with_zeros), flat]), n_out)


@dataclass
class _Graph:
    """A graph under construction; names are given in the order of the nodes."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    outputs: dict[str, list[int | None]] = field(default_factory=dict)

    def add(self, op: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        output = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any) -> str:
        """A weight; floating-point ones become float32."""
        array = np.asarray(values)
        array = np.ascontiguousarray(array, dtype=np.float32 if array.dtype.kind == "f" else np.int64)
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array.reshape(np.shape(values)), name))
        return name

    def gelu(self, x: str, slope: float, output: str | None = None) -> str:
        gate = self.add("Sigmoid", [self.add("Mul", [x, self.constant(np.float32(slope))])])
        return self.add("Mul", [x, gate], output)

    def rows(self, x: str, channels: int, output: str | None = None) -> str:
        """`x` as rows of channels; with a name, an output of the graph."""
        if output:
            self.outputs[output] = [None, channels]
        return self.add("Reshape", [x, self.constant(np.array([-1, channels]))], output)

    def model(self, inputs: dict[str, tuple[int, list[int | None]]]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "mutations",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in self.outputs.items()],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
