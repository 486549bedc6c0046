"""Chooses the precision of training by the instructions that the hardware has."""

from __future__ import annotations

from pathlib import Path

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


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
    if flags := _cpu_flags() & BFLOAT16_FLAGS:
        return "bfloat16", f"the processor has {min(flags)}"
    return "float32", "the processor has no bfloat16 instructions"


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux: float32 works everywhere
        return set()
    return {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split(":", 1)[1].split()}
