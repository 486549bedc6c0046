"""scBasset trunks with random weights, of any length and width, written as different exporters write them."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

# Channels, kernel and pool of each block. Lengths are no multiples of the pools, and the last block only mixes channels.
SMALL = ((6, 7, 3), (5, 5, 2), (7, 5, 2), (4, 1, 1))


def draw_trunk(
    length=61,
    blocks=SMALL,
    embedding_size=3,
    seed=0,
    *,
    rank=4,
    row_axis=2,
    channels_last=False,
    bias="conv",
    pads="explicit",
    gelu="x first",
    dense="matmul",
    flatten="positions first",
    shape="constant",
    scale=1.7,
):
    """Return a trunk as an ONNX model. Keywords choose among the ways in which exporters write the same network."""
    draw = _Graph(np.random.default_rng(seed))
    x = "sequence"
    if channels_last and rank == 4:
        x = draw.node("Unsqueeze", x, draw.weight([row_axis - 1]))
    x = draw.gelu(x, gelu)
    if not channels_last:
        x = draw.to_channels_first(x, rank, row_axis)
    n_in, n = 4, length
    for n_out, width, pool in blocks:
        if n_in != 4:
            x = draw.gelu(x, gelu)
        if channels_last:
            x = draw.swap(x, rank, first=True)
        spatial = (lambda k: [k]) if rank == 3 else ((lambda k: [1, k]) if row_axis == 2 else (lambda k: [k, 1]))
        kernel = draw.weight(draw.normal((n_out, n_in, *spatial(width)), scale / np.sqrt(n_in * width)))
        values = draw.normal(n_out, 0.2)
        inputs = [x, kernel, draw.weight(values)] if bias == "conv" else [x, kernel]
        before, after = (width - 1) // 2, width // 2
        x = draw.node("Conv", *inputs, kernel_shape=spatial(width), **_padding(pads, spatial, before, after))
        if bias == "add":
            x = draw.node("Add", draw.weight(values.reshape(-1, *[1] * (rank - 2))), x)
        if pool > 1:
            missing = -n % pool
            padding = _padding(pads, spatial, missing // 2, missing - missing // 2)
            if pads == "ceil":
                padding = {"ceil_mode": 1}
            x = draw.node("MaxPool", x, kernel_shape=spatial(pool), strides=spatial(pool), **padding)
        if bias == "after pool":
            x = draw.node("Add", x, draw.weight(values.reshape(-1, *[1] * (rank - 2))))
        if channels_last:
            x = draw.swap(x, rank, first=False)
        n_in, n = n_out, -(-n // pool)
    x = draw.gelu(x, gelu)
    if not channels_last and flatten == "positions first":
        x = draw.swap(x, rank, first=False)
    x = draw.flat(x, n * n_in, shape)
    kernel, values = draw.normal((n * n_in, embedding_size), 1 / np.sqrt(n * n_in)), draw.normal(embedding_size, 0.2)
    if dense == "gemm":
        x = draw.node("Gemm", x, draw.weight(kernel.T), draw.weight(values), transB=1)
    else:
        x = draw.node("Add", draw.node("MatMul", x, draw.weight(kernel)), draw.weight(values))
    draw.gelu(x, gelu, output="peak_embedding")
    return draw.model(length, embedding_size)


def edit_node(model, op_type, change, number=0):
    """Apply `change` to one of the model's nodes of a type, and return the model."""
    change([node for node in model.graph.node if node.op_type == op_type][number])
    return model


class _Graph:
    def __init__(self, rng):
        self.rng, self.nodes, self.weights = rng, [], []

    def node(self, op, *inputs, output=None, **attributes):
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=f"{op}_{len(self.nodes)}", **attributes))
        return output

    def weight(self, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values), f"weight_{len(self.weights)}"))
        return self.weights[-1].name

    def normal(self, shape, scale):
        return (self.rng.normal(size=shape) * scale).astype(np.float32)

    def gelu(self, x, how, output=None):
        slope = self.weight(np.float32(1.702))
        scaled = self.node("Mul", x, slope) if how == "x first" else self.node("Mul", slope, x)
        gate = self.node("Sigmoid", scaled)
        return self.node("Mul", *((x, gate) if how == "x first" else (gate, x)), output=output)

    def to_channels_first(self, x, rank, row_axis):
        if rank == 3:
            return self.node("Transpose", x, perm=[0, 2, 1])
        x = self.node("Unsqueeze", x, self.weight([row_axis - 1]))
        return self.node("Transpose", x, perm=[0, 3, 1, 2])

    def swap(self, x, rank, first):
        perm = {(3, True): [0, 2, 1], (3, False): [0, 2, 1], (4, True): [0, 3, 1, 2], (4, False): [0, 2, 3, 1]}
        return self.node("Transpose", x, perm=perm[rank, first])

    def flat(self, x, size, shape):
        if shape == "flatten":
            return self.node("Flatten", x, axis=1)
        if shape == "computed":
            batch = self.node("Slice", self.node("Shape", x), *(self.weight([value]) for value in (0, 1)))
            return self.node("Reshape", x, self.node("Concat", batch, self.weight([-1]), axis=0))
        return self.node("Reshape", x, self.weight([-1, size]))

    def model(self, length, embedding_size):
        graph = helper.make_graph(
            self.nodes,
            "trunk",
            [helper.make_tensor_value_info("sequence", TensorProto.FLOAT, ["N", length, 4])],
            [helper.make_tensor_value_info("peak_embedding", TensorProto.FLOAT, ["N", embedding_size])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _padding(how, spatial, before, after):
    if how == "same":
        return {"auto_pad": "SAME_UPPER"}
    return {"pads": [0 if size == 1 else before for size in spatial(2)] + [0 if size == 1 else after for size in spatial(2)]}
