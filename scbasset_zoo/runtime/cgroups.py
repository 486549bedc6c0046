"""Limits that containers and batch systems set for a group of processes (Linux cgroups, versions 1 and 2), at every level.

The group of a process lies in other groups. The limits of all of them hold.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def cpu_quota(root: Path = ROOT) -> int | None:
    """Return the whole cores that the smallest quota allows, at least 1, or None without a quota.

    Parameters
    ----------
    root : Path
        Root of the file system.
    """
    quotas = []
    for level in _levels("cpu", root):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (level / "cpu.max").read_text(encoding="ascii").split()
            quotas.append((int(quota), int(period)))
        with contextlib.suppress(OSError, ValueError):
            quotas.append((_number(level / "cpu.cfs_quota_us"), _number(level / "cpu.cfs_period_us")))
    # In version 1, a quota of -1 means that there is none; in version 2 it is the word "max", which is no number.
    cores = [quota // period for quota, period in quotas if quota > 0 and period > 0]
    return max(1, min(cores)) if cores else None


def free_memory(root: Path = ROOT) -> int | None:
    """Return the bytes that the limits leave, or None without a limit. Cached files that can be dropped count as free."""
    left = []
    for level in _levels("memory", root):
        for limit, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with contextlib.suppress(OSError, ValueError):
                left.append(_number(level / limit) - _number(level / used) + _statistic(level / "memory.stat", cache))
    return max(0, min(left)) if left else None


def _levels(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the group of this process and of all groups around it, in version 2 and in version 1."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    # Each line is "number:controllers:path". The path need not exist in a container, which sees its own group as the root.
    groups = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    for mount, paths in (
        (mounted, [path for _, controllers, path in groups if not controllers]),
        (mounted / "unified", [path for _, controllers, path in groups if not controllers]),
        (mounted / controller, [path for _, controllers, path in groups if controller in controllers.split(",")]),
    ):
        folders = dict.fromkeys(folder for path in paths for folder in _with_parents(mount / path.lstrip("/"), mount))
        yield from (folder for folder in {**folders, mount: None} if folder.is_dir())


def _with_parents(folder: Path, top: Path) -> list[Path]:
    if ".." in folder.parts:
        return []
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(top))]


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def _statistic(file: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return 0
