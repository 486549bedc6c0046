"""Rounding to a few bits is that of float16 and bfloat16, and a graph that rounds gives what numpy gives."""

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from helpers.trunks import draw_trunk
from onnx import TensorProto, helper, numpy_helper

from benchmarks.rounding import rounded, with_rounded_factors, with_rounded_values


@pytest.mark.parametrize(("bits", "kind"), [(11, np.float16), (8, ml_dtypes.bfloat16)])
def test_numbers_are_rounded_as_by_numpy(bits, kind):
    values = np.random.default_rng(0).normal(size=2_000).astype(np.float32) * 3
    np.testing.assert_array_equal(rounded(values, bits), values.astype(kind).astype(np.float32))


def product(weights):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, n]) for name, n in (("x", 4), ("y", weights.shape[1])))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "product", [x], [y], [numpy_helper.from_array(weights, "w")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def run(model, **inputs):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def test_factors_are_rounded_and_sums_are_not():
    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    expected = x.astype(ml_dtypes.bfloat16).astype(np.float32) @ weights.astype(ml_dtypes.bfloat16).astype(np.float32)
    got = run(with_rounded_factors(product(weights), 8), x=x)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert np.abs(got - x @ weights).max() > 1e-3


def test_fewer_bits_and_more_roundings_change_more():
    trunk = draw_trunk()
    sequence = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, (8, 61))]
    exact = run(trunk, sequence=sequence)

    def error(model):
        return np.sqrt(np.mean((run(model, sequence=sequence) - exact) ** 2))

    errors = [
        error(with_rounded_factors(trunk, 24 - 8)),
        error(with_rounded_factors(trunk, 11)),
        error(with_rounded_values(trunk, 8)),
    ]
    assert 0 < errors[0] < errors[1] < errors[2] < 0.1
