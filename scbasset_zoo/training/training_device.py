"""Which device TensorFlow trains on, and why."""

from __future__ import annotations

import os

import tensorflow as tf

from scbasset_zoo.runtime.devices import driver_problem
from scbasset_zoo.wording import install_command


def training_device(n_used: int = 1) -> tuple[str, str]:
    """Return the device that TensorFlow computes on, "cpu" or "cuda", and the reason in a few words.

    Parameters
    ----------
    n_used : int
        Number of devices that this process uses.
    """
    n_gpus = len(tf.config.list_logical_devices("GPU"))
    if not n_gpus:
        return "cpu", f"TensorFlow sees no GPU: {_why_no_gpu()}"
    # A block `with tf.device(...)` around the training chooses the device.
    if "GPU" not in tf.zeros(2).device:
        return "cpu", "as chosen with tf.device"
    n = "one" if n_used == 1 else n_used
    return "cuda", gpu_name() + (f", {n} of {n_gpus} GPUs" if n_gpus > 1 else "")


def sees_gpu() -> bool:
    """Return whether TensorFlow computes on a GPU unless it is told otherwise."""
    return bool(tf.config.list_logical_devices("GPU"))


def gpu_name() -> str:
    """Return the name of the first GPU that TensorFlow may use."""
    return str(tf.config.experimental.get_device_details(tf.config.get_visible_devices("GPU")[0]).get("device_name", "a GPU"))


def _why_no_gpu() -> str:
    hidden_by = "CUDA_VISIBLE_DEVICES"
    if tf.config.list_physical_devices("GPU"):
        return "tf.config.set_visible_devices hides it"
    if os.environ.get(hidden_by, "0").strip() in ("", "-1"):
        return f"{hidden_by}={os.environ[hidden_by]!r} hides all of them"
    if problem := driver_problem():
        return problem + (f"; {hidden_by}={os.environ[hidden_by]!r}" if hidden_by in os.environ else "")
    if not tf.test.is_built_with_cuda():
        return "the installed TensorFlow is built for CPUs; pip install 'tensorflow[and-cuda]' brings one for NVIDIA GPUs"
    return f"TensorFlow cannot load its CUDA libraries; {install_command('train-gpu')} brings them"
