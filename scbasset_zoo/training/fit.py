"""A network that is being fitted, its optimiser and its counts, and the training step in TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from scbasset_zoo.progress import say
from scbasset_zoo.training.architecture import Architecture, Network, n_trainable
from scbasset_zoo.training.augmentation import augment, centre, one_hot
from scbasset_zoo.training.auroc import MeanAuroc
from scbasset_zoo.training.batches import Batches
from scbasset_zoo.training.checkpoint import Arrays
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.loss import binary_cross_entropy
from scbasset_zoo.training.precision import resolve_precision
from scbasset_zoo.training.train_options import TrainingOptions


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
    """

    def __init__(
        self,
        prepared: PreparedPeaks,
        options: TrainingOptions,
        batches: Batches | None,
        *,
        resumed: bool = False,
    ):
        if not tf.config.list_physical_devices("GPU"):
            tf.config.experimental.enable_op_determinism()
        keras.utils.set_random_seed(options.seed)
        self.prepared, self.options = prepared, options
        self.precision, why = resolve_precision(options.precision)
        say(f"training in {self.precision} ({why})")
        self.train_rows, self.validation_rows = prepared.rows("train"), prepared.rows("validation")
        self.n_steps = -(-len(self.train_rows) // options.batch_size)
        self.batch_size = len(self.train_rows) / self.n_steps
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
        if options.init_from and not resumed:
            from scbasset_zoo.training.initialise import start_trunk_from

            start_trunk_from(self.network, options.init_from, prepared, options.seed)
        if options.freeze_trunk:
            self.network.trunk.trainable = False
        self.n_trainable = n_trainable(self.network)
        self.optimizer = keras.optimizers.Adam(options.learning_rate, options.beta_1, options.beta_2, name="adam")
        self.optimizer.build(self.network.trainable_variables)
        self.auroc, self.validation_auroc = MeanAuroc(prepared.n_cells), MeanAuroc(prepared.n_cells)
        self.state: dict[str, Any] = {"epoch": 0, "step": 0, "loss_sum": 0.0, "best_auroc": float("-inf"), "best_epoch": 0}
        width = prepared.sequence_length + 2 * prepared.flank
        self._signature = (
            tf.TensorSpec((None, width), tf.int8, "codes"),
            tf.TensorSpec((None,), tf.int32, "peak"),
            tf.TensorSpec((None,), tf.int32, "cell"),
        )
        number = tf.TensorSpec((), tf.int64, "number")
        self._train_step = tf.function(self._step, input_signature=(*self._signature, number), autograph=False)
        self._validation_step = tf.function(self._validate, input_signature=self._signature, autograph=False)

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
        """Restore a snapshot."""
        assign_weights(self.network, arrays)
        for variable in self.optimizer.variables:
            variable.assign(arrays[f"optimizer/{variable.path}"])
        if state["step"]:
            self.auroc.seen.assign(arrays["auroc/seen"])
            self.auroc.open.assign(arrays["auroc/open"])
        self.state = dict(state)

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

    def _stream(self, batches: list[NDArray[np.intp]]) -> tf.data.Dataset:
        """Read batches from the memory map, two ahead of the training step."""
        dataset = tf.data.Dataset.from_generator(lambda: map(self.prepared.batch, batches), output_signature=self._signature)
        return dataset.prefetch(2)


def assign_weights(network: Network, arrays: Arrays) -> None:
    """Set the weights of a network to those of :meth:`Fit.weights`."""
    for weight in network.weights:
        weight.assign(arrays[f"weight/{weight.path}"])
