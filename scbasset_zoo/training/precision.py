"""Chooses the precision of training by the instructions that the hardware has."""

from __future__ import annotations

from scbasset_zoo.runtime.processor import bfloat16_instructions


def resolve_precision(precision: str) -> tuple[str, str]:
    """Return the precision to train in, and the reason in a few words.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        The option; "auto" is bfloat16 where the hardware has instructions for it.
    """
    if precision != "auto":
        return precision, "as requested"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        major, minor = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        if major >= 8:
            return "bfloat16", f"the GPU (compute capability {major}.{minor}) computes in bfloat16"
        return "float32", f"the GPU (compute capability {major}.{minor}) has no bfloat16"
    if instructions := bfloat16_instructions():
        return "bfloat16", f"the processor has {instructions}"
    return "float32", "the processor has no bfloat16 instructions"
