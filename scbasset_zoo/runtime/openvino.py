"""OpenVINO's provider, a plugin of ONNX Runtime: whether it can be used, and its sessions."""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec
from typing import Any

from scbasset_zoo.graph.activations import with_scaled_gelu
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.runtime.processor import bfloat16_instructions
from scbasset_zoo.wording import install_command

OPENVINO = "OpenVINOExecutionProvider"
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_REGISTERED_AS = "scbasset_zoo_openvino"


def openvino_problem(precision: str = "float32") -> str | None:
    """Return why OpenVINO cannot be used in a precision, or None if it can."""
    if find_spec("onnxruntime_ep_openvino") is None:
        return f"OpenVINO's provider is not installed; {install_command('openvino')} brings it"
    if precision == "bfloat16" and not bfloat16_instructions():
        return "the processor has no bfloat16 instructions"
    try:
        _processor()
    except LookupError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  ONNX Runtime's own errors share no base but Exception
        return f"ONNX Runtime cannot load OpenVINO's provider: {str(error).splitlines()[0][:300]}"
    return None


def openvino_session(model: bytes, options: Any, precision: str, threads: int) -> Any:
    """Open an `onnxruntime.InferenceSession` on OpenVINO's CPU device.

    Parameters
    ----------
    model : bytes
        A serialised graph; its GELU is rewritten, see :mod:`scbasset_zoo.graph.activations`.
    options : onnxruntime.SessionOptions
        Changed in place.
    precision : "float32" or "bfloat16"
        OpenVINO itself takes bfloat16 where the processor has it, so that float32 is named too.
    threads : int
    """
    import onnx

    proto = onnx.ModelProto.FromString(model)
    config = {"CPU": {"INFERENCE_PRECISION_HINT": _HINTS[precision], "INFERENCE_NUM_THREADS": str(threads)}}
    options.add_provider_for_devices([_processor()], {"load_config": json.dumps(config)})
    return import_onnxruntime().InferenceSession(with_scaled_gelu(proto).SerializeToString(), options)


def _processor() -> Any:
    """Return the provider's CPU device.

    Raises
    ------
    LookupError
        The provider offers none. Version 1.8.1 takes processors of Intel alone.
    """
    name = _registered()
    for device in import_onnxruntime().get_ep_devices():
        if device.ep_name == name and device.ep_metadata.get("ov_device") == "CPU":
            return device
    raise LookupError("OpenVINO's provider takes processors of Intel, and does not offer this one")


@functools.cache
def _registered() -> str:
    """Register the provider with ONNX Runtime, once in a process, and return its name."""
    import onnxruntime_ep_openvino as provider

    import_onnxruntime().register_execution_provider_library(_REGISTERED_AS, provider.get_library_path())
    return str(provider.get_ep_name())
