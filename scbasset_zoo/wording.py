"""Words of messages: options as the user writes them, suggestions for a wrong name, and commands that install a part."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
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


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" with the nearest of some names, or "" if none is near."""
    by_lower_case = {each.lower().replace("-", "_"): each for each in names}
    near = difflib.get_close_matches(name.lower().replace("-", "_"), by_lower_case, n=1)
    return f" Did you mean {by_lower_case[near[0]]!r}?" if near else ""


def install_command(extra: str) -> str:
    """Return the command that installs a part of the project, such as "analyses". It runs in a clone of the repository."""
    return f"pip install '.[{extra}]' in the clone of scbasset_zoo"


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
