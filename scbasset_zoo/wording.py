"""Name an option in messages: as a keyword for a Python user, as a flag for a user of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_on_command_line: ContextVar[bool] = ContextVar("on_command_line", default=False)
_NO_VALUE = object()


def option(name: str, value: Any = _NO_VALUE) -> str:
    """Return an option as the user writes it.

    Parameters
    ----------
    name : str
        The keyword, for example "min_peaks_per_cell".
    value : optional
        The value to show with it.

    Examples
    --------
    >>> option("min_peaks_per_cell", 1)
    'min_peaks_per_cell=1'
    >>> with command_line():
    ...     option("min_peaks_per_cell", 1)
    '--min-peaks-per-cell 1'
    """
    if not is_command_line():
        return name if value is _NO_VALUE else f"{name}={value!r}"
    flag = name.replace("_", "-")
    if value is False:
        return f"--no-{flag}"
    return f"--{flag}" if value is _NO_VALUE or value is True else f"--{flag} {value}"


def is_command_line() -> bool:
    """Return whether options are named as flags."""
    return _on_command_line.get()


@contextmanager
def command_line() -> Iterator[None]:
    """Name options as flags within the block."""
    token = _on_command_line.set(True)
    try:
        yield
    finally:
        _on_command_line.reset(token)
