"""Computes the next values of an iterator in a thread, while the caller works on those that it has."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Value = TypeVar("Value")
_WAIT = 0.1  # seconds between two looks at whether the caller has stopped


@contextlib.contextmanager
def read_ahead(values: Iterable[Value], n_ahead: int = 1) -> Iterator[Iterator[Value]]:
    """Yield an iterator over `values`, in their order, of which a thread computes up to `n_ahead` ahead.

    An error of `values` is raised where its value would come. When the block ends, by an error or Ctrl-C too, the thread finishes
    the value that it computes, closes `values` and ends.

    Parameters
    ----------
    values : iterable
        Used by the thread alone until the block ends.
    n_ahead : int
        Values that wait at most, beside the one that is computed.
    """
    waiting: queue.Queue[tuple[str, object]] = queue.Queue(n_ahead)
    stopped = threading.Event()

    def put(kind: str, value: object = None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put((kind, value), timeout=_WAIT)
                return

    def compute() -> None:
        iterator = iter(values)
        try:
            for value in iterator:
                put("value", value)
                if stopped.is_set():
                    break
            else:
                put("end")
        except BaseException as error:  # noqa: BLE001  raised again by the caller's thread
            put("error", error)
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    def received() -> Iterator[Value]:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value  # type: ignore[misc]
            yield value  # type: ignore[misc]

    thread = threading.Thread(target=compute, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        stopped.set()
        thread.join()
