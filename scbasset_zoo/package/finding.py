"""One thing that is wrong with a package."""

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
        # Names come from the package: nothing in them may reach a terminal as a command.
        return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in f"{self.file}: {self.problem}")


def result_or_finding(name: str, read: Callable[[], Any]) -> Generator[Finding, None, Any]:
    """The result of `read`, or None and a finding that says why it failed."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001  whatever a hostile file makes a reader raise is a finding
        yield Finding(name, f"cannot be read: {error or type(error).__name__}")
        return None
