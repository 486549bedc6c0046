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
from scbasset_zoo.training.cell_rows import CellRows, is_of_cells
from scbasset_zoo.training.checkpoint import Arrays
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.gradient_sums import GradientSums
from scbasset_zoo.training.head_in_blocks import pays
from scbasset_zoo.training.held_out import HeldOut, held_out_peaks
from scbasset_zoo.training.learning_rate import learning_rate
from scbasset_zoo.training.loss import binary_cross_entropy
from scbasset_zoo.training.many_cells import Batch, ManyCells
from scbasset_zoo.training.precision import resolve_precision
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.training.training_device import training_device
from scbasset_zoo.training.training_memory import say_and_check_memory
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
        n_drawn = options.cells_per_step if (options.cells_per_step or prepared.n_cells) < prepared.n_cells else None
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
        largest_batch = -(-len(self.train_rows) // self.n_steps)
        architecture = Architecture(
            n_cells=prepared.n_cells,
            n_batches=len(batches.names) if batches else 0,
            embedding_size=options.embedding_size,
            width=options.width,
            sequence_length=prepared.sequence_length,
        )
        self.n_parts = say_and_check_memory(prepared, options, architecture, self.precision, on_gpu=self.device == "cuda")
        self.network = Network(
            architecture, batch_of_cell=batches.batch_of_cell if batches else None, precision=self.precision, seed=options.seed,
            cells_in_rows=bool(n_drawn) or pays(largest_batch, prepared.n_cells),
        )  # fmt: skip
        self.network.expect_parts(self.n_parts)
        self.many_cells: ManyCells | None = None
        if isinstance(self.network.cell_head, CellRows):
            self.many_cells = ManyCells(self.network, prepared, options, largest_batch, n_drawn)
        self.initialised_from: dict[str, Any] | None = None
        if options.init_from and not resumed:
            from scbasset_zoo.training.initialise import start_from

            self.initialised_from = start_from(self.network, options.init_from, prepared, batches, options.seed)
        if options.freeze_trunk:
            self.network.trunk.trainable = False
        self.n_trainable = n_trainable(self.network)
        self.optimizer = keras.optimizers.Adam(options.learning_rate, options.beta_1, options.beta_2, epsilon=1e-7, name="adam")
        # Drawn cells have an optimiser of their own.
        apart = self.network.cell_head.trainable_variables if n_drawn else []
        self.trained = [v for v in self.network.trainable_variables if not any(v is other for other in apart)]
        self.optimizer.build(self.trained)
        self.state: dict[str, Any] = {"epoch": 0, "step": 0, "loss_sum": 0.0, "best_auroc": float("-inf"), "best_epoch": 0}
        width = prepared.sequence_length + 2 * prepared.flank
        self._signature = (
            tf.TensorSpec((None, width), tf.int8, "codes"),
            tf.TensorSpec((None,), tf.int32, "peak"),
            tf.TensorSpec((None,), tf.int32, "cell"),
        )
        signature = self._signature if self.many_cells is None else self.many_cells.signature
        number, share = tf.TensorSpec((), tf.int64, "number"), tf.TensorSpec((), tf.float32, "share")
        self._train_step = _function(self._step, (*signature, number))
        if self.n_parts > 1:
            self._sums = GradientSums([v.shape for v in self.trained] + [(n_drawn, *v.shape[1:]) for v in apart])
            self._train_part = _function(self._add_part, (*signature, number, share))
            self._end_step = _function(self._apply_sums, (*signature, number))
        self._validation_step = _function(self._validate if self.many_cells is None else self._validate_many, signature)

    def epoch(self) -> Iterator[tuple[int, float]]:
        """Run the rest of the current epoch, and yield (step, loss) after each step."""
        options, state = self.options, self.state
        order = np.random.default_rng([options.seed, state["epoch"]]).permutation(self.train_rows)
        # Batches have nearly equal sizes, because a last batch of one or two peaks would spoil batch normalisation.
        batches = np.array_split(order, self.n_steps)[state["step"] :]
        stream = iter(self._training_stream(batches, state["epoch"], state["step"]))
        for batch in batches:
            step = state["step"]
            loss = self._trained_on(batch, stream, state["epoch"] * self.n_steps + step)
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
        _assign(self._weights(), self._in_rows(weights))
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
        return {name: self._saved(name, weight) for name, weight in self._weights().items()}

    def snapshot(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the arrays and the state that :meth:`restore` needs."""
        arrays = self.weights()
        arrays |= {name: self._saved(name, variable) for name, variable in self._optimizer_state().items()}
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
        variables = self._weights() | self._optimizer_state()
        if state["step"]:
            variables |= {"auroc/seen": self.auroc.seen, "auroc/open": self.auroc.open}
        _assign(variables, self._in_rows(arrays))
        self.optimizer.learning_rate = self.options.learning_rate
        self.state = {name: state[name] for name in self.state}

    def _trained_on(self, batch: NDArray[np.intp], stream: Iterator[Any], step: int) -> float:
        """Take a step, at once or in parts of its batch, and return its loss."""
        number = tf.constant(step, tf.int64)
        if self.n_parts == 1:
            return float(self._train_step(*next(stream), number))
        loss = 0.0
        for part, rows in enumerate(np.array_split(batch, self.n_parts)):
            arguments = next(stream)
            part_number, share = tf.constant(step * self.n_parts + part, tf.int64), tf.constant(len(rows) / len(batch), tf.float32)
            loss += float(self._train_part(*arguments, part_number, share))
        self._end_step(*arguments, number)
        return loss

    def _step(self, *arguments: tf.Tensor) -> tf.Tensor:
        """Train on a whole batch."""
        batch, number = arguments[:-1], arguments[-1]
        loss, gradients = self._gradients(batch, number)
        self._apply(gradients, batch, number)
        return loss

    def _add_part(self, *arguments: tf.Tensor) -> tf.Tensor:
        """Add the gradients of a part of a batch, and return its share of the loss."""
        batch, number, share = arguments[:-2], arguments[-2], arguments[-1]
        loss, gradients = self._gradients(batch, number)
        self._sums.add(gradients, share)
        return share * loss

    def _apply_sums(self, *arguments: tf.Tensor) -> tf.Tensor:
        """End a step whose parts were added."""
        batch, number = arguments[:-1], arguments[-1]
        self._apply(self._sums.take(), batch, number)
        return number

    def _apply(self, gradients: list[tf.Tensor], batch: tuple[tf.Tensor, ...], number: tf.Tensor) -> None:
        """Update the weights by gradients in the order of :meth:`_gradients`."""
        rate = learning_rate(number, self.options.learning_rate, self.options.warmup)
        self.optimizer.learning_rate.assign(rate)
        if self.trained:
            self.optimizer.apply(gradients[: len(self.trained)], self.trained)
        if self.many_cells is not None and self.many_cells.adam is not None:
            kernel, bias = gradients[len(self.trained) :]
            self.many_cells.adam.apply(Batch(*batch).cells, (kernel, bias), rate)

    def _gradients(self, batch: tuple[tf.Tensor, ...], number: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Return the loss of some peaks and its gradients: of the trained variables, then of drawn cells; count for the AUROC."""
        if self.many_cells is not None:
            return self._gradients_of_many(Batch(*batch), number)
        codes, peak, cell = batch
        return self._gradients_of_all(codes, peak, cell, number)

    def _gradients_of_all(
        self, codes: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor, number: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        options, network = self.options, self.network
        sequence = self._augmented(codes, number)
        with tf.GradientTape() as tape:
            logits = network(sequence, training=not options.freeze_trunk)
            loss = binary_cross_entropy(logits, peak, cell)
            for penalty, head in ((options.l2_cell, network.cell_head), (options.l2_batch, network.batch_head)):
                if penalty and head is not None:
                    loss += penalty * tf.reduce_sum(tf.square(head.kernel))
        self.auroc.update(logits, peak, cell)
        return loss, tape.gradient(loss, self.trained)

    def _gradients_of_many(self, batch: Batch, number: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Compute without an array of peaks x cells."""
        options, network, many_cells = self.options, self.network, self.many_cells
        assert many_cells is not None
        sequence = self._augmented(batch.codes, number)
        with tf.GradientTape() as tape:
            peak_embedding = tf.cast(network.trunk(sequence, training=not options.freeze_trunk), tf.float32)
            batch_logits = None if network.batch_head is None else network.batch_head(peak_embedding)
            penalty = tf.constant(0.0)
            if options.l2_batch and network.batch_head is not None:
                penalty = options.l2_batch * tf.reduce_sum(tf.square(network.batch_head.kernel))
        many_cells.count(self.auroc, peak_embedding, batch_logits, batch)
        head = many_cells.head(peak_embedding, batch_logits, batch, gradients=True)
        outputs, upstream = [peak_embedding, penalty], [head.peak_embedding, tf.constant(1.0)]
        if batch_logits is not None:
            outputs, upstream = [*outputs, batch_logits], [*upstream, head.batch_logits]
        of_cells = {id(network.cell_head.kernel): head.kernel, id(network.cell_head.bias): head.bias}
        others = [variable for variable in self.trained if id(variable) not in of_cells]
        of_others = dict(zip(map(id, others), tape.gradient(outputs, others, upstream), strict=True))
        gradients = [(of_cells | of_others)[id(variable)] for variable in self.trained]
        return head.loss + penalty, [*gradients, head.kernel, head.bias] if many_cells.adam is not None else gradients

    def _validate_many(self, *arguments: tf.Tensor) -> tf.Tensor:
        assert self.many_cells is not None
        batch, network = Batch(*arguments), self.network
        peak_embedding = tf.cast(network.trunk(one_hot(centre(batch.codes, self.prepared.flank)), training=False), tf.float32)
        batch_logits = None if network.batch_head is None else network.batch_head(peak_embedding)
        self.many_cells.count(self.validation_auroc, peak_embedding, batch_logits, batch)
        return self.many_cells.head(peak_embedding, batch_logits, batch, gradients=False).loss

    def _augmented(self, codes: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Return the one-hot windows of a step, shifted and reverse-complemented, and start its dropout."""
        options = self.options
        self.network.restart_dropout(options.seed, number)
        return one_hot(
            augment(
                codes,
                flank=self.prepared.flank,
                shift=options.shift,
                reverse_complement=options.reverse_complement,
                seed=tf.stack([tf.cast(options.seed, tf.int64), number]),
            )
        )

    def _validate(self, codes: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor) -> tf.Tensor:
        logits = self.network(one_hot(centre(codes, self.prepared.flank)), training=False)
        self.validation_auroc.update(logits, peak, cell)
        return binary_cross_entropy(logits, peak, cell)

    def _validation(self) -> dict[str, float]:
        rows = self.validation_rows
        batches = np.array_split(rows, -(-len(rows) // self.options.batch_size))
        losses = [float(self._validation_step(*batch)) for batch in self._validation_stream(batches)]
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

    def _validated_cells(self) -> NDArray[np.int32] | slice:
        """Return the cells that the validation peaks are scored on: all, or those that AUROCs count where cells are drawn."""
        return self.auroc.cells if self.many_cells is not None and self.many_cells.draws else slice(None)

    def _training_stream(self, batches: list[NDArray[np.intp]], epoch: int, first_step: int) -> tf.data.Dataset:
        """Read the batches of an epoch, from a step on, part after part."""
        many_cells = self.many_cells
        steps = range(first_step, first_step + len(batches))
        parts = [(rows, step) for batch, step in zip(batches, steps, strict=True) for rows in np.array_split(batch, self.n_parts)]
        if many_cells is None:
            return _stream(lambda: (self.prepared.batch(rows) for rows, _ in parts), self._signature)
        return _stream(lambda: (many_cells.training_batch(rows, epoch, step) for rows, step in parts), many_cells.signature)

    def _validation_stream(self, batches: list[NDArray[np.intp]]) -> tf.data.Dataset:
        many_cells = self.many_cells
        if many_cells is None:
            return _stream(lambda: map(self.prepared.batch, batches), self._signature)
        counted = self.auroc.cells
        return _stream(lambda: (many_cells.validation_batch(rows, counted) for rows in batches), many_cells.signature)

    def _weights(self) -> dict[str, Any]:
        return {f"weight/{weight.path}": weight for weight in self.network.weights}

    def _optimizer_state(self) -> dict[str, Any]:
        state = {f"optimizer/{variable.path}": variable for variable in self.optimizer.variables}
        return state | (self.many_cells.adam.named if self.many_cells is not None and self.many_cells.adam is not None else {})

    def _saved(self, name: str, variable: Any) -> NDArray[Any]:
        """Return a variable as files have it: the head with a column for each cell."""
        array = np.asarray(variable)
        return array.T if self.many_cells is not None and is_of_cells(name, array) else array

    def _in_rows(self, arrays: Arrays) -> Arrays:
        """Return arrays of files as the variables have them."""
        if self.many_cells is None:
            return arrays
        return {name: array.T if is_of_cells(name, array) else array for name, array in arrays.items()}


def _stream(generator: Callable[[], Iterator[Any]], signature: tuple[tf.TensorSpec, ...]) -> tf.data.Dataset:
    """Read batches from the memory map, two ahead of the training step."""
    return tf.data.Dataset.from_generator(generator, output_signature=signature).prefetch(2)


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
