"""Peers that run in an environment of their own: a process that does its work once for each line that it is sent."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self


class Worker:
    """A program beside this file, run by another Python.

    Parameters
    ----------
    python : str
        The interpreter of the environment that has the peer.
    program : str
        Name of the file, without `.py`.
    arguments : object
        Given to the program as text.
    """

    def __init__(self, python: str, program: str, *arguments: object) -> None:
        command = [python, str(Path(__file__).with_name(f"{program}.py")), *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self) -> list[float]:
        """Let the program work once, and return the numbers that it prints: the seconds first."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args[1]} ended without a result. Its message is above.")
        return [float(number) for number in line.split()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
