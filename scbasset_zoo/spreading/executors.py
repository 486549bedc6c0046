"""Executors that compute parts: processes on this machine, and Dask clusters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar, cast

from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime.devices import usable_cores
from scbasset_zoo.wording import install_command, option

_LOCAL = "local:"
P = ParamSpec("P")
T = TypeVar("T")


class LocalProcesses(Executor):
    """Worker processes on this machine. Unlike a ProcessPoolExecutor, it goes on with new ones after one was killed.

    Parameters
    ----------
    workers : int
        Number of processes. Each computes with its share of the cores.

    Raises
    ------
    InputError
        `workers` is less than 1.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError(f"{option('workers')} must be 1 or more; found {workers}.")
        self.workers = workers
        self._pool = self._new_pool()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give work to a process; see :meth:`concurrent.futures.Executor.submit`."""
        return self._pool.submit(fn, *args, **kwargs)

    def renew(self) -> None:
        """Start new processes in place of all that there are. What was given to these is lost."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._new_pool()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _new_pool(self) -> ProcessPoolExecutor:
        # A forked process would inherit the threads of ONNX Runtime and BLAS in an unusable state.
        return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))


@contextlib.contextmanager
def chosen_executor(workers: int | None, dask: str | None) -> Iterator[Executor | None]:
    """Yield the executor that the command line names, and end it afterwards; None if it names none.

    Parameters
    ----------
    workers : int, optional
        Number of processes on this machine.
    dask : str, optional
        Address of a Dask scheduler, or "local:N" for a cluster of N workers on this machine.

    Raises
    ------
    InputError
        Both are given, Dask is not installed, the address cannot be used, or no scheduler answers.
    """
    if workers is not None and dask is not None:
        raise InputError(f"Give {option('workers')} or {option('dask')}, not both.")
    if workers is not None:
        with LocalProcesses(workers) as executor:
            yield executor
    elif dask is not None:
        with _client(dask) as client:
            yield client.get_executor()
    else:
        yield None


def workers_of(executor: Executor | None) -> int | None:
    """Return how many parts an executor computes at once; None if that is not known."""
    if executor is None:
        return 1
    if isinstance(executor, LocalProcesses):
        return executor.workers
    client = getattr(executor, "_client", None)
    if client is not None and hasattr(client, "nthreads"):  # of Dask
        return max(1, sum(client.nthreads().values()))
    workers = getattr(executor, "_max_workers", None)
    return workers if isinstance(workers, int) else None


def threads_of(executor: Executor | None) -> int | None:
    """Return how many threads compute in each worker: its share of the cores if the workers are processes of this machine.

    None leaves it to the worker.
    """
    if isinstance(executor, LocalProcesses | ProcessPoolExecutor):
        return max(1, usable_cores() // (workers_of(executor) or 1))
    return None


def described(executor: Executor | None, n_parts: int) -> str:
    """Describe how work is spread, for the provenance."""
    if executor is None:
        return f"{n_parts} parts in one process"
    n = workers_of(executor)
    return f"{n_parts} parts by {type(executor).__name__}" + (f", {n} workers" if n is not None else "")


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    if find_spec("distributed") is None:
        raise InputError(f"{option('dask')} needs the package distributed: run {install_command('dask')}.")
    import distributed

    client_of, cluster_of = cast("Any", distributed.Client), cast("Any", distributed.LocalCluster)  # they have no types
    if address.startswith(_LOCAL):
        n = address.removeprefix(_LOCAL)
        if not n.isdecimal() or int(n) < 1:
            raise InputError(f"{option('dask', address)}: expected local:N with a whole number N of workers, such as local:4.")
        with (
            cluster_of(n_workers=int(n), threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            client_of(cluster) as client,
        ):
            yield client
        return
    try:
        client = client_of(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{option('dask', address)}: no Dask scheduler answers there ({error}). Give the address that dask scheduler printed, "
            "such as tcp://10.0.0.1:8786, or local:N."
        ) from error
    with client:
        yield client
