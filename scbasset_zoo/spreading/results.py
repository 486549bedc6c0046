"""The results of the parts of some work in their order: finished before, computed in this process, or by an executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from typing import TYPE_CHECKING, TypeAlias

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say
from scbasset_zoo.spreading.executors import LocalProcesses, workers_of
from scbasset_zoo.spreading.job import compute
from scbasset_zoo.spreading.part_files import PartFolder

if TYPE_CHECKING:
    from scbasset_zoo.extend.parts import Arrays

    Results: TypeAlias = Generator[tuple[int, Arrays], None, None]

# How often the parts of workers that ended are given to new workers, before the run gives up.
MAX_RENEWALS = 5


def results_in_order(
    numbers: Sequence[int],
    compute_here: Callable[[int], Arrays],
    *,
    pickled: Callable[[], bytes],
    executor: Executor | None,
    folder: PartFolder | None,
    advance: Callable[[int], None],
) -> Results:
    """Yield each part with its result, in order. A few parts for each worker are in memory.

    Parameters
    ----------
    numbers : sequence of int
        The parts.
    compute_here : callable
        Computes a part in this process.
    pickled : callable
        Returns the job, for other processes.
    executor : Executor, optional
        Computes the parts; without it, they are computed in this process.
    folder : PartFolder, optional
        Has the parts that are finished, and keeps those that become so.
    advance : callable
        Is given the number of parts that are done.
    """
    finished = {number for number in numbers if folder is not None and number in folder}
    advance(len(finished))
    todo = [number for number in numbers if number not in finished]
    results = _in_turn(todo, compute_here) if executor is None else _Spread(executor, pickled(), todo).results()
    done: dict[int, Arrays] = {}

    def next_done() -> None:
        number, arrays = next(results)
        advance(1)
        if folder is None:
            done[number] = arrays
        else:
            folder.add(number, arrays)
            finished.add(number)

    try:
        for number in numbers:
            while number not in finished and number not in done:
                next_done()
            if number in done:
                yield number, done.pop(number)
            else:
                assert folder is not None
                yield number, folder.read(number)
    finally:
        results.close()


def _in_turn(numbers: Sequence[int], compute_here: Callable[[int], Arrays]) -> Results:
    for number in numbers:
        yield number, compute_here(number)


class _Spread:
    """Parts given to an executor. Their results come as they are done, and no later part is far ahead of an earlier one."""

    def __init__(self, executor: Executor, pickled: bytes, numbers: Sequence[int]) -> None:
        self._executor, self._pickled = executor, pickled
        self._numbers = numbers
        # Places in `numbers`.
        self._waiting = deque(range(len(numbers)))
        self._running: dict[Future[Arrays], int] = {}
        self._ahead = 2 * (workers_of(executor) or 8)
        self._renewals = 0

    def results(self) -> Results:
        """Yield (number, arrays) of each part as it is done."""
        try:
            while self._waiting or self._running:
                self._submit()
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    place = self._running[future]
                    try:
                        arrays = future.result()
                    except BrokenExecutor as error:
                        self._renew(error)
                        break
                    del self._running[future]
                    yield self._numbers[place], arrays
        finally:
            for future in self._running:
                future.cancel()

    def _submit(self) -> None:
        """Give the next parts to the executor, unless a part that is much earlier is not done."""
        while self._waiting and len(self._running) < self._ahead:
            first = min(self._running.values(), default=self._waiting[0])
            if self._waiting[0] - first > 4 * self._ahead:
                return
            try:
                future = self._executor.submit(compute, self._pickled, self._numbers[self._waiting[0]])
            except BrokenExecutor as error:
                self._renew(error)
                continue
            self._running[future] = self._waiting.popleft()

    def _renew(self, error: BrokenExecutor) -> None:
        """Give unfinished parts to new processes; raise InputError if that cannot be done or was done too often."""
        if not isinstance(self._executor, LocalProcesses):
            raise InputError(
                f"A worker process ended before its part was done, and {type(self._executor).__name__} starts no other: {error} "
                "Use LocalProcesses or --workers, which do the part again; or run again with what was finished, if resume was set."
            ) from error
        self._renewals += 1
        if self._renewals > MAX_RENEWALS:
            raise InputError(
                f"Worker processes ended {self._renewals} times before their parts were done. Perhaps memory is short: take fewer "
                "workers."
            ) from error
        say("A worker process ended before its part was done; its part is done again.")
        self._executor.renew()
        self._waiting.extendleft(sorted(self._running.values(), reverse=True))
        self._running.clear()
