"""Keeps standard output for answers, which programs may read: whatever else is printed goes to standard error."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from scbasset_zoo.printable import printable

_stream: TextIO | None = None


def answers() -> TextIO:
    """Return the stream of answers."""
    return _stream or sys.stdout


def answer(text: object = "") -> None:
    """Print a line of the answer of a command. Characters that could forge output are escaped."""
    print(printable(str(text)), file=answers(), flush=True)


def answer_json(value: object) -> None:
    """Print the answer of a command as JSON, which escapes all but ASCII."""
    print(json.dumps(value, indent=2, default=str), file=answers(), flush=True)


def only_answers(command: Any) -> Any:
    """Change a click command, or all commands of a group, so that only answers reach standard output; return it."""
    for member in getattr(command, "commands", {}).values():
        only_answers(member)
    if command.callback is not None and not getattr(command, "commands", {}):
        command.callback = _redirected(command.callback)
    return command


@contextlib.contextmanager
def printing_to_stderr() -> Iterator[None]:
    """Send what is printed during the block to standard error: by Python, by other languages, and by child processes."""
    global _stream
    with contextlib.ExitStack() as stack:
        _stream, before = _answer_stream(stack), _stream
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        try:
            yield
            _stream.flush()
        finally:
            _stream = before


def _redirected(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*arguments: Any, **options: Any) -> Any:
        with printing_to_stderr():
            return callback(*arguments, **options)

    return run


def _answer_stream(stack: contextlib.ExitStack) -> TextIO:
    """Return a stream to today's standard output. If that is file 1, others find standard error there."""
    try:
        is_file_1 = sys.stdout.fileno() == 1
    except (OSError, ValueError, AttributeError):  # a stream in memory
        is_file_1 = False
    if not is_file_1:
        return sys.stdout
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)

    def restore() -> None:
        os.dup2(saved, 1)
        os.close(saved)

    stack.callback(restore)
    return stack.enter_context(open(saved, "w", encoding=sys.stdout.encoding, errors="replace", closefd=False))
