"""ONNX Runtime's providers for NVIDIA GPUs: options for each precision, CUDA graphs, and whether TensorRT can be used."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

Provider = tuple[str, dict[str, str]]

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
CUDA_PRECISIONS = ("float32", "tf32", "float16")
# TensorRT rounds float32 factors to TF32, and ONNX Runtime has no option that stops this, so float32 is not among them.
TENSORRT_PRECISIONS = ("tf32", "float16", "bfloat16")
# The libraries that ONNX Runtime 1.2x and 1.3x link to. TensorRT 11 has others.
_TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvonnxparser.so.10")
INSTALL_TENSORRT = "pip install 'tensorrt-cu13>=10.13,<11' (tensorrt-cu12 for an ONNX Runtime of CUDA 12)"


def cuda_provider(precision: str = "float32") -> Provider:
    """Return the CUDA provider and its options.

    Parameters
    ----------
    precision : "float32", "tf32" or "float16"
        TF32 rounds the factors of each product of float32 numbers to 11 bits, and adds the products in float32. For float16 the
        graph itself is converted (:func:`scbasset_zoo.graph.half_precision.in_float16`), so the options are those of float32.
    """
    # The default search would time every convolution again for each new batch size; the heuristic one does not.
    return CUDA, {"use_tf32": "1" if precision == "tf32" else "0", "cudnn_conv_algo_search": "HEURISTIC"}


def tensorrt_provider(precision: str, cache: Path) -> Provider:
    """Return the TensorRT provider and its options.

    Parameters
    ----------
    precision : "tf32", "float16" or "bfloat16"
        For float16 and bfloat16, TensorRT chooses for each layer between this precision and TF32, whichever is faster.
    cache : Path
        An existing folder. It keeps what TensorRT makes of a graph, which takes up to minutes, for the next time.
    """
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": "1" if precision == "float16" else "0",
        "trt_bf16_enable": "1" if precision == "bfloat16" else "0",
        # Engines of several precisions lie in the same folder.
        "trt_engine_cache_prefix": precision,
    }
    return TENSORRT, options


def with_cuda_graphs(provider: Provider) -> Provider:
    """Return a provider that records its work as a CUDA graph in the first run, and replays it in later ones.

    All inputs and outputs must lie at the same addresses of the GPU in each run, and have the same shapes
    (:class:`scbasset_zoo.runtime.fixed_batches.FixedBatches`).
    """
    name, options = provider
    if name == TENSORRT:
        return name, options | {"trt_cuda_graph_enable": "1"}
    # There is one shape, so the algorithms of the convolutions are timed once.
    return name, options | {"enable_cuda_graph": "1", "cudnn_conv_algo_search": "EXHAUSTIVE"}


def tensorrt_problem(onnxruntime: Any) -> str | None:
    """Return why TensorRT cannot be used, or None if ONNX Runtime has its provider and its libraries load.

    The libraries stay loaded, since ONNX Runtime finds those of a Python package in no other way.
    """
    if TENSORRT not in onnxruntime.get_available_providers():
        return "the installed ONNX Runtime has no TensorRT provider"
    spec = importlib.util.find_spec("tensorrt_libs")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    for library in _TENSORRT_LIBRARIES:
        paths = [str(folder / library) for folder in folders if (folder / library).exists()]
        try:
            ctypes.CDLL(paths[0] if paths else library, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            return f"its library {library} cannot be loaded ({error}); {INSTALL_TENSORRT} brings it"
    return None
