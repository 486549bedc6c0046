"""Adam that updates each variable by one operation, in place: with many cells, arrays of the head's size in between cost memory."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

EPSILON = 1e-7


class Adam(keras.optimizers.Adam):
    """Keras' Adam, with the update of a variable by TensorFlow's own operation for it.

    Parameters
    ----------
    learning_rate, beta_1, beta_2 : float
    """

    def __init__(self, learning_rate: float, beta_1: float, beta_2: float):
        super().__init__(learning_rate, beta_1, beta_2, epsilon=EPSILON, name="adam")

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        """Update a variable and its two means by a gradient."""
        number = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value, tf.float32) + 1
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].handle,
            v=self._velocities[number].handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
