"""The two ONNX graphs of the mutation engine: the activations of references, and the peak embeddings of edits.

A convolution is linear: the change of its output is the convolution of the change of its input. For an edit of `width` bases,
each block therefore

1. convolves the change of its input, at the few positions that changed, by :mod:`~scbasset_zoo.short_convolution`;
2. adds the result to the convolution of the reference, at the positions of the pooling windows that changed;
3. takes the maximum of each window, applies GELU and subtracts the reference's value: this is the change for the next block.

How many windows change depends on where an edit lies in the windows of the first pools: six positions cover five windows of two
if they start with a window, and six otherwise. So edits of one width have several plans, each for some starts. The edits of a
plan have the same number of changed windows, but these start at different positions, and at any phase of the pooling. Tensors
are (positions, places, edits of a place, channels), so that the transforms of step 1 are matrix products from the left. A place is
a start in a reference; where all have as many edits, such as the three substitutions of a base, these share the rows of the
reference. Step 2 gathers rows by index, which handles the phase: row `position * n_edits + edit` of the change, and row
`reference * (length + 2) + 1 + position` of the reference. The change has one more position, of zeros, for positions that did not
change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from scbasset_zoo.graph.graph_builder import GraphBuilder, value_info
from scbasset_zoo.graph.layers import Block, TrunkLayers, UnsupportedTrunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.short_convolution import ShortConvolution, short_convolution, supports

Array = NDArray[np.float32]
Index = NDArray[np.int64]

# The value beyond the ends of the sequence, where a pooling window may reach. Minus infinity would give NaN.
_OUTSIDE = -1e9
# Pools whose windows are counted for the start of an edit. Behind them, the number is the largest of all starts. With all pools
# there would be 13 graphs for edits of one base instead of 5, for 2 % fewer multiplications.
_COUNTED_POOLS = 3


@dataclass(frozen=True, eq=False)
class Level:
    """The sizes of one block for edits of one width.

    Parameters
    ----------
    block : Block
    length, next_length : int
        Number of positions of the block's input and output, for the whole sequence.
    n_changed : int
        Number of positions of the input that an edit may change.
    n_windows : int
        Number of pooling windows that are computed again.
    """

    block: Block
    length: int
    next_length: int
    n_changed: int
    n_windows: int

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the convolution that may change."""
        return self.n_changed + len(self.block.kernel) - 1

    @property
    def pointwise(self) -> bool:
        """True if each position of the output depends on one position of the input."""
        return len(self.block.kernel) == 1 and self.block.pool == 1 and self.n_windows == self.n_changed

    @property
    def convolution(self) -> ShortConvolution:
        """The convolution of the change with the kernel."""
        return short_convolution(self.n_changed, len(self.block.kernel))


