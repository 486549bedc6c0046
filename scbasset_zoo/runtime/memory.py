"""How much memory is free, and refusing what would not fit."""

from __future__ import annotations

import os

from scbasset_zoo.errors import InputError

SHARE = 0.9


def require_memory(wanted: int, what: str, advice: str) -> None:
    """Fail before computing what would not fit into memory.

    Parameters
    ----------
    wanted : int
        Bytes.
    what, advice : str
        Beginning and end of the message: what takes them, and what to do.

    Raises
    ------
    InputError
    """
    available = available_memory()
    if available is not None and wanted > SHARE * available:
        raise InputError(f"{what} takes {wanted / 2**30:,.1f} GiB; {available / 2**30:,.1f} GiB are free. {advice}")


def available_memory() -> int | None:
    """Bytes that can be allocated: the machine's, or what a container's limit leaves; None where it cannot be told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
            return None
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit, open("/sys/fs/cgroup/memory.current") as used:
            return max(0, min(free, int(limit.read()) - int(used.read())))
    except (OSError, ValueError):  # no container, or "max": no limit
        return free
