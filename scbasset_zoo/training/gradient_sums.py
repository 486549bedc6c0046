"""Gradient accumulation: the gradients of the parts of a batch, summed over the parts."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class GradientSums(tf.Module):
    """Sums of gradients over the parts of a batch, which are computed one after another.

    Parameters
    ----------
    shapes : sequence of shapes
        Shape of each gradient.
    """

    def __init__(self, shapes: Sequence[Sequence[int]]):
        super().__init__()
        self._sums = [tf.Variable(tf.zeros(shape), trainable=False) for shape in shapes]

    def add(self, gradients: Sequence[tf.Tensor], share: tf.Tensor) -> None:
        """Add the gradients of a part that holds a share of the peaks of its batch."""
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(share * gradient)

    def take(self) -> list[tf.Tensor]:
        """Return the sums, and start again from zero."""
        sums = [tf.identity(total) for total in self._sums]
        with tf.control_dependencies(sums):
            for total in self._sums:
                total.assign(tf.zeros_like(total))
        return sums
