"""What the processor can compute in."""

from __future__ import annotations

from pathlib import Path

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def bfloat16_instructions() -> str:
    """Return the name of the processor's instructions for bfloat16, such as "amx_bf16"; "" if it has none."""
    return min(_flags() & BFLOAT16_FLAGS, default="")


def _flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux: float32 works everywhere
        return set()
    return {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split(":", 1)[1].split()}
