"""Show the progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar

from scbasset_zoo.printable import printable, printable_field

SECONDS_BETWEEN_LINES = 15.0
_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextlib.contextmanager
def progress(description: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Yield a function `advance(n)`, to be called after each n steps.

    Parameters
    ----------
    description : str
        What the work is, for example "reading cells".
    total : int or None
        Number of steps, or None if it is not known.
    quiet : bool
        Show nothing.
    """
    if quiet:
        yield lambda n: None
    elif sys.stderr.isatty():
        with _bar(description, total) as advance:
            yield advance
    else:
        yield _lines(description, total)


def say(message: str) -> None:
    """Print a line on standard error, so that standard output can be piped. Characters that could forge output are escaped."""
    if not _silent.get():
        print(printable(message), file=sys.stderr, flush=True)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Let :func:`say` print nothing within the block."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


@contextlib.contextmanager
def _bar(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(printable_field(description), total=total)
        yield lambda n: bars.advance(task, n)


def _lines(description: str, total: int | None) -> Callable[[int], None]:
    done, last = 0, time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{description}: {done:,}" + (f" of {total:,}" if total else ""))

    return advance
