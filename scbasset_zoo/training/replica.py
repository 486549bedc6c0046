"""A copy of the network on one device: its optimiser, its counts, and its share of each step, in TensorFlow."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from scbasset_zoo.training.adam import Adam
from scbasset_zoo.training.architecture import Architecture, Network
from scbasset_zoo.training.augmentation import augment, centre, one_hot
from scbasset_zoo.training.auroc import MeanAuroc
from scbasset_zoo.training.batches import Batches
from scbasset_zoo.training.cell_rows import CellRows
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.gradient_sums import GradientSums
from scbasset_zoo.training.head_in_blocks import pays
from scbasset_zoo.training.learning_rate import learning_rate
from scbasset_zoo.training.loss import binary_cross_entropy
from scbasset_zoo.training.many_cells import Batch, ManyCells
from scbasset_zoo.training.replicas import Share, summed
from scbasset_zoo.training.train_options import TrainingOptions

Tensors = tuple[tf.Tensor, ...]


class Replica:
    """A copy of the network, which computes a share of each batch, or the whole batch where there is one replica.

    All replicas start with the same weights and make the same updates, so their weights stay equal.

    Parameters
    ----------
    prepared : PreparedPeaks
    options : TrainingOptions
    batches : Batches or None
    architecture : Architecture
    precision : {"float32", "bfloat16"}
    n_parts : int
        In how many parts, one after another, each batch comes.
    batch_size : int
        The largest number of peaks in a batch.
    is_alone : bool
        Whether there is no other replica. Otherwise the tensors of a batch are followed by those of a :class:`Share`.
    """

    def __init__(
        self,
        prepared: PreparedPeaks,
        options: TrainingOptions,
        batches: Batches | None,
        architecture: Architecture,
        precision: str,
        *,
        n_parts: int,
        batch_size: int,
        is_alone: bool,
    ):
        self.options, self.flank, self.is_alone = options, prepared.flank, is_alone
        self.auroc, self.validation_auroc = MeanAuroc(prepared.n_cells), MeanAuroc(prepared.n_cells)
        n_drawn = options.cells_per_step if (options.cells_per_step or prepared.n_cells) < prepared.n_cells else None
        self.network = Network(
            architecture, batch_of_cell=batches.batch_of_cell if batches else None, precision=precision, seed=options.seed,
            cells_in_rows=bool(n_drawn) or pays(batch_size, prepared.n_cells),
        )  # fmt: skip
        self.network.expect_parts(n_parts)
        self.many_cells: ManyCells | None = None
        if isinstance(self.network.cell_head, CellRows):
            self.many_cells = ManyCells(self.network, prepared, options, batch_size, n_drawn)
        if options.freeze_trunk:
            self.network.trunk.trainable = False
        self.optimizer = Adam(options.learning_rate, options.beta_1, options.beta_2)
        # Drawn cells have an optimiser of their own.
        apart = self.network.cell_head.trainable_variables if n_drawn else []
        self.trained = [v for v in self.network.trainable_variables if not any(v is other for other in apart)]
        self.optimizer.build(self.trained)
        if n_parts > 1:
            self.sums = GradientSums([v.shape for v in self.trained] + [(n_drawn, *v.shape[1:]) for v in apart])
        width = prepared.sequence_length + 2 * prepared.flank
        of_all = (
            tf.TensorSpec((None, width), tf.int8, "codes"),
            tf.TensorSpec((None,), tf.int32, "peak"),
            tf.TensorSpec((None,), tf.int32, "cell"),
        )
        self.signature = of_all if self.many_cells is None else self.many_cells.signature

    def variables(self) -> dict[str, Any]:
        """Return the weights and the state of the optimiser, by their names in files."""
        state = {f"optimizer/{variable.path}": variable for variable in self.optimizer.variables}
        if self.many_cells is not None and self.many_cells.adam is not None:
            state |= self.many_cells.adam.named
        return self.weights() | state

    def weights(self) -> dict[str, Any]:
        """Return the weights, by their names in files."""
        return {f"weight/{weight.path}": weight for weight in self.network.weights}

    def step(self, arguments: Tensors, number: tf.Tensor) -> tf.Tensor:
        """Train on a batch; return its loss."""
        batch, share = self._split(arguments)
        loss, gradients = self._gradients(batch, share, number)
        self._apply(gradients, batch, number)
        return loss

    def add_part(self, arguments: Tensors, number: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
        """Add the gradients of a part of a batch, which is a fraction of it, and return its fraction of the loss."""
        loss, gradients = self._gradients(*self._split(arguments), number)
        self.sums.add(gradients, fraction)
        return fraction * loss

    def apply_sums(self, arguments: Tensors, number: tf.Tensor) -> tf.Tensor:
        """End a step whose parts were added."""
        self._apply(self.sums.take(), self._split(arguments)[0], number)
        return number

    def validate(self, arguments: Tensors) -> tf.Tensor:
        """Count validation peaks; return their loss."""
        batch, share = self._split(arguments)
        sequence = one_hot(centre(batch[0], self.flank))
        if self.many_cells is None:
            _, peak, cell = batch
            logits = self.network(sequence, training=False)
            self.validation_auroc.update(logits, peak, cell)
            loss = binary_cross_entropy(logits, peak, cell)
        else:
            peak_embedding, batch_logits = self._embedded(sequence, training=False)
            self.many_cells.count(self.validation_auroc, peak_embedding, batch_logits, Batch(*batch))
            loss = self.many_cells.head(peak_embedding, batch_logits, Batch(*batch), gradients=False).loss
        # A share of a small batch may have no peaks, and then no mean loss.
        return loss if share is None else summed(tf.math.multiply_no_nan(loss, share.fraction(batch[0])))

    def _split(self, arguments: Tensors) -> tuple[Tensors, Share | None]:
        return (arguments, None) if self.is_alone else (arguments[:-2], Share(*arguments[-2:]))

    def _gradients(self, batch: Tensors, share: Share | None, number: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Return the loss of some peaks and its gradients: of the trained variables, then of drawn cells; count for the AUROC.

        Both are those of the whole batch. The loss of a share counts by its fraction of the batch, and the shares are added.
        """
        fraction = tf.constant(1.0) if share is None else share.fraction(batch[0])
        sequence = self._augmented(batch[0], share, number)
        if self.many_cells is None:
            loss, gradients = self._gradients_of_all(sequence, batch[1], batch[2], fraction)
        else:
            loss, gradients = self._gradients_of_many(sequence, Batch(*batch), fraction)
        return (loss, gradients) if share is None else (summed(loss), list(summed(gradients)))

    def _gradients_of_all(
        self, sequence: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor, fraction: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        options, network = self.options, self.network
        with tf.GradientTape() as tape:
            logits = network(sequence, training=not options.freeze_trunk)
            loss = binary_cross_entropy(logits, peak, cell)
            for penalty, head in ((options.l2_cell, network.cell_head), (options.l2_batch, network.batch_head)):
                if penalty and head is not None:
                    loss += penalty * tf.reduce_sum(tf.square(head.kernel))
            loss *= fraction
        self.auroc.update(logits, peak, cell)
        return loss, tape.gradient(loss, self.trained)

    def _gradients_of_many(self, sequence: tf.Tensor, batch: Batch, fraction: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Compute without an array of peaks x cells."""
        options, network, many_cells = self.options, self.network, self.many_cells
        assert many_cells is not None
        with tf.GradientTape() as tape:
            peak_embedding, batch_logits = self._embedded(sequence, training=not options.freeze_trunk)
            penalty = tf.constant(0.0)
            if options.l2_batch and network.batch_head is not None:
                penalty = options.l2_batch * tf.reduce_sum(tf.square(network.batch_head.kernel))
        many_cells.count(self.auroc, peak_embedding, batch_logits, batch)
        head = many_cells.head(peak_embedding, batch_logits, batch, gradients=True)
        outputs, upstream = [peak_embedding, penalty], [fraction * head.peak_embedding, fraction]
        if batch_logits is not None:
            outputs, upstream = [*outputs, batch_logits], [*upstream, fraction * head.batch_logits]
        kernel, bias = head.kernel, head.bias
        # The product would be a pass over the gradients of all cells; alone, the fraction is 1.
        if not self.is_alone:
            kernel, bias = fraction * kernel, fraction * bias
        of_cells = {id(network.cell_head.kernel): kernel, id(network.cell_head.bias): bias}
        others = [variable for variable in self.trained if id(variable) not in of_cells]
        of_others = dict(zip(map(id, others), tape.gradient(outputs, others, upstream), strict=True))
        gradients = [(of_cells | of_others)[id(variable)] for variable in self.trained]
        return fraction * (head.loss + penalty), [*gradients, kernel, bias] if many_cells.adam is not None else gradients

    def _embedded(self, sequence: tf.Tensor, *, training: bool) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Return the peak embedding, and the logits of batches if there are any."""
        peak_embedding = tf.cast(self.network.trunk(sequence, training=training), tf.float32)
        return peak_embedding, None if self.network.batch_head is None else self.network.batch_head(peak_embedding)

    def _augmented(self, codes: tf.Tensor, share: Share | None, number: tf.Tensor) -> tf.Tensor:
        """Return the one-hot windows of a step, shifted and reverse-complemented, and start its dropout."""
        options = self.options
        self.network.restart_dropout(options.seed, number, share)
        return one_hot(
            augment(
                codes,
                flank=self.flank,
                shift=options.shift,
                reverse_complement=options.reverse_complement,
                seed=tf.stack([tf.cast(options.seed, tf.int64), number]),
                share=share,
            )
        )

    def _apply(self, gradients: list[tf.Tensor], batch: Tensors, number: tf.Tensor) -> None:
        """Update the weights by gradients in the order of :meth:`_gradients`."""
        rate = learning_rate(number, self.options.learning_rate, self.options.warmup)
        self.optimizer.learning_rate.assign(rate)
        of_trained = gradients[: len(self.trained)]
        if self.trained and self.is_alone:
            self.optimizer.apply(of_trained, self.trained)
        elif self.trained:
            # `apply` would let a strategy of TensorFlow add up gradients, which are sums over all replicas already.
            for gradient, variable in zip(of_trained, self.trained, strict=True):
                self.optimizer.update_step(gradient, variable, rate)
            self.optimizer.iterations.assign_add(1)
        if self.many_cells is not None and self.many_cells.adam is not None:
            kernel, bias = gradients[len(self.trained) :]
            self.many_cells.adam.apply(Batch(*batch).cells, (kernel, bias), rate)
