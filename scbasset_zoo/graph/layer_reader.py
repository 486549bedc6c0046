"""Reads the layers of a scBasset trunk from its ONNX graph, whichever exporter wrote the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from scbasset_zoo.graph.layers import Array, Block, TrunkLayers, UnsupportedTrunk


def read_layers(trunk: onnx.ModelProto) -> TrunkLayers:
    """Read the layers of the network that a graph computes.

    Exporters write the same network in different ways. Convolutions may be one- or two-dimensional. Their bias may be a part
    of the convolution or an Add. The dense layer may be MatMul or Gemm. GELU must be x * sigmoid(a x). Transposes, reshapes
    and computed shapes may be anywhere.

    Parameters
    ----------
    trunk : onnx.ModelProto
        A graph that computes `peak_embedding` from `sequence` (N, length, 4).

    Raises
    ------
    UnsupportedTrunk
        The graph computes something else. The message names the node and what is wrong with it.
    """
    return _Reader(trunk).read()


@dataclass(frozen=True)
class _Activation:
    """A tensor of positions x channels, in any order of axes.

    Parameters
    ----------
    index : array
        Has the shape of the tensor, for a batch of one sequence. Each element is position * channels + channel.
    channels : int
    source : int
        Number of the value that a layer computed. Transposes and reshapes, and the steps of a GELU, keep it.
    kind : str
        What computed the value: "sequence" (the input), "gelu", "conv", "pool" or "dense".
    form : str
        How far a GELU of the value x is computed: "plain" is x itself, "scaled" is a x, "gate" is sigmoid(a x).
    slope : float
        `a`, where the form is "scaled" or "gate".
    """

    index: NDArray[np.intp]
    channels: int
    source: int
    kind: str
    form: str = "plain"
    slope: float = 1.0

    @property
    def length(self) -> int:
        return self.index.size // self.channels


@dataclass
class _Reader:
    """Follows the nodes of a graph in order and collects the layers that they form."""

    trunk: onnx.ModelProto
    values: dict[str, Any] = field(default_factory=dict)  # constants as arrays, activations as _Activation
    blocks: list[Block] = field(default_factory=list)
    dense: tuple[Array, Array] | None = None
    slopes: list[float] = field(default_factory=list)
    n_values: int = 0
    node: onnx.NodeProto = field(default_factory=onnx.NodeProto)

    def read(self) -> TrunkLayers:
        graph = self.trunk.graph
        self.values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        length = self._read_input()
        for self.node in graph.node:
            self._read_node()
            if "peak_embedding" in self.node.output:
                break
        end = self.values.get("peak_embedding")
        if not isinstance(end, _Activation) or end.kind != "gelu" or end.index.ndim != 2 or self.dense is None:
            raise UnsupportedTrunk("peak_embedding must be the GELU of one dense layer, of shape (N, embedding size).")
        if not np.allclose(self.slopes, self.slopes[0]):
            raise UnsupportedTrunk(f"All GELUs must have one slope; found {sorted(set(self.slopes))}.")
        return TrunkLayers(length, tuple(self.blocks), *self.dense, gelu_slope=self.slopes[0])

    def _read_input(self) -> int:
        """Check the input and return the length of the sequence."""
        inputs = [value for value in self.trunk.graph.input if value.name not in self.values]
        shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inputs}
        if list(shapes) != ["sequence"] or len(shapes["sequence"]) != 3 or shapes["sequence"][1] < 1:
            raise UnsupportedTrunk(f"The one input must be 'sequence' of shape (N, length, 4); found {shapes}.")
        _, length, channels = shapes["sequence"]
        self.values["sequence"] = self._new_value(length, channels, "sequence")
        return length

    def _new_value(self, length: int, channels: int, kind: str) -> _Activation:
        """Return a value that a layer computes, in the order of axes (1, positions, channels)."""
        self.n_values += 1
        return _Activation(np.arange(length * channels).reshape(1, length, channels), channels, self.n_values, kind)

    def _read_node(self) -> None:
        """Compute the outputs of the current node: of constants by running it, of activations by the rule for its operator."""
        node = self.node
        missing = [name for name in node.input if name and name not in self.values]
        if missing:
            raise self._unsupported(f"reads {missing[0]}, which nothing computes")
        inputs = [self.values[name] if name else None for name in node.input]
        activations = [value for value in inputs if isinstance(value, _Activation)]
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if not activations:
            self.values.update(zip(node.output, self._computed_constants(inputs), strict=False))
        else:
            rule = _RULES.get(node.op_type)
            if rule is None:
                raise self._unsupported("is not part of a scBasset trunk")
            self.values[node.output[0]] = rule(self, attributes, *inputs)

    def _computed_constants(self, inputs: list[Any]) -> list[Any]:
        """Return the outputs of a node that reads constants only."""
        from onnx.reference import ReferenceEvaluator

        node = self.node
        feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        graph = helper.make_graph(
            [node],
            "constant",
            [helper.make_empty_tensor_value_info(name) for name in feeds],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
        )
        model = helper.make_model(graph, opset_imports=list(self.trunk.opset_import), ir_version=self.trunk.ir_version)
        try:
            return ReferenceEvaluator(model).run(None, feeds)
        except Exception as error:
            raise self._unsupported(f"cannot be evaluated: {error}") from error

    def _unsupported(self, problem: str) -> UnsupportedTrunk:
        name = self.node.name or next(iter(self.node.output), "")
        return UnsupportedTrunk(f"Node {name!r} ({self.node.op_type}) {problem}.")

    def _same(self, _: Mapping[str, Any], x: _Activation, *__: Any) -> _Activation:
        return x

    def _shape(self, attributes: Mapping[str, Any], x: _Activation) -> NDArray[np.int64]:
        return np.array(x.index.shape[attributes.get("start", 0) : attributes.get("end")], dtype=np.int64)

    def _transpose(self, attributes: Mapping[str, Any], x: _Activation) -> _Activation:
        return replace(x, index=x.index.transpose(attributes.get("perm")))

    def _reshape(self, attributes: Mapping[str, Any], x: _Activation, shape: Any) -> _Activation:
        target = [int(size) for size in shape]
        if not attributes.get("allowzero"):
            target = [x.index.shape[axis] if size == 0 else size for axis, size in enumerate(target)]
        return self._reshaped(x, target)

    def _flatten(self, attributes: Mapping[str, Any], x: _Activation) -> _Activation:
        axis = attributes.get("axis", 1)
        return self._reshaped(x, [int(np.prod(x.index.shape[:axis])), -1])

    def _squeeze(self, attributes: Mapping[str, Any], x: _Activation, axes: Any = None) -> _Activation:
        axes = attributes.get("axes") if axes is None else axes
        if axes is None:
            raise self._unsupported("must name its axes")
        return replace(x, index=np.squeeze(x.index, tuple(int(axis) for axis in axes)))

    def _unsqueeze(self, attributes: Mapping[str, Any], x: _Activation, axes: Any = None) -> _Activation:
        axes = attributes["axes"] if axes is None else axes
        return replace(x, index=np.expand_dims(x.index, tuple(int(axis) for axis in axes)))

    def _reshaped(self, x: _Activation, shape: list[int]) -> _Activation:
        try:
            index = x.index.reshape(shape)
        except ValueError as error:
            raise self._unsupported(f"cannot give shape {shape} to {x.index.shape}") from error
        if index.shape[0] != 1:
            raise self._unsupported(f"must keep the sequences of a batch apart; found shape {index.shape} for one sequence")
        return replace(x, index=index)

    def _mul(self, _: Mapping[str, Any], a: Any, b: Any) -> _Activation:
        if not isinstance(a, _Activation):
            a, b = b, a
        if not isinstance(b, _Activation):
            if a.form != "plain" or np.size(b) != 1:
                raise self._unsupported("multiplies by a constant that is no slope of a GELU")
            return replace(a, form="scaled", slope=float(np.reshape(b, ())))
        x, gate = (a, b) if b.form == "gate" else (b, a)
        if x.form != "plain" or gate.form != "gate" or x.source != gate.source or not np.array_equal(x.index, gate.index):
            raise self._unsupported("multiplies two values that are not x and sigmoid(a x)")
        return self._gelu(x, gate.slope)

    def _sigmoid(self, _: Mapping[str, Any], x: _Activation) -> _Activation:
        if x.form == "gate":
            raise self._unsupported("is a sigmoid of a sigmoid")
        return replace(x, form="gate")

    def _quick_gelu(self, attributes: Mapping[str, Any], x: _Activation) -> _Activation:
        return self._gelu(x, attributes.get("alpha", 1.702))

    def _gelu(self, x: _Activation, slope: float) -> _Activation:
        if x.kind == "gelu":
            raise self._unsupported("is a second GELU in a row")
        self.slopes.append(slope)
        self.n_values += 1
        return replace(x, source=self.n_values, kind="gelu", form="plain", slope=1.0)

    def _conv(self, attributes: Mapping[str, Any], x: Any, weights: Any, bias: Any = None) -> _Activation:
        self._require(x, "gelu")
        spatial = self._channels_first(x)
        self._require_array(weights)
        length, n_out = x.length, weights.shape[0]
        kernel = np.squeeze(weights, tuple(axis + 2 for axis, size in enumerate(spatial) if axis != _long_axis(spatial)))
        width = kernel.shape[-1]
        pads = _padding(spatial, attributes, width)
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
        return self._in_layout(self._new_value(length, n_out, "conv"), spatial, length)

    def _pool(self, attributes: Mapping[str, Any], x: _Activation) -> _Activation:
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
        before, after = _padding(spatial, attributes, pool, missing)
        if before + after < missing and not attributes.get("ceil_mode") or not 0 <= before < pool or before > missing:
            raise self._unsupported(f"must cover all {x.length} positions; found pads {(before, after)} for a width of {pool}")
        self.blocks[-1] = replace(self.blocks[-1], pool=pool, pool_padding=before)
        return self._in_layout(self._new_value(length, x.channels, "pool"), spatial, length)

    def _add(self, _: Mapping[str, Any], a: Any, b: Any) -> _Activation:
        x, bias = (a, b) if isinstance(a, _Activation) else (b, a)
        if isinstance(bias, _Activation) or x.form != "plain" or x.kind not in ("conv", "pool", "dense"):
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
        self.n_values += 1
        return replace(x, source=self.n_values)

    def _matmul(self, _: Mapping[str, Any], x: Any, weights: Any) -> _Activation:
        self._require(x, "gelu")
        self._require_array(weights)
        if self.dense is not None or not self.blocks or x.index.ndim != 2 or weights.shape[0] != x.index.shape[1]:
            raise self._unsupported(f"must be one dense layer over all positions and channels; found {np.shape(weights)}")
        kernel = np.empty_like(weights)
        kernel[x.index[0]] = weights
        self.dense = (kernel, np.zeros(weights.shape[1], np.float32))
        return replace(self._new_value(1, weights.shape[1], "dense"), index=np.arange(weights.shape[1])[None])

    def _gemm(self, attributes: Mapping[str, Any], x: Any, weights: Any, bias: Any = None) -> _Activation:
        if attributes.get("transA") or attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1:
            raise self._unsupported("must be a plain product")
        self._require_array(weights)
        product = self._matmul({}, x, weights.T if attributes.get("transB") else weights)
        return product if bias is None else self._add({}, product, bias)

    def _require(self, x: Any, kind: str) -> None:
        if not isinstance(x, _Activation) or x.kind != kind or x.form != "plain":
            raise self._unsupported(f"must read a {kind}; found {getattr(x, 'kind', 'a constant')}")

    def _require_array(self, weights: Any) -> None:
        if isinstance(weights, _Activation):
            raise self._unsupported("must have constant weights")

    def _channels_first(self, x: _Activation) -> tuple[int, ...]:
        """Check that the axes are (1, channels, positions) and return the sizes of the axes of positions."""
        expected = np.arange(x.index.size).reshape(x.length, x.channels).T
        spatial = x.index.shape[2:]
        if x.index.shape[:2] != (1, x.channels) or not np.array_equal(x.index.reshape(x.channels, -1), expected):
            raise self._unsupported(f"must read (N, channels, positions); found shape {x.index.shape} in another order")
        if not spatial or sum(size > 1 for size in spatial) > 1:
            raise self._unsupported(f"must have one axis of positions; found {spatial}")
        return spatial

    def _in_layout(self, x: _Activation, spatial: tuple[int, ...], length: int) -> _Activation:
        """Return `x` with channels first and with its positions on the axis where the node's input had them."""
        shape = [length if axis == _long_axis(spatial) else 1 for axis in range(len(spatial))]
        return replace(x, index=x.index.transpose(0, 2, 1).reshape(1, x.channels, *shape))


def _long_axis(spatial: tuple[int, ...]) -> int:
    """Return the axis of the positions: the only one longer than 1, or else the last one."""
    return len(spatial) - 1 - int(np.argmax(spatial[::-1]))


def _padding(spatial: tuple[int, ...], attributes: Mapping[str, Any], width: int, total: int | None = None) -> tuple[int, int]:
    """Return the padding before and after the positions.

    `total` is the padding that an `auto_pad` of "same" adds. It is width - 1 unless given.
    """
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
