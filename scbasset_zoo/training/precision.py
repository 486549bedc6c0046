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
    if precision == "float32":
        return precision, "as requested"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        major, minor = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        has, where = major >= 8, f"the GPU (compute capability {major}.{minor})"
        reason = f"{where} computes in bfloat16" if has else f"{where} has no bfloat16"
    else:
        instructions = bfloat16_instructions()
        has, reason = bool(instructions), f"the processor has {instructions or 'no bfloat16 instructions'}"
    if precision == "auto":
        return ("bfloat16" if has else "float32"), reason
    return precision, "as requested" if has else f"as requested, but {reason}: float32 is much faster here"
