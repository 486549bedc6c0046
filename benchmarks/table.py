"""Helpers of the benchmarks: timing in turn, Markdown tables, and sections of a document."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"

# What decides how fast a processor multiplies matrices, the fastest first.
_INSTRUCTIONS = {"amx_bf16": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}


def interleaved(functions: Mapping[str, Callable[[], object]], repetitions: int = 5) -> dict[str, list[float]]:
    """Return the seconds of each run of each function.

    The functions run in turn (A B A B ...), so that other work on the machine slows all of them. The first run of each is not
    counted. A function that returns a number has measured its seconds itself.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repetition in range(repetitions + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            result = function()
            measured = result if isinstance(result, float) else time.perf_counter() - start
            if repetition:
                seconds[name].append(measured)
    return seconds


def median(seconds: Sequence[float]) -> float:
    """Return the median."""
    return float(np.median(seconds))


def machine(*packages: str) -> str:
    """Return one line with the processor, its instructions, the cores, the system and the versions of packages."""
    names = {}
    if Path("/proc/cpuinfo").exists():
        names = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
        names = {key.strip(): value.strip() for key, value in names.items()}
    processor = names.get("model name") or platform.processor() or platform.machine()
    flags = set(names.get("flags", "").split())
    processor += next((f" with {name}" for flag, name in _INSTRUCTIONS.items() if flag in flags), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{processor}, {cores} cores, {platform.system()}, Python {platform.python_version()}, {versions}."


def graphics_card() -> str:
    """Return the name of the first NVIDIA GPU and the release of its driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    name, driver = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()[0].split(", ")
    return f"{name}, driver {driver}"


def peak_memory() -> int:
    """Return the largest memory that this process has had, in bytes."""
    # ru_maxrss would not do: a process inherits it from the one that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table. All columns except the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def write_section(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace the section `name` of a document, between its two comments. A new section goes to the end."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    whole = document.read_text() if document.exists() else "# Benchmarks\n"
    if begin in whole:
        before, rest = whole.split(begin, 1)
        whole = before + section + rest.split(end, 1)[1]
    else:
        whole = f"{whole.rstrip()}\n\n{section}\n"
    document.parent.mkdir(exist_ok=True)
    document.write_text(whole)
