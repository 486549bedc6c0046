"""Options of NVIDIA's providers: no precision is used that was not requested."""

import onnxruntime
import pytest

from scbasset_zoo.runtime import nvidia


@pytest.mark.parametrize(("precision", "tf32"), [("float32", "0"), ("tf32", "1"), ("float16", "0")])
def test_cuda_uses_tf32_only_if_requested(precision, tf32):
    name, options = nvidia.cuda_provider(precision)
    assert name == "CUDAExecutionProvider"
    assert options["use_tf32"] == tf32


def test_float32_is_no_precision_of_tensorrt():
    assert "float32" not in nvidia.TENSORRT_PRECISIONS


@pytest.mark.parametrize(("precision", "float16", "bfloat16"), [("tf32", "0", "0"), ("float16", "1", "0"), ("bfloat16", "0", "1")])
def test_engines_of_each_precision_are_kept_apart_in_the_cache(tmp_path, precision, float16, bfloat16):
    _, options = nvidia.tensorrt_provider(precision, tmp_path)
    assert (options["trt_fp16_enable"], options["trt_bf16_enable"]) == (float16, bfloat16)
    assert options["trt_engine_cache_path"] == str(tmp_path)
    assert precision in options["trt_engine_cache_prefix"]


def test_a_cuda_graph_is_an_option_of_each_provider(tmp_path):
    assert nvidia.with_cuda_graphs(nvidia.cuda_provider())[1]["enable_cuda_graph"] == "1"
    assert nvidia.with_cuda_graphs(nvidia.tensorrt_provider("tf32", tmp_path))[1]["trt_cuda_graph_enable"] == "1"
    assert "enable_cuda_graph" not in nvidia.cuda_provider()[1]


def test_tensorrt_that_cannot_be_loaded_says_what_to_install(monkeypatch):
    def missing(name, mode=0):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(nvidia.ctypes, "CDLL", missing)
    problem = nvidia.tensorrt_problem(onnxruntime)
    if nvidia.TENSORRT in onnxruntime.get_available_providers():
        assert "libnvinfer.so.10 cannot be loaded" in problem
        assert "tensorrt-cu13" in problem
    else:
        assert problem == "the installed ONNX Runtime has no TensorRT provider"
