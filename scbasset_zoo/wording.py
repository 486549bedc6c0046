"""How messages name an option: as a keyword to a Python user, as a flag to a user of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_on_command_line: ContextVar[bool] = ContextVar("on_command_line", default=False)
_NO_VALUE = object()


def option(name: str, value: Any = _NO_VALUE) -> str:
    """The option as the caller writes it.

    Parameters
    ----------
    name : str
        The keyword, as "min_peaks_per_cell".
    value : optional
        Written with the name where it is given.

    Examples
    --------
    >>> option("min_peaks_per_cell", 1)
    'min_peaks_per_cell=1'
    >>> with command_line():
    ...     option("min_peaks_per_cell", 1)
    '--min-peaks-per-cell 1'
    """
    if not _on_command_line.get():
        return name if value is _NO_VALUE else f"{name}={value!r}"
    flag = "--" + name.replace("_", "-")
    return flag if value is _NO_VALUE or value is True else f"{flag} {value}"


@contextmanager
def command_line() -> Iterator[None]:
    """Within the block, messages speak to a user of the command line."""
    token = _on_command_line.set(True)
    try:
        yield
    finally:
        _on_command_line.reset(token)
