"""The devices that share each batch of a training run, on TensorFlow's own strategies (`tf.distribute`)."""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, TrainingError
from scbasset_zoo.progress import say
from scbasset_zoo.training.cluster import has_tf_config, names_workers, slurm_tasks
from scbasset_zoo.training.interrupts import ended_by_signals
from scbasset_zoo.wording import option

Strategy: TypeAlias = Literal["auto", "none", "mirrored", "multiworker"]
# So many seconds the other workers wait for the first one to start.
_LONGEST_WAIT = 600.0
# So many workers a line names.
_MOST_NAMED = 8
_PORT_IN_USE = "Another program may use this port, such as a worker of an earlier run. End it, or give the workers other ports."


class Share(NamedTuple):
    """The share of a batch that a replica computes.

    Attributes
    ----------
    first, total : int32 scalars
        Number of the first peak of the share in the batch, and of all peaks of the batch.
    """

    first: tf.Tensor
    total: tf.Tensor

    def fraction(self, peaks: tf.Tensor) -> tf.Tensor:
        """Return how much of the batch the share holds, float32; `peaks` has a row for each of its peaks."""
        return tf.cast(tf.shape(peaks)[0], tf.float32) / tf.cast(self.total, tf.float32)

    def of_whole(self, compute: Callable[[tf.Tensor], tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
        """Compute random numbers as for the whole batch, and return those of the share: `rows` are filled up with zeros."""
        n = tf.shape(rows)[0]
        after = self.total - self.first - n
        filled = tf.pad(rows, [[self.first, after], *[[0, 0]] * (len(rows.shape) - 1)])
        return compute(filled)[self.first : self.first + n]


class Replicas:
    """The replicas of a network: each device computes a share of every batch, and all make the same step.

    Batch statistics and gradients are summed over all replicas, so the result is that of one device up to the order of sums. Each
    replica has variables of its own, which stay equal because all make the same updates.

    Parameters
    ----------
    strategy : {"auto", "none", "mirrored", "multiworker"}
        ``mirrored`` takes all devices of one kind that TensorFlow sees in this process: GPUs, or else CPUs. If there is one, this
        is ``none``. ``multiworker`` takes those of all workers that TF_CONFIG or SLURM's variables name. ``auto`` chooses.

    Attributes
    ----------
    name : "none", "mirrored" or "multiworker"
    n : int
        Number of all replicas.
    first : int
        Number of the first replica of this process among all.
    devices : list of str
        Devices of this process, one for each of its replicas.
    n_workers : int
    is_chief : bool
        Whether this process writes the files of the run.

    Raises
    ------
    InputError
        ``multiworker`` without TF_CONFIG or SLURM's variables, or these are not valid.
    TrainingError
        TensorFlow cannot start the strategy.
    """

    def __init__(self, strategy: Strategy = "none"):
        self.name = chosen(strategy)
        self._strategy: Any = None
        self.n_workers, self.first, self.is_chief = 1, 0, True
        self.devices = [""]
        if self.name == "mirrored":
            devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
            if len(devices) > 1:
                self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
            else:
                say(
                    f"TensorFlow sees one device, so {option('strategy', 'mirrored')} trains on it as {option('strategy', 'none')}."
                )
                self.name = "none"
        elif self.name == "multiworker":
            self._strategy = _multiworker()
            resolver = self._strategy.cluster_resolver
            self.n_workers = len(resolver.cluster_spec().as_dict()["worker"])
            self.first = resolver.task_id * len(self._strategy.extended.worker_devices)
            self.is_chief = resolver.task_id == 0
        if self._strategy is not None:
            self.devices = list(self._strategy.extended.worker_devices)

    @property
    def n(self) -> int:
        """Number of all replicas."""
        return self._strategy.num_replicas_in_sync if self._strategy is not None else 1

    def run(self, function: Callable[[int], Any]) -> Any:
        """Call a function on each replica of this process, given its number there; return the result of the first.

        For use in a `tf.function`. All replicas must return the same, such as what :func:`summed` returns.
        """
        if self._strategy is None:
            return function(0)

        def of_replica() -> Any:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            return function((number if isinstance(number, int) else int(tf.get_static_value(number))) - self.first)

        return tf.nest.map_structure(lambda x: self._strategy.experimental_local_results(x)[0], self._strategy.run(of_replica))

    def shares(self, rows: NDArray[np.intp]) -> list[tuple[NDArray[np.intp], Share]]:
        """Return the rows of each replica of this process in a batch, and the share that they are."""
        firsts = np.cumsum([0, *(len(part) for part in np.array_split(rows, self.n))])
        mine = range(self.first, self.first + len(self.devices))
        total = np.int32(len(rows))
        return [(rows[firsts[i] : firsts[i + 1]], Share(np.int32(firsts[i]), total)) for i in mine]

    def total(self, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return the sum over all replicas of an array that each has; `arrays` are those of this process."""
        here = np.sum(arrays, axis=0, dtype=arrays[0].dtype)
        if self.n_workers == 1:
            return here
        return np.asarray(self._total(here, *[np.zeros_like(here)] * (len(self.devices) - 1)))

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any worker."""
        return flag if self.n_workers == 1 else bool(self._any(tf.constant(int(flag))))

    def require_same(self, settings: dict[str, Any]) -> None:
        """Raise an error if another worker has other settings, with which the copies of the network would differ.

        Raises
        ------
        InputError
            A setting differs.
        TrainingError
            Another worker has ended.
        """
        if self.n_workers == 1:
            return
        digests = np.zeros((self.n, len(settings)), np.int64)
        digests[self.first] = [zlib.crc32(repr(value).encode()) for value in settings.values()]
        try:
            of_all = self.total([digests])[:: len(self.devices)]
        except tf.errors.OpError as error:
            raise TrainingError(f"Another of the {self.n_workers} workers ended, so this one stops.") from error
        is_same = np.ptp(of_all, axis=0) == 0
        differ = [
            f"{name} (here {'not given' if value is None else value})"
            for (name, value), same in zip(settings.items(), is_same, strict=True)
            if not same
        ]
        if differ:
            raise InputError(
                f"The {self.n_workers} workers differ in {', '.join(differ)}. Start all with the same data and options. Where they "
                f"choose for themselves, give {option('precision')} and {option('accumulate')}. To train runs of their own, start "
                f"each with {option('strategy', 'none')}."
            )

    def wait(self) -> None:
        """Wait until all workers have come here."""
        self.any(False)

    @property
    def _total(self) -> Any:
        if not hasattr(self, "_total_function"):
            # An argument has no device; what is computed from it here has that of the replica.
            self._total_function = tf.function(
                lambda *parts: self.run(lambda number: summed(tf.identity(parts[number]))), autograph=False, reduce_retracing=True
            )
        return self._total_function

    @property
    def _any(self) -> Any:
        if not hasattr(self, "_any_function"):

            def flags(flag: tf.Tensor) -> tf.Tensor:
                # An argument has no device; what is computed from it here has that of the replica.
                return self.run(lambda _: summed(tf.identity(flag)))

            self._any_function = tf.function(flags, autograph=False, input_signature=[tf.TensorSpec((), tf.int32)])
        return self._any_function


def summed(values: Any) -> Any:
    """Return the sums over all replicas of a tensor, or of several; as they are, where one replica computes alone."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def chosen(strategy: Strategy) -> str:
    """Return what ``auto`` chooses: all workers that variables name, or else all GPUs if there are several, or else none.

    Raises
    ------
    InputError
        ``multiworker`` without variables that name the workers.
    """
    if strategy in ("none", "mirrored"):
        return strategy
    if names_workers():
        return "multiworker"
    if strategy == "multiworker":
        raise InputError(
            f"{option('strategy', 'multiworker')} needs the variable TF_CONFIG, which names all workers (two or more) and this "
            "one, or the variables of a SLURM job with several tasks, started by srun. See docs/training-on-gpus.md. To train on "
            f"this machine alone, also where several workers began a run, use {option('strategy', 'none')} or "
            f"{option('strategy', 'mirrored')}."
        )
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "none"


def _multiworker() -> Any:
    if has_tf_config():
        resolver: Any = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    else:
        # Not SlurmClusterResolver: it needs nvidia-smi, fails without GPUs, and takes n10 for the first of the nodes n9 and n10.
        addresses, number = slurm_tasks()
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": addresses}), task_type="worker", task_id=number, rpc_layer="grpc",
            num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        )  # fmt: skip
    _meet(resolver)
    try:
        with ended_by_signals():
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except RuntimeError as error:
        raise TrainingError(
            f"TensorFlow cannot start several workers in this process: {error} Start each worker as a new process that trains once."
        ) from error
    except tf.errors.OpError as error:
        address = resolver.cluster_spec().task_address("worker", resolver.task_id)
        why = "Another worker ended or cannot be reached."
        if isinstance(error, tf.errors.UnknownError):
            why = _PORT_IN_USE
        raise TrainingError(f"Worker {resolver.task_id} cannot start at {address}: {error.message}. {why}") from error


def _meet(resolver: Any) -> None:
    """Wait until the first worker and the others can reach each other: TensorFlow would wait for an hour, deaf to SIGTERM.

    The others listen at their addresses until the first worker, which waits for them all, listens as well.
    """
    addresses, number = resolver.cluster_spec().job_tasks("worker"), resolver.task_id
    port = int(addresses[number].rpartition(":")[2])
    try:
        listener = _listen(port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise TrainingError(f"Worker {number} cannot start at {addresses[number]}: {why}. {_PORT_IN_USE}") from error
    with listener:
        if number == 0:
            listener.close()
            _await(addresses[1:], float("inf"))
        elif not _await(addresses[:1], _LONGEST_WAIT):
            raise TrainingError(
                f"Worker 0 at {addresses[0]} could not be reached in {_LONGEST_WAIT:,.0f} seconds. Its own message says whether it "
                "refused to start."
            )


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _await(addresses: Sequence[str], seconds: float) -> bool:
    """Wait until all addresses can be reached, and return whether they can; name those that are missing every minute."""
    missing, begin, minutes = list(addresses), time.monotonic(), 0
    while True:
        missing = [address for address in missing if not _answers(address)]
        waited = time.monotonic() - begin
        if not missing or waited > seconds:
            return not missing
        if waited >= 60 * minutes:
            more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
            say(f"Waiting for the workers at {', '.join(missing[:_MOST_NAMED])}{more}. Ctrl-C ends this one.")
            minutes += 1
        time.sleep(1)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError:
        return False
    return True
