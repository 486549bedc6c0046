"""Reads the weights of a scBasset trunk from its ONNX graph, whichever exporter drew it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from scbasset_zoo.errors import ScbassetZooError

Array = NDArray[np.float32]


class UnsupportedTrunk(ScbassetZooError):
    """The graph computes something other than GELU, convolution and max pool blocks and one dense layer."""


@dataclass(frozen=True, eq=False)
class Block:
    """GELU, then a same-padded convolution, then a max pool whose stride is its width.

    Parameters
    ----------
    kernel : float32 array of shape (width, channels in, channels out)
    bias : float32 array of shape (channels out,)
    pool : int
        Width of the max pool; 1 for none.
    pool_padding : int
        Positions of -inf before the first one; 0 unless the length is no multiple of `pool`.
    """

    kernel: Array
    bias: Array
    pool: int = 1
    pool_padding: int = 0

    def pooled_length(self, length: int) -> int:
        """Positions after the max pool."""
        return -(-length // self.pool)


@dataclass(frozen=True, eq=False)
class TrunkLayers:
    """The trunk from `sequence` to `peak_embedding`.

    Parameters
    ----------
    sequence_length : int
        In bp.
    blocks : tuple of Block
    dense_kernel : float32 array of shape (positions * channels, embedding size)
        Rows in the order of positions, then channels.
    dense_bias : float32 array of shape (embedding size,)
    gelu_slope : float
        `a` in GELU, x * sigmoid(a x); it stands before each convolution, before and after the dense layer.
    """

    sequence_length: int
    blocks: tuple[Block, ...]
    dense_kernel: Array
    dense_bias: Array
    gelu_slope: float

    @property
    def lengths(self) -> tuple[int, ...]:
        """Positions that each block reads, then those that the dense layer reads."""
        lengths = [self.sequence_length]
        for block in self.blocks:
            lengths.append(block.pooled_length(lengths[-1]))
        return tuple(lengths)


def read_layers(trunk: onnx.ModelProto) -> TrunkLayers:
    """Weights of the network that a graph computes.

    Convolutions may be one- or two-dimensional, their bias inside or in an Add; the dense layer MatMul or Gemm; GELU is
    x * sigmoid(a x). Transposes, reshapes and computed shapes are followed wherever they stand.

    Parameters
    ----------
    trunk : onnx.ModelProto
        Input `sequence` (N, length, 4); `peak_embedding` is among the values that it computes.

    Raises
    ------
    UnsupportedTrunk
        The graph computes something else; the message names the node and what was found there.
    """
    return _Reader(trunk).read()


@dataclass(frozen=True)
class _Signal:
    """A tensor on the way: `index` says which position * channels + channel stands at each place of it, for a batch of one.

    `form` is what has been done to the value with number `source` on the way to its GELU.
    """

    index: NDArray[np.intp]
    channels: int
    source: int
    kind: str  # what computed it: sequence, gelu, conv, pool, dense
    form: str = "plain"  # then scaled (a x), gate (sigmoid(a x))
    slope: float = 1.0

    @property
    def length(self) -> int:
        return self.index.size // self.channels


@dataclass
class _Reader:
    trunk: onnx.ModelProto
    values: dict[str, Any] = field(default_factory=dict)  # constants as arrays, the rest as _Signal
    blocks: list[Block] = field(default_factory=list)
    dense: tuple[Array, Array] | None = None
    slopes: list[float] = field(default_factory=list)
    n_signals: int = 0
    node: onnx.NodeProto = field(default_factory=onnx.NodeProto)

    def read(self) -> TrunkLayers:
        graph = self.trunk.graph
        self.values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        length = self._sequence()
        for self.node in graph.node:
            self._step()
            if "peak_embedding" in self.node.output:
                break
        end = self.values.get("peak_embedding")
        if not isinstance(end, _Signal) or end.kind != "gelu" or end.index.ndim != 2 or self.dense is None:
            raise UnsupportedTrunk("peak_embedding must be the GELU of one dense layer, of shape (N, embedding size).")
        if not np.allclose(self.slopes, self.slopes[0]):
            raise UnsupportedTrunk(f"All GELUs must have one slope; found {sorted(set(self.slopes))}.")
        return TrunkLayers(length, tuple(self.blocks), *self.dense, gelu_slope=self.slopes[0])

    def _sequence(self) -> int:
        inputs = [value for value in self.trunk.graph.input if value.name not in self.values]
        shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inputs}
        if list(shapes) != ["sequence"] or len(shapes["sequence"]) != 3 or shapes["sequence"][1] < 1:
            raise UnsupportedTrunk(f"The one input must be 'sequence' of shape (N, length, 4); found {shapes}.")
        _, length, channels = shapes["sequence"]
        self.values["sequence"] = self._new_signal(length, channels, "sequence")
        return length

    def _new_signal(self, length: int, channels: int, kind: str) -> _Signal:
        """A new value, positions x channels."""
        self.n_signals += 1
        return _Signal(np.arange(length * channels).reshape(1, length, channels), channels, self.n_signals, kind)

    def _step(self) -> None:
        node = self.node
        missing = [name for name in node.input if name and name not in self.values]
        if missing:
            raise self._unsupported(f"reads {missing[0]}, which nothing computes")
        inputs = [self.values[name] if name else None for name in node.input]
        signals = [value for value in inputs if isinstance(value, _Signal)]
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if not signals:
            self.values.update(zip(node.output, self._constant(inputs), strict=False))
        else:
            rule = _RULES.get(node.op_type)
            if rule is None:
                raise self._unsupported("is not part of a scBasset trunk")
            self.values[node.output[0]] = rule(self, attributes, *inputs)

    def _constant(self, inputs: list[Any]) -> list[Any]:
        from onnx.reference import ReferenceEvaluator

        node = self.node
        fed = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        graph = helper.make_graph(
            [node],
            "constant",
            [helper.make_empty_tensor_value_info(name) for name in fed],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
        )
        model = helper.make_model(graph, opset_imports=list(self.trunk.opset_import), ir_version=self.trunk.ir_version)
        try:
            return ReferenceEvaluator(model).run(None, fed)
        except Exception as error:
            raise self._unsupported(f"cannot be evaluated: {error}") from error

    def _unsupported(self, what: str) -> UnsupportedTrunk:
        name = self.node.name or next(iter(self.node.output), "")
        return UnsupportedTrunk(f"Node {name!r} ({self.node.op_type}) {what}.")

    def _same(self, _: Mapping[str, Any], x: _Signal, *__: Any) -> _Signal:
        return x

    def _shape(self, attributes: Mapping[str, Any], x: _Signal) -> NDArray[np.int64]:
        return np.array(x.index.shape[attributes.get("start", 0) : attributes.get("end")], dtype=np.int64)

    def _transpose(self, attributes: Mapping[str, Any], x: _Signal) -> _Signal:
        return replace(x, index=x.index.transpose(attributes.get("perm")))

    def _reshape(self, attributes: Mapping[str, Any], x: _Signal, shape: Any) -> _Signal:
        target = [int(size) for size in shape]
        if not attributes.get("allowzero"):
            target = [x.index.shape[axis] if size == 0 else size for axis, size in enumerate(target)]
        return self._reshaped(x, target)

    def _flatten(self, attributes: Mapping[str, Any], x: _Signal) -> _Signal:
        axis = attributes.get("axis", 1)
        return self._reshaped(x, [int(np.prod(x.index.shape[:axis])), -1])

    def _squeeze(self, attributes: Mapping[str, Any], x: _Signal, axes: Any = None) -> _Signal:
        axes = attributes.get("axes") if axes is None else axes
        if axes is None:
            raise self._unsupported("must name its axes")
        return replace(x, index=np.squeeze(x.index, tuple(int(axis) for axis in axes)))

    def _unsqueeze(self, attributes: Mapping[str, Any], x: _Signal, axes: Any = None) -> _Signal:
        axes = attributes["axes"] if axes is None else axes
        return replace(x, index=np.expand_dims(x.index, tuple(int(axis) for axis in axes)))

    def _reshaped(self, x: _Signal, shape: list[int]) -> _Signal:
        try:
            index = x.index.reshape(shape)
        except ValueError as error:
            raise self._unsupported(f"cannot give shape {shape} to {x.index.shape}") from error
        if index.shape[0] != 1:
            raise self._unsupported(f"must keep the sequences of a batch apart; found shape {index.shape} for one")
        return replace(x, index=index)

    def _mul(self, _: Mapping[str, Any], a: Any, b: Any) -> _Signal:
        if not isinstance(a, _Signal):
            a, b = b, a
        if not isinstance(b, _Signal):
            if a.form != "plain" or np.size(b) != 1:
                raise self._unsupported("multiplies by a constant that is no slope of a GELU")
            return replace(a, form="scaled", slope=float(np.reshape(b, ())))
        x, gate = (a, b) if b.form == "gate" else (b, a)
        if x.form != "plain" or gate.form != "gate" or x.source != gate.source or not np.array_equal(x.index, gate.index):
            raise self._unsupported("multiplies two values that are not x and sigmoid(a x)")
        return self._gelu(x, gate.slope)

    def _sigmoid(self, _: Mapping[str, Any], x: _Signal) -> _Signal:
        if x.form == "gate":
            raise self._unsupported("is a sigmoid of a sigmoid")
        return replace(x, form="gate")

    def _quick_gelu(self, attributes: Mapping[str, Any], x: _Signal) -> _Signal:
        return self._gelu(x, attributes.get("alpha", 1.702))

    def _gelu(self, x: _Signal, slope: float) -> _Signal:
        if x.kind == "gelu":
            raise self._unsupported("is a second GELU in a row")
        self.slopes.append(slope)
        self.n_signals += 1
        return replace(x, source=self.n_signals, kind="gelu", form="plain", slope=1.0)

    def _conv(self, attributes: Mapping[str, Any], x: Any, weights: Any, bias: Any = None) -> _Signal:
        self._require(x, "gelu")
        spatial = self._channels_first(x)
        self._require_array(weights)
        length, n_out = x.length, weights.shape[0]
        kernel = np.squeeze(weights, tuple(axis + 2 for axis, size in enumerate(spatial) if axis != _long_axis(spatial)))
        width = kernel.shape[-1]
        pads = _along(spatial, attributes, width)
        plain = all(value == 1 for key in ("strides", "dilations") for value in attributes.get(key, [1]))
        if not plain or attributes.get("group", 1) != 1 or kernel.shape[1] != x.channels:
            raise self._unsupported("must be a plain convolution of stride 1 over all channels")
        if pads != ((width - 1) // 2, width // 2):
            raise self._unsupported(f"must be same-padded; found pads {pads} for a kernel of {width}")
        self.blocks.append(
            Block(
                np.ascontiguousarray(kernel.transpose(2, 1, 0)),
                np.zeros(n_out, np.float32) if bias is None else np.asarray(bias),
            )
        )
        return self._laid_out(self._new_signal(length, n_out, "conv"), spatial, length)

    def _pool(self, attributes: Mapping[str, Any], x: _Signal) -> _Signal:
        self._require(x, "conv")
        spatial = self._channels_first(x)
        axis = _long_axis(spatial)
        shape = [int(size) for size in attributes["kernel_shape"]]
        strides = list(attributes.get("strides", [1] * len(shape)))
        pool = shape[axis]
        others = [size for other, size in enumerate(shape) if other != axis]
        if strides[axis] != pool or any(size != 1 for size in others) or any(d != 1 for d in attributes.get("dilations", [1])):
            raise self._unsupported(f"must have a stride equal to its width; found {shape} and {strides}")
        length = -(-x.length // pool)
        missing = length * pool - x.length
        before, after = _along(spatial, attributes, pool, missing)
        if before + after < missing and not attributes.get("ceil_mode") or not 0 <= before < pool or before > missing:
            raise self._unsupported(f"must cover all {x.length} positions; found pads {(before, after)} for a width of {pool}")
        self.blocks[-1] = replace(self.blocks[-1], pool=pool, pool_padding=before)
        return self._laid_out(self._new_signal(length, x.channels, "pool"), spatial, length)

    def _add(self, _: Mapping[str, Any], a: Any, b: Any) -> _Signal:
        x, bias = (a, b) if isinstance(a, _Signal) else (b, a)
        if isinstance(bias, _Signal) or x.form != "plain" or x.kind not in ("conv", "pool", "dense"):
            raise self._unsupported("must add a bias to a convolution or the dense layer")
        try:
            everywhere = np.broadcast_to(bias, x.index.shape)
        except ValueError as error:
            raise self._unsupported(f"adds shape {np.shape(bias)} to {x.index.shape}") from error
        values = np.empty((x.length, x.channels), np.float32)
        values.reshape(-1)[x.index.reshape(-1)] = everywhere.reshape(-1)
        if (values != values[0]).any():
            raise self._unsupported("adds a bias that differs between positions")
        if x.kind == "dense":
            assert self.dense is not None
            self.dense = (self.dense[0], self.dense[1] + values[0])
        else:
            self.blocks[-1] = replace(self.blocks[-1], bias=self.blocks[-1].bias + values[0])
        self.n_signals += 1
        return replace(x, source=self.n_signals)

    def _matmul(self, _: Mapping[str, Any], x: Any, weights: Any) -> _Signal:
        self._require(x, "gelu")
        self._require_array(weights)
        if self.dense is not None or not self.blocks or x.index.ndim != 2 or weights.shape[0] != x.index.shape[1]:
            raise self._unsupported(f"must be one dense layer over all positions and channels; found {np.shape(weights)}")
        kernel = np.empty_like(weights)
        kernel[x.index[0]] = weights
        self.dense = (kernel, np.zeros(weights.shape[1], np.float32))
        return replace(self._new_signal(1, weights.shape[1], "dense"), index=np.arange(weights.shape[1])[None])

    def _gemm(self, attributes: Mapping[str, Any], x: Any, weights: Any, bias: Any = None) -> _Signal:
        if attributes.get("transA") or attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1:
            raise self._unsupported("must be a plain product")
        self._require_array(weights)
        product = self._matmul({}, x, weights.T if attributes.get("transB") else weights)
        return product if bias is None else self._add({}, product, bias)

    def _require(self, x: Any, kind: str) -> None:
        if not isinstance(x, _Signal) or x.kind != kind or x.form != "plain":
            raise self._unsupported(f"must read a {kind}; found {getattr(x, 'kind', 'a constant')}")

    def _require_array(self, weights: Any) -> None:
        if isinstance(weights, _Signal):
            raise self._unsupported("must have constant weights")

    def _channels_first(self, x: _Signal) -> tuple[int, ...]:
        """Sizes of the axes after the channels'."""
        wanted = np.arange(x.index.size).reshape(x.length, x.channels).T
        spatial = x.index.shape[2:]
        if x.index.shape[:2] != (1, x.channels) or not np.array_equal(x.index.reshape(x.channels, -1), wanted):
            raise self._unsupported(f"must read (N, channels, positions); found shape {x.index.shape} in another order")
        if not spatial or sum(size > 1 for size in spatial) > 1:
            raise self._unsupported(f"must have one axis of positions; found {spatial}")
        return spatial

    def _laid_out(self, x: _Signal, spatial: tuple[int, ...], length: int) -> _Signal:
        """`x`, channels first, with the positions on the axis that had them."""
        shape = [length if axis == _long_axis(spatial) else 1 for axis in range(len(spatial))]
        return replace(x, index=x.index.transpose(0, 2, 1).reshape(1, x.channels, *shape))