@dataclass(frozen=True, eq=False)
class EditPlan:
    """The sizes of all blocks for edits of `width` bases, at some starts or at all of them."""

    layers: TrunkLayers
    width: int
    levels: tuple[Level, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The width, and the number of windows of each block that are computed again. Plans of the same sizes are the same."""
        return (self.width, *(level.n_windows for level in self.levels))

    @property
    def n_changed(self) -> dict[int, int]:
        """Of each block with a convolution of several positions after the first: the number of positions that change."""
        return {number: level.n_changed for number, level in enumerate(self.levels) if number and not level.pointwise}

    @property
    def multiplications(self) -> int:
        """Multiplications of one edit."""
        first, *rest = self.levels
        total = first.n_windows * first.block.pool * first.block.kernel.size + self.layers.dense_kernel.size
        for level in rest:
            _, n_in, n_out = level.block.kernel.shape
            total += len(level.convolution.signal) * (n_in * n_out + level.n_changed * n_in + level.n_outputs * n_out)
        return total

    @property
    def bytes_per_edit(self) -> int:
        """Working memory of one edit, in bytes."""
        first, *rest = self.levels
        sizes = [first.n_windows * first.block.pool * (4 * len(first.block.kernel) + 3 * first.block.kernel.shape[2])]
        for level in rest:
            _, n_in, n_out = level.block.kernel.shape
            sizes.append(len(level.convolution.signal) * (n_in + n_out) + 5 * level.n_outputs * n_out)
        return 4 * max(sizes)


def full_multiplications(layers: TrunkLayers) -> int:
    """Return the number of multiplications of a full pass."""
    convolutions = sum(length * block.kernel.size for length, block in zip(layers.lengths, layers.blocks, strict=False))
    return convolutions + layers.dense_kernel.size


def reference_bytes(layers: TrunkLayers) -> int:
    """Return the memory that the activations of one reference take, in bytes."""
    sizes = zip(layers.blocks, layers.lengths[:-1], layers.lengths[1:], strict=True)
    return 4 * sum(block.bias.size * (length + 2 + next_length) for block, length, next_length in sizes)


def start_period(layers: TrunkLayers) -> int:
    """Return after how many bases the plans of :func:`plan_edits` repeat."""
    return math.prod(block.pool for block in layers.blocks[:_COUNTED_POOLS])


def plan_edits(layers: TrunkLayers, width: int, start: int | None = None) -> EditPlan:
    """Return the sizes of all blocks for edits of `width` bases.

    Parameters
    ----------
    layers : TrunkLayers
    width : int
    start : int, optional
        The plan is for this start, and for those that :func:`start_period` or a multiple of it away. By default it is for all.

    Raises
    ------
    UnsupportedTrunk
        A convolution after the first one is too wide for :mod:`~scbasset_zoo.short_convolution`.
    """
    lengths, windows = layers.lengths, [width]
    for number, (block, next_length) in enumerate(zip(layers.blocks, lengths[1:], strict=True)):
        if number and not supports(len(block.kernel)):
            raise UnsupportedTrunk(f"Convolution {number} spans {len(block.kernel)} positions, more than are supported.")
        n_outputs = windows[-1] + len(block.kernel) - 1
        if start is None or number >= _COUNTED_POOLS:
            n_windows = (n_outputs + block.pool - 2) // block.pool + 1
        else:
            first_output = start - len(block.kernel) // 2 + block.pool_padding
            start = first_output // block.pool
            n_windows = (first_output + n_outputs - 1) // block.pool - start + 1
            if n_windows >= next_length:
                start = 0
        windows.append(min(n_windows, next_length))
    parts = zip(layers.blocks, lengths[:-1], lengths[1:], windows[:-1], windows[1:], strict=True)
    return EditPlan(layers, width, tuple(Level(*part) for part in parts))


def reference_graph(layers: TrunkLayers) -> onnx.ModelProto:
    """Return the graph that computes the activations of references from `sequence` (n, length, 4).

    The outputs of block i are `convolved_i` ((length + 2) * n, channels), with one more row before and after each sequence, and
    `active_i` (next length * n, channels), which is pooled and after GELU. The last outputs are `dense` and `peak_embedding`
    (n, embedding size), before and after the last GELU.
    """
    graph = GraphBuilder(layers.gelu_slope)
    outputs = []
    x = graph.node("Transpose", graph.gelu("sequence"), perm=[0, 2, 1])
    x = graph.node("Unsqueeze", x, graph.constant([2]))
    for number, (block, length, next_length) in enumerate(zip(layers.blocks, layers.lengths[:-1], layers.lengths[1:], strict=True)):
        width, channels = len(block.kernel), block.bias.size
        kernel = graph.constant(block.kernel.transpose(2, 1, 0)[:, :, None])
        pads = [0, (width - 1) // 2, 0, width // 2]
        x = graph.node("Conv", x, kernel, graph.constant(block.bias), kernel_shape=[1, width], pads=pads)
        rows = graph.node("Transpose", graph.node("Squeeze", x, graph.constant([2])), perm=[0, 2, 1])
        padded = graph.node("Pad", rows, graph.constant([0, 1, 0, 0, 1, 0]), graph.constant(_OUTSIDE))
        outputs.append(value_info(_rows(graph, padded, channels, f"convolved_{number}"), [None, channels]))
        if block.pool > 1:
            after = next_length * block.pool - length - block.pool_padding
            window, pads = [1, block.pool], [0, block.pool_padding, 0, after]
            x = graph.node("MaxPool", x, kernel_shape=window, strides=window, pads=pads)
        x = graph.gelu(x)
        rows = graph.node("Transpose", graph.node("Squeeze", x, graph.constant([2])), perm=[0, 2, 1])
        outputs.append(value_info(_rows(graph, rows, channels, f"active_{number}"), [None, channels]))
    flat = graph.node("Reshape", rows, graph.constant([-1, len(layers.dense_kernel)]))
    graph.node("Gemm", flat, graph.constant(layers.dense_kernel), graph.constant(layers.dense_bias), name="dense")
    graph.gelu("dense", name="peak_embedding")
    outputs += [value_info(name, [None, layers.dense_bias.size]) for name in ("dense", "peak_embedding")]
    return graph.model("reference", [value_info("sequence", [None, layers.sequence_length, 4])], outputs)


def edit_graph(plan: EditPlan) -> onnx.ModelProto:
    """Return the graph that computes `peak_embedding` (n_edits, embedding size) of edits.

    Its inputs are the results of :func:`edit_inputs` and the outputs of :func:`reference_graph`. There is also an input `kernels_i`
    for each block i of :attr:`EditPlan.n_changed`, the result of :func:`kernels`, so that graphs share them.
    """
    layers = plan.layers
    graph, inputs = GraphBuilder(layers.gelu_slope), []

    def input_of(name: str, *shape: int | None, kind: int = TensorProto.INT64) -> str:
        inputs.append(value_info(name, list(shape), kind))
        return name

    def change_of_phase(number: int, phase: int) -> str:
        """Return the change of the convolution's output at the positions of one phase, (windows, places, edits, channels)."""
        level = plan.levels[number]
        if number == 0:
            read = input_of(f"change_{phase}", level.n_windows, None, None, len(first_kernel), kind=TensorProto.FLOAT)
            return graph.node("MatMul", read, first)
        if number not in plan.n_changed:
            return graph.node("MatMul", x, graph.constant(level.block.kernel[0]))
        return graph.node("Gather", convolved, input_of(f"placed_{number}_{phase}", level.n_windows, None, None), axis=0)

    first_kernel = layers.blocks[0].kernel.reshape(-1, layers.blocks[0].bias.size)
    first = graph.constant(first_kernel)
    x = convolved = ""
    for number, level in enumerate(plan.levels):
        channels = level.block.bias.size
        if number in plan.n_changed:
            kernels = input_of(
                f"kernels_{number}", level.convolution.n_products, *level.block.kernel.shape[1:], kind=TensorProto.FLOAT
            )
            convolved = _convolve(graph, x, kernels, level)
        tables = [input_of(f"{table}_{number}", None, channels, kind=TensorProto.FLOAT) for table in ("convolved", "active")]
        phases = []
        for phase in range(level.block.pool):
            kept = input_of(f"kept_{number}_{phase}", level.n_windows, None, 1)
            phases.append(graph.node("Add", graph.node("Gather", tables[0], kept, axis=0), change_of_phase(number, phase)))
        pooled = graph.node("Max", *phases) if len(phases) > 1 else phases[0]
        active = graph.node("Gather", tables[1], input_of(f"active_index_{number}", level.n_windows, None, 1), axis=0)
        x = graph.node("Sub", graph.gelu(pooled), active)
    if level.n_windows < level.next_length:
        with_zeros = graph.node("Concat", _rows(graph, x, channels), graph.constant(np.zeros((1, channels))), axis=0)
        x = graph.node("Gather", with_zeros, input_of("placed_dense", level.next_length, None), axis=0)
    else:
        x = graph.node("Reshape", x, graph.constant([level.next_length, -1, channels]))
    kernel = layers.dense_kernel.reshape(layers.lengths[-1], -1, layers.dense_bias.size)
    products = graph.node("MatMul", x, graph.constant(kernel))
    change = graph.node("ReduceSum", products, graph.constant([0]), keepdims=0)
    before = graph.node(
        "Gather", input_of("dense", None, layers.dense_bias.size, kind=TensorProto.FLOAT), input_of("reference", None), axis=0
    )
    dense = graph.node("Add", before, change)
    graph.gelu(dense, name="peak_embedding")
    return graph.model("edits", inputs, [value_info("peak_embedding", [None, layers.dense_bias.size])])


def kernels(block: Block, n_changed: int) -> Array:
    """Return what the products of the convolution of a change take, float32 (products, channels in, channels out)."""
    # What networks call a convolution is a correlation, so the kernel is flipped.
    flipped = block.kernel[::-1].astype(np.float64)
    return np.tensordot(short_convolution(n_changed, len(block.kernel)).kernel, flipped, 1).astype(np.float32)


def edit_inputs(plan: EditPlan, starts: Index, reference: Index, before: dna.Codes, after: dna.Codes) -> dict[str, NDArray[Any]]:
    """Return what the graph of edits reads of the edits, by the name of its input: changed bases, and rows to gather.

    Parameters
    ----------
    plan : EditPlan
    starts : int64 array of shape (n_edits,)
        First base of each edit, in 0 .. length - width.
    reference : int64 array of shape (n_edits,)
        Position of its reference among the references.
    before, after : int8 codes of shape (n_edits, width)
        Bases of each window before and after the edit.
    """
    n_edits = len(starts)
    size = _edits_of_a_place(starts, reference)
    # Arrays are (windows, places, edits of a place).
    edit = np.arange(n_edits).reshape(-1, size)
    read = _read_by_first_convolution(plan.layers, before, after)
    inputs: dict[str, NDArray[Any]] = {"reference": reference}
    of_place = reference[::size, None]
    # The first position that changes, which may lie beyond the ends, and the first of the positions that are computed.
    first = start = starts[::size, None]
    for number, level in enumerate(plan.levels):
        block = level.block
        first_output = start - len(block.kernel) // 2
        whole = level.n_windows == level.next_length
        first = np.zeros_like(first) if whole else (first - len(block.kernel) // 2 + block.pool_padding) // block.pool
        # A window that is moved back into the sequence still covers all changes inside the sequence.
        start = first.clip(0, level.next_length - level.n_windows)
        windows = start + np.arange(level.n_windows)[:, None, None]
        for phase in range(block.pool):
            position = windows * block.pool - block.pool_padding + phase
            inputs[f"kept_{number}_{phase}"] = of_place * (level.length + 2) + 1 + position.clip(-1, level.length)
            row = position - first_output
            row[(row < 0) | (row >= level.n_outputs)] = level.n_outputs
            if number == 0:
                inputs[f"change_{phase}"] = read[edit, row]
            elif number in plan.n_changed:
                inputs[f"placed_{number}_{phase}"] = row * n_edits + edit
        inputs[f"active_index_{number}"] = of_place * level.next_length + windows
    row = np.arange(level.next_length)[:, None, None] - start
    placed = np.where((row >= 0) & (row < level.n_windows), row * n_edits + edit, level.n_windows * n_edits)
    inputs["placed_dense"] = placed.reshape(level.next_length, n_edits)
    return inputs


def _read_by_first_convolution(layers: TrunkLayers, before: dna.Codes, after: dna.Codes) -> Array:
    """Return what the first convolution reads of the change of its input, (n_edits, changed outputs + 1, kernel width * 4).

    The last row of each edit is zero.
    """
    reach = len(layers.blocks[0].kernel) - 1
    inputs = dna.one_hot(np.arange(dna.N + 1, dtype=np.int8)).astype(np.float64)
    active = inputs / (1 + np.exp(-layers.gelu_slope * inputs))
    n_edits, width = before.shape
    change = np.zeros((n_edits, width + 2 * reach + 1, 4), np.float32)
    change[:, reach : reach + width] = active[after] - active[before]
    return np.lib.stride_tricks.sliding_window_view(change.reshape(n_edits, -1), 4 * (reach + 1), axis=1)[:, ::4]


def _edits_of_a_place(starts: Index, reference: Index) -> int:
    """Return how many successive edits have the same start and reference, or 1 if this is not the same number for all places."""
    begins = np.flatnonzero(np.append(True, (np.diff(starts) != 0) | (np.diff(reference) != 0)))
    sizes = np.unique(np.diff(np.append(begins, len(starts))))
    return int(sizes[0]) if len(sizes) == 1 else 1


def _convolve(graph: GraphBuilder, x: str, kernels: str, level: Level) -> str:
    """Convolve a change (positions, edits, channels); the result has shape ((outputs + 1) * edits, channels)."""
    convolution, (_, n_in, n_out) = level.convolution, level.block.kernel.shape
    flat = graph.node("Reshape", x, graph.constant([level.n_changed, -1]))
    evaluated = graph.node("MatMul", graph.constant(convolution.signal), flat)
    stacked = graph.node("Reshape", evaluated, graph.constant([convolution.n_products, -1, n_in]))
    products = graph.node("MatMul", stacked, kernels)
    flat = graph.node("Reshape", products, graph.constant([len(convolution.signal), -1]))
    with_zeros = np.vstack([convolution.output, np.zeros((1, len(convolution.signal)))])
    return _rows(graph, graph.node("MatMul", graph.constant(with_zeros), flat), n_out)


def _rows(graph: GraphBuilder, x: str, channels: int, name: str | None = None) -> str:
    """Reshape `x` to rows of channels."""
    return graph.node("Reshape", x, graph.constant([-1, channels]), name=name)
