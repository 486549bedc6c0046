"""A network that is being fitted, its optimiser and its counts, and the training step in TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say
from scbasset_zoo.training.architecture import Architecture, Network, n_trainable
from scbasset_zoo.training.augmentation import augment, centre, one_hot
from scbasset_zoo.training.auroc import MeanAuroc
from scbasset_zoo.training.batches import Batches
from scbasset_zoo.training.checkpoint import Arrays
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.held_out import HeldOut, held_out_peaks
from scbasset_zoo.training.loss import binary_cross_entropy
from scbasset_zoo.training.precision import resolve_precision
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.training.training_device import training_device
from scbasset_zoo.wording import option


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

    Raises
    ------
    InputError
        No cell has both open and closed training peaks.
    """

    def __init__(
        self,
        prepared: PreparedPeaks,
        options: TrainingOptions,
        batches: Batches | None,
        *,
        resumed: bool = False,
    ):
        self.prepared, self.options = prepared, options
        self.device, self.device_reason = training_device()
        say(f"Training on {self.device} ({self.device_reason}).")
        self.precision, why = resolve_precision(options.precision)
        say(f"Training in {self.precision} ({why}).")
        self.train_rows, self.validation_rows = prepared.rows("train"), prepared.rows("validation")
        self.n_steps = -(-len(self.train_rows) // options.batch_size)
        self.batch_size = len(self.train_rows) / self.n_steps
        self.auroc, self.validation_auroc = MeanAuroc(prepared.n_cells), MeanAuroc(prepared.n_cells)
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
        self.network = Network(
            architecture, batch_of_cell=batches.batch_of_cell if batches else None, precision=self.precision, seed=options.seed
        )
        self.initialised_from: dict[str, Any] | None = None
        if options.init_from and not resumed:
            from scbasset_zoo.training.initialise import start_from

            self.initialised_from = start_from(self.network, options.init_from, prepared, batches, options.seed)
        if options.freeze_trunk:
            self.network.trunk.trainable = False
        self.n_trainable = n_trainable(self.network)
        self.optimizer = keras.optimizers.Adam(options.learning_rate, options.beta_1, options.beta_2, epsilon=1e-7, name="adam")
        self.optimizer.build(self.network.trainable_variables)
        self.state: dict[str, Any] = {"epoch": 0, "step": 0, "loss_sum": 0.0, "best_auroc": float("-inf"), "best_epoch": 0}
        width = prepared.sequence_length + 2 * prepared.flank
        self._signature = (
            tf.TensorSpec((None, width), tf.int8, "codes"),
            tf.TensorSpec((None,), tf.int32, "peak"),
            tf.TensorSpec((None,), tf.int32, "cell"),
        )
        number = tf.TensorSpec((), tf.int64, "number")
        self._train_step = _function(self._step, (*self._signature, number))
        self._validation_step = _function(self._validate, self._signature)

    def epoch(self) -> Iterator[tuple[int, float]]:
        """Run the rest of the current epoch, and yield (step, loss) after each step."""
        options, state = self.options, self.state
        order = np.random.default_rng([options.seed, state["epoch"]]).permutation(self.train_rows)
        # Batches have nearly equal sizes, because a last batch of one or two peaks would spoil batch normalisation.
        batches = np.array_split(order, self.n_steps)[state["step"] :]
        for codes, peak, cell in self._stream(batches):
            step = state["step"]
            loss = float(self._train_step(codes, peak, cell, tf.constant(state["epoch"] * self.n_steps + step, tf.int64)))
            state["step"] = step + 1
            state["loss_sum"] += loss
            yield step, loss

    def end_epoch(self) -> dict[str, Any]:
        """Score the validation peaks, move to the next epoch, and return the row of the history for this one."""
        state = self.state
        epoch, auroc = state["epoch"] + 1, self.auroc.result()
        row = {"epoch": epoch, "loss": state["loss_sum"] / self.n_steps, "auroc": auroc, **self._validation()}
        if auroc > state["best_auroc"] + self.options.min_delta or not state["best_epoch"]:
            state.update(best_auroc=auroc, best_epoch=epoch)
        state.update(epoch=epoch, step=0, loss_sum=0.0)
        self.auroc.reset()
        return row

    def held_out(self, weights: Arrays) -> HeldOut:
        """Return the validation peaks with what a network of these weights makes of them; the network keeps the weights."""
        assign_weights(self.network, weights)
        rows = self.validation_rows
        embed = _function(lambda codes: self.network.trunk(one_hot(centre(codes, self.prepared.flank))), self._signature[:1])
        batches = np.array_split(rows, -(-len(rows) // self.options.batch_size))
        embedded = [np.asarray(embed(self.prepared.sequences[batch]), dtype=np.float32) for batch in batches]
        return held_out_peaks(self.prepared, "validation", np.concatenate(embedded), *self.network.head())

    def loss_of_depth(self) -> float:
        """Return the validation loss of a model that knows nothing but the share of open validation peaks of each cell."""
        share = self.prepared.count_open_peaks(self.validation_rows) / len(self.validation_rows)
        entropy = -sum(p * np.log(np.where(p > 0, p, 1)) for p in (share, 1 - share))
        return float(np.mean(entropy))

    def weights(self) -> Arrays:
        """Return every weight of the network, by its path."""
        return {f"weight/{weight.path}": np.asarray(weight) for weight in self.network.weights}

    def snapshot(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the arrays and the state that :meth:`restore` needs."""
        arrays = self.weights()
        arrays |= {f"optimizer/{variable.path}": np.asarray(variable) for variable in self.optimizer.variables}
        if self.state["step"]:
            arrays |= {"auroc/seen": self.auroc.seen.numpy(), "auroc/open": self.auroc.open.numpy()}
        return arrays, dict(self.state)

    def restore(self, arrays: Arrays, state: dict[str, Any]) -> None:
        """Restore a snapshot; the learning rate stays that of the options.

        Raises
        ------
        InputError
            The snapshot is that of another network.
        """
        variables = {f"weight/{weight.path}": weight for weight in self.network.weights}
        variables |= {f"optimizer/{variable.path}": variable for variable in self.optimizer.variables}
        if state["step"]:
            variables |= {"auroc/seen": self.auroc.seen, "auroc/open": self.auroc.open}
        _assign(variables, arrays)
        self.optimizer.learning_rate = self.options.learning_rate
        self.state = {name: state[name] for name in self.state}

    def _step(self, codes: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        options, network = self.options, self.network
        seed = tf.stack([tf.cast(options.seed, tf.int64), number])
        network.restart_dropout(options.seed, number)
        sequence = one_hot(
            augment(
                codes,
                flank=self.prepared.flank,
                shift=options.shift,
                reverse_complement=options.reverse_complement,
                seed=seed,
            )
        )
        with tf.GradientTape() as tape:
            logits = network(sequence, training=not options.freeze_trunk)
            cross_entropy = binary_cross_entropy(logits, peak, cell)
            loss = cross_entropy
            for penalty, head in ((options.l2_cell, network.cell_head), (options.l2_batch, network.batch_head)):
                if penalty and head is not None:
                    loss += penalty * tf.reduce_sum(tf.square(head.kernel))
        gradients = tape.gradient(loss, network.trainable_variables)
        self.optimizer.apply(gradients, network.trainable_variables)
        self.auroc.update(logits, peak, cell)
        return loss

    def _validate(self, codes: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor) -> tf.Tensor:
        logits = self.network(one_hot(centre(codes, self.prepared.flank)), training=False)
        self.validation_auroc.update(logits, peak, cell)
        return binary_cross_entropy(logits, peak, cell)

    def _validation(self) -> dict[str, float]:
        rows = self.validation_rows
        batches = np.array_split(rows, -(-len(rows) // self.options.batch_size))
        losses = [float(self._validation_step(*batch)) for batch in self._stream(batches)]
        loss = float(np.average(losses, weights=[len(batch) for batch in batches]))
        auroc = self.validation_auroc.result()
        self.validation_auroc.reset()
        return {"validation_loss": loss, "validation_auroc": auroc}

    def _count_auroc_cells(self, split: str, rows: NDArray[np.intp]) -> int:
        """Count the cells that have an AUROC on some peaks, and tell the user if some have none."""
        cells = self.auroc.cells
        n_open = self.prepared.count_open_peaks(rows)[cells]
        n = int(((n_open > 0) & (n_open < len(rows))).sum())
        which = f"all {len(rows):,} {split} peaks are open, or none is"
        if not n:
            say(f"The {split} AUROC cannot be computed and is NaN: in each cell, {which}.")
        elif n < len(cells):
            say(f"The {split} AUROC is the mean over {n:,} of {len(cells):,} cells; in the others, {which}.")
        return n

    def _stream(self, batches: list[NDArray[np.intp]]) -> tf.data.Dataset:
        """Read batches from the memory map, two ahead of the training step."""
        dataset = tf.data.Dataset.from_generator(lambda: map(self.prepared.batch, batches), output_signature=self._signature)
        return dataset.prefetch(2)


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
