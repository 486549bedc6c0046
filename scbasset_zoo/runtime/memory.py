"""How much memory is free, and an error for a result that would not fit."""

from __future__ import annotations

import os

from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime.cgroups import free_memory

SHARE = 0.9


def require_memory(n_bytes: int, what: str, advice: str) -> None:
    """Raise an error if something needs more than 90 % of the free memory.

    Parameters
    ----------
    n_bytes : int
        Memory that is needed, in bytes.
    what : str
        What needs the memory; the message begins with it.
    advice : str
        What the user can do; the message ends with it.

    Raises
    ------
    InputError
        The memory is not free.
    """
    available = available_memory()
    if available is not None and n_bytes > SHARE * available:
        raise InputError(f"{what} takes {n_bytes / 2**30:,.1f} GiB; {available / 2**30:,.1f} GiB are free. {advice}")


def n_that_fit(n: int, bytes_each: int, share: float) -> int:
    """Return how many of `n` things fit into a share of the free memory: at least 1, and all if the free memory is unknown.

    Parameters
    ----------
    n : int
    bytes_each : int
        Memory that one of them takes.
    share : float
        Share of the free memory that they may take together, 0 to 1.
    """
    available = available_memory()
    return n if available is None else max(1, min(n, int(available * share) // bytes_each))


def available_memory() -> int | None:
    """Return the bytes that this process can still allocate, or None if the system does not say.

    Inside a container or batch job this is what its limit leaves, and so it is with a limit of the address space (`ulimit -v`).
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        if not hasattr(os, "sysconf") or "SC_AVPHYS_PAGES" not in os.sysconf_names:
            return None
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([free, *(left for left in (free_memory(), _free_address_space()) if left is not None)])


def _free_address_space() -> int | None:
    """Return what RLIMIT_AS leaves, in bytes, or None without such a limit. Some batch systems limit jobs by it."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return None
        with open("/proc/self/statm", encoding="ascii") as file:
            return max(0, limit - int(file.read().split()[0]) * resource.getpagesize())
    except (ImportError, OSError):
        return None
