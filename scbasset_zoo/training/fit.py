"""A network that is being fitted: its epochs, its snapshots, and the replicas that compute its steps."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.files import sha256
from scbasset_zoo.progress import say
from scbasset_zoo.read_ahead import read_ahead
from scbasset_zoo.training.architecture import Architecture, Network, n_trainable
from scbasset_zoo.training.augmentation import centre, one_hot
from scbasset_zoo.training.auroc import MeanAuroc, mean_auroc
from scbasset_zoo.training.batches import Batches
from scbasset_zoo.training.cell_rows import is_of_cells
from scbasset_zoo.training.checkpoint import Arrays
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.held_out import HeldOut, held_out_peaks
from scbasset_zoo.training.precision import resolve_precision
from scbasset_zoo.training.replica import Replica
from scbasset_zoo.training.replicas import Replicas, Share
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.training.training_device import training_device
from scbasset_zoo.training.training_memory import say_and_check_memory
from scbasset_zoo.wording import option

# The arrays of each batch, in the order of the signature of a step.
Stream = Iterator[tuple[Any, ...]]


class Fit:
    """A network that is being fitted.

    Every random draw depends on the seed, the epoch and the step alone. A fit that is restored from a snapshot therefore
    continues as if it had never stopped.

    Parameters
    ----------
    prepared : PreparedPeaks
    options : TrainingOptions
    batches : Batches or None
        For the batch-corrected variant.
    resumed : bool
        The weights will be restored from a snapshot, so the package of `init_from` is not read.
    replicas : Replicas, optional
        The devices that share each batch; one by default.

    Raises
    ------
    InputError
        No cell has both open and closed training peaks, or batches have too few peaks for all replicas.
    """

    def __init__(
        self,
        prepared: PreparedPeaks,
        options: TrainingOptions,
        batches: Batches | None,
        *,
        resumed: bool = False,
        replicas: Replicas | None = None,
    ):
        self.prepared, self.options = prepared, options
        self.replicas = replicas or Replicas()
        self.device, self.device_reason = training_device(len(self.replicas.devices))
        say(f"Training on {self.device} ({self.device_reason}).")
        self.precision, why = resolve_precision(options.precision)
        say(f"Training in {self.precision} ({why}).")
        self.train_rows, self.validation_rows = prepared.rows("train"), prepared.rows("validation")
        self.n_steps = -(-len(self.train_rows) // options.batch_size)
        self.batch_size = len(self.train_rows) / self.n_steps
        if options.warmup > (n_all := self.n_steps * options.epochs):
            say(
                f"{option('warmup', options.warmup)} is more than all {n_all:,} steps of {option('epochs', options.epochs)}, so "
                f"the learning rate reaches {options.learning_rate * n_all / options.warmup:.2g} of {options.learning_rate:g}."
            )
        if (drawn := options.cells_per_step) and drawn >= prepared.n_cells:
            say(
                f"{option('cells_per_step', drawn)} is not fewer than the {prepared.n_cells:,} cells, so each step has all of them."
            )
        self._counted = MeanAuroc(prepared.n_cells).cells
        self.n_auroc_cells = {
            "train": self._count_auroc_cells("training", self.train_rows),
            "validation": self._count_auroc_cells("validation", self.validation_rows),
        }
        if not self.n_auroc_cells["train"]:
            raise InputError(
                f"{prepared.folder}: no cell has both open and closed peaks among the {len(self.train_rows):,} training peaks, so "
                "there is nothing to learn. Prepare more peaks, or other cells."
            )
        architecture = Architecture(
            n_cells=prepared.n_cells,
            n_batches=len(batches.names) if batches else 0,
            embedding_size=options.embedding_size,
            width=options.width,
            sequence_length=prepared.sequence_length,
        )
        self.n_parts = say_and_check_memory(
            prepared, options, architecture, self.precision, on_gpu=self.device == "cuda", resumed=resumed,
            n_shares=self.replicas.n if self.device == "cuda" else self.replicas.n_workers,
        )  # fmt: skip
        self.replicas.require_same(
            {
                **{
                    option(name): value
                    for name, value in options.model_dump(exclude={"precision", "accumulate", "strategy"}).items()
                },
                option("precision"): self.precision,
                option("accumulate"): self.n_parts,
                "the SHA-256 of manifest.json of the prepared peak set": sha256(prepared.folder / "manifest.json"),
            }
        )
        self._require_peaks_for_all()
        self.copies: list[Replica] = []
        for device in self.replicas.devices:
            with tf.device(device) if device else contextlib.nullcontext():
                copy = Replica(
                    prepared, options, batches, architecture, self.precision, n_parts=self.n_parts,
                    batch_size=-(-len(self.train_rows) // self.n_steps), is_alone=self.replicas.n == 1,
                )  # fmt: skip
            self.copies.append(copy)
        self.initialised_from: dict[str, Any] | None = None
        if options.init_from and not resumed:
            from scbasset_zoo.training.initialise import start_from

            for copy in self.copies:
                self.initialised_from = start_from(copy.network, options.init_from, prepared, batches, options.seed)
        self.network, self.many_cells, self.trained = self.copies[0].network, self.copies[0].many_cells, self.copies[0].trained
        self.n_trainable = n_trainable(self.network)
        self.state: dict[str, Any] = {"epoch": 0, "step": 0, "loss_sum": 0.0, "best_auroc": float("-inf"), "best_epoch": 0}
        self._signature = self.copies[0].signature
        if self.replicas.n > 1:
            self._signature += tuple(tf.TensorSpec((), tf.int32, name) for name in Share._fields)
        number, fraction = tf.TensorSpec((), tf.int64, "number"), tf.TensorSpec((), tf.float32, "fraction")
        self._train_step = self._on_each(Replica.step, number)
        if self.n_parts > 1:
            self._train_part = self._on_each(Replica.add_part, number, fraction)
            self._end_step = self._on_each(Replica.apply_sums, number)
        self._validation_step = self._on_each(Replica.validate)

    def epoch(self) -> Iterator[tuple[int, float]]:
        """Run the rest of the current epoch, and yield (step, loss) after each step."""
        options, state = self.options, self.state
        order = np.random.default_rng([options.seed, state["epoch"]]).permutation(self.train_rows)
        # Batches have nearly equal sizes, because a last batch of one or two peaks would spoil batch normalisation.
        batches = np.array_split(order, self.n_steps)[state["step"] :]
        with self._training_stream(batches, state["epoch"], state["step"]) as stream:
            for batch in batches:
                step = state["step"]
                loss = self._trained_on(batch, stream, state["epoch"] * self.n_steps + step)
                state["step"] = step + 1
                state["loss_sum"] += loss
                yield step, loss

    def end_epoch(self) -> dict[str, Any]:
        """Score the validation peaks, move to the next epoch, and return the row of the history for this one."""
        state = self.state
        epoch, auroc = state["epoch"] + 1, self._auroc([copy.auroc for copy in self.copies])
        row = {"epoch": epoch, "loss": state["loss_sum"] / self.n_steps, "auroc": auroc, **self._validation()}
        if auroc > state["best_auroc"] + self.options.min_delta or not state["best_epoch"]:
            state.update(best_auroc=auroc, best_epoch=epoch)
        state.update(epoch=epoch, step=0, loss_sum=0.0)
        return row

    def held_out(self, weights: Arrays) -> HeldOut:
        """Return the validation peaks with what a network of these weights makes of them; the network keeps the weights."""
        _assign(self.copies[0].weights(), self._in_rows(weights))
        rows = self.validation_rows
        embed = _function(lambda codes: self.network.trunk(one_hot(centre(codes, self.prepared.flank))), self._signature[:1])
        batches = np.array_split(rows, -(-len(rows) // self.options.batch_size))
        embedded = [np.asarray(embed(self.prepared.sequences[batch]), dtype=np.float32) for batch in batches]
        return held_out_peaks(self.prepared, "validation", np.concatenate(embedded), *self.network.head())

    def loss_of_depth(self) -> float:
        """Return the validation loss of a model that knows nothing but the share of open validation peaks of each cell."""
        share = self.prepared.count_open_peaks(self.validation_rows)[self._validated_cells()] / len(self.validation_rows)
        entropy = -sum(p * np.log(np.where(p > 0, p, 1)) for p in (share, 1 - share))
        return float(np.mean(entropy))

    def weights(self) -> Arrays:
        """Return every weight of the network, by its path."""
        return {name: self._saved(name, weight) for name, weight in self.copies[0].weights().items()}

    def snapshot(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the arrays and the state that :meth:`restore` needs. All workers must call it together."""
        arrays = {name: self._saved(name, variable) for name, variable in self.copies[0].variables().items()}
        if self.state["step"]:
            arrays |= {
                "auroc/seen": self.replicas.total([copy.auroc.seen.numpy() for copy in self.copies]),
                "auroc/open": self.replicas.total([copy.auroc.open.numpy() for copy in self.copies]),
            }
        return arrays, dict(self.state)

    def restore(self, arrays: Arrays, state: dict[str, Any]) -> None:
        """Restore a snapshot, of any number of replicas; the learning rate stays that of the options.

        Raises
        ------
        InputError
            The snapshot is that of another network.
        """
        for number, copy in enumerate(self.copies):
            variables = copy.variables()
            # The counts of all replicas belong to the first.
            if state["step"] and self.replicas.is_chief and number == 0:
                variables |= {"auroc/seen": copy.auroc.seen, "auroc/open": copy.auroc.open}
            _assign(variables, self._in_rows(arrays))
            copy.optimizer.learning_rate = self.options.learning_rate
        self.state = {name: state[name] for name in self.state}

    def _on_each(self, method: Callable[..., tf.Tensor], *common: tf.TensorSpec) -> Any:
        """Compile a method of replicas, which is given the tensors of each replica and then those that are common to all."""
        size, n = len(self._signature), len(self.copies)

        def call(*arguments: tf.Tensor) -> tf.Tensor:
            of_each, of_all = arguments[: n * size], arguments[n * size :]
            return self.replicas.run(lambda i: method(self.copies[i], of_each[i * size : (i + 1) * size], *of_all))

        return _function(call, (*self._signature * n, *common))

    def _trained_on(self, batch: NDArray[np.intp], stream: Stream, step: int) -> float:
        """Take a step, at once or in parts of its batch, and return its loss."""
        number = tf.constant(step, tf.int64)
        if self.n_parts == 1:
            return float(self._train_step(*next(stream), number))
        loss = 0.0
        for part, rows in enumerate(np.array_split(batch, self.n_parts)):
            arguments = next(stream)
            part_number, fraction = (
                tf.constant(step * self.n_parts + part, tf.int64),
                tf.constant(len(rows) / len(batch), tf.float32),
            )
            loss += float(self._train_part(*arguments, part_number, fraction))
        self._end_step(*arguments, number)
        return loss

    def _validation(self) -> dict[str, float]:
        rows = self.validation_rows
        batches = np.array_split(rows, -(-len(rows) // self.options.batch_size))
        with self._validation_stream(batches) as stream:
            losses = [float(self._validation_step(*batch)) for batch in stream]
        loss = float(np.average(losses, weights=[len(batch) for batch in batches]))
        return {"validation_loss": loss, "validation_auroc": self._auroc([copy.validation_auroc for copy in self.copies])}

    def _auroc(self, counters: list[MeanAuroc]) -> float:
        """Return the AUROC of what all replicas counted, and set the counts to zero."""
        seen = self.replicas.total([counter.seen.numpy() for counter in counters])
        n_open = self.replicas.total([counter.open.numpy() for counter in counters])
        for counter in counters:
            counter.reset()
        return mean_auroc(n_open, seen)

    def _require_peaks_for_all(self) -> None:
        """Raise InputError if a replica would have no peak of a batch."""
        smallest = len(self.train_rows) // self.n_steps // self.n_parts
        if smallest < self.replicas.n:
            raise InputError(
                f"{self.replicas.n} devices cannot share batches of {smallest} peaks: each needs one. Train with a larger "
                f"{option('batch_size')}, or on fewer devices."
            )

    def _count_auroc_cells(self, split: str, rows: NDArray[np.intp]) -> int:
        """Count the cells that have an AUROC on some peaks, and tell the user if some have none."""
        cells = self._counted
        n_open = self.prepared.count_open_peaks(rows)[cells]
        n = int(((n_open > 0) & (n_open < len(rows))).sum())
        which = f"all {len(rows):,} {split} peaks are open, or none is"
        if not n:
            say(f"The {split} AUROC cannot be computed and is NaN: in each cell, {which}.")
        elif n < len(cells):
            say(f"The {split} AUROC is the mean over {n:,} of {len(cells):,} cells; in the others, {which}.")
        return n

    def _validated_cells(self) -> NDArray[np.int32] | slice:
        """Return the cells that the validation peaks are scored on: all, or those that AUROCs count where cells are drawn."""
        return self._counted if self.many_cells is not None and self.many_cells.draws else slice(None)

    def _training_stream(self, batches: list[NDArray[np.intp]], epoch: int, first_step: int) -> AbstractContextManager[Stream]:
        """Read the batches of an epoch, from a step on, part after part."""
        many_cells = self.many_cells
        steps = range(first_step, first_step + len(batches))
        parts = [(rows, step) for batch, step in zip(batches, steps, strict=True) for rows in np.array_split(batch, self.n_parts)]
        if many_cells is None:
            return self._stream((rows, self.prepared.batch) for rows, _ in parts)
        return self._stream((rows, functools.partial(many_cells.training_batch, epoch=epoch, step=step)) for rows, step in parts)

    def _validation_stream(self, batches: list[NDArray[np.intp]]) -> AbstractContextManager[Stream]:
        many_cells = self.many_cells
        if many_cells is None:
            return self._stream((rows, self.prepared.batch) for rows in batches)
        return self._stream((rows, functools.partial(many_cells.validation_batch, counted=self._counted)) for rows in batches)

    def _stream(self, batches: Iterable[tuple[NDArray[np.intp], Callable[..., Any]]]) -> AbstractContextManager[Stream]:
        """Read batches from the memory map, two ahead of the training step. Each is given by its rows and what reads rows.

        `tf.data` would do the same, but at the end of an epoch it may wait for as long as the epoch took, for up to a minute.
        """

        def read() -> Stream:
            for rows, read_rows in batches:
                if self.replicas.n == 1:
                    yield tuple(read_rows(rows))
                else:
                    yield tuple(value for part, share in self.replicas.shares(rows) for value in (*read_rows(part), *share))

        return read_ahead(read(), 2)

    def _saved(self, name: str, variable: Any) -> NDArray[Any]:
        """Return a variable as files have it: the head with a column for each cell."""
        array = np.asarray(variable)
        return array.T if self.many_cells is not None and is_of_cells(name, array) else array

    def _in_rows(self, arrays: Arrays) -> Arrays:
        """Return arrays of files as the variables have them."""
        if self.many_cells is None:
            return arrays
        return {name: array.T if is_of_cells(name, array) else array for name, array in arrays.items()}


def _function(step: Callable[..., tf.Tensor], signature: tuple[tf.TensorSpec, ...]) -> Any:
    """Compile a step to a graph, without XLA: it draws other random numbers, and TF_XLA_FLAGS of the user may turn it on."""

    @functools.wraps(step)
    def without_xla(*arguments: tf.Tensor) -> tf.Tensor:
        with tf.xla.experimental.jit_scope(compile_ops=False):
            return step(*arguments)

    return tf.function(without_xla, input_signature=signature, autograph=False)


def assign_weights(network: Network, arrays: Arrays) -> None:
    """Set the weights of a network to those of :meth:`Fit.weights`.

    Raises
    ------
    InputError
        The weights are those of another network.
    """
    _assign({f"weight/{weight.path}": weight for weight in network.weights}, arrays)


def _assign(variables: dict[str, Any], arrays: Arrays) -> None:
    for name, variable in variables.items():
        expected, found = (np.asarray(variable).dtype, tuple(variable.shape)), None
        if name in arrays:
            found = arrays[name].dtype, arrays[name].shape
        if found != expected:
            described = "of type {} and shape {}".format
            raise InputError(
                f"The weights of this run do not fit the network that its run.json describes: expected {name} "
                f"{described(*expected)}, found {'it ' + described(*found) if found else 'none'}. One of the files was changed. "
                f"Put it back as it was, or start the run again with {option('overwrite', True)}."
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
