"""Findings: what is wrong with a package."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a package."""

    file: str
    problem: str

    def __str__(self) -> str:
        # Names may come from an untrusted package: a terminal must not take any part of them as a command.
        return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in f"{self.file}: {self.problem}")


def result_or_finding(name: str, read: Callable[[], Any]) -> Generator[Finding, None, Any]:
    """Return the result of `read`. If it fails, yield a finding that says why, and return None."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001  a hostile file can make a reader raise any error
        yield Finding(name, f"cannot be read: {error or type(error).__name__}")
        return None