def _long_axis(spatial: tuple[int, ...]) -> int:
    """The axis of the positions; the last one when there is a single position."""
    return len(spatial) - 1 - int(np.argmax(spatial[::-1]))


def _along(spatial: tuple[int, ...], attributes: Mapping[str, Any], width: int, total: int | None = None) -> tuple[int, int]:
    """Padding before and after the positions; `total` is what "same" padding adds (width - 1 for a convolution)."""
    auto = attributes.get("auto_pad", b"NOTSET")
    total = width - 1 if total is None else total
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        small, large = total // 2, total - total // 2
        return (small, large) if auto == b"SAME_UPPER" else (large, small)
    pads, axis = attributes.get("pads", [0] * (2 * len(spatial))), _long_axis(spatial)
    return int(pads[axis]), int(pads[axis + len(spatial)])


_RULES: dict[str, Callable[..., Any]] = {
    "Identity": _Reader._same,
    "Dropout": _Reader._same,
    "Shape": _Reader._shape,
    "Transpose": _Reader._transpose,
    "Reshape": _Reader._reshape,
    "Flatten": _Reader._flatten,
    "Squeeze": _Reader._squeeze,
    "Unsqueeze": _Reader._unsqueeze,
    "Mul": _Reader._mul,
    "Sigmoid": _Reader._sigmoid,
    "QuickGelu": _Reader._quick_gelu,
    "Conv": _Reader._conv,
    "MaxPool": _Reader._pool,
    "Add": _Reader._add,
    "MatMul": _Reader._matmul,
    "Gemm": _Reader._gemm,
}
