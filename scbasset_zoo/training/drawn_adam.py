"""Adam for the head where each step draws some cells: it reads and writes the rows of the drawn cells alone."""

from __future__ import annotations

import tensorflow as tf

from scbasset_zoo.training.adam import EPSILON


class DrawnAdam(tf.Module):
    """Adam whose state of a cell moves only in the steps that draw the cell.

    The two means of a cell's gradient decay, and their bias is corrected, by the number of steps that drew the cell. A cell is
    therefore fitted by plain Adam over its own steps, however rare they are.

    Parameters
    ----------
    kernel, bias : variables of shape (n_cells, k) and (n_cells,)
        The weights of the cells.
    beta_1, beta_2 : float
    """

    def __init__(self, kernel: tf.Variable, bias: tf.Variable, beta_1: float, beta_2: float):
        super().__init__()
        self.beta_1, self.beta_2 = beta_1, beta_2
        self._weights = (kernel, bias)
        self.n_draws = tf.Variable(tf.zeros(kernel.shape[0], tf.int32), trainable=False, name="n_draws")
        self.momentums, self.velocities = (
            [tf.Variable(tf.zeros(weight.shape), trainable=False) for weight in self._weights] for _ in range(2)
        )

    @property
    def named(self) -> dict[str, tf.Variable]:
        """The state, by the names that Keras' Adam gives it."""
        state = {"optimizer/adam/n_draws": self.n_draws}
        for name, momentum, velocity in zip(("kernel", "bias"), self.momentums, self.velocities, strict=True):
            state[f"optimizer/adam/scbasset_cell_head_{name}_momentum"] = momentum
            state[f"optimizer/adam/scbasset_cell_head_{name}_velocity"] = velocity
        return state

    def apply(self, drawn: tf.Tensor, gradients: tuple[tf.Tensor, tf.Tensor], learning_rate: tf.Tensor) -> None:
        """Update the rows of the cells `drawn` (int32, without repeats) by the gradients of these rows."""
        n_draws = tf.gather(self.n_draws, drawn) + 1
        self.n_draws.scatter_update(tf.IndexedSlices(n_draws, drawn))
        n = tf.cast(n_draws, tf.float32)
        rate = learning_rate * tf.sqrt(1 - tf.pow(self.beta_2, n)) / (1 - tf.pow(self.beta_1, n))
        for weight, m, v, gradient in zip(self._weights, self.momentums, self.velocities, gradients, strict=True):
            mean, square = tf.gather(m, drawn), tf.gather(v, drawn)
            mean += (gradient - mean) * (1 - self.beta_1)
            square += (tf.square(gradient) - square) * (1 - self.beta_2)
            step = (rate[:, None] if len(gradient.shape) == 2 else rate) * mean / (tf.sqrt(square) + EPSILON)
            m.scatter_update(tf.IndexedSlices(mean, drawn))
            v.scatter_update(tf.IndexedSlices(square, drawn))
            weight.scatter_sub(tf.IndexedSlices(step, drawn))
