"""The layers of the trunk that Keras lacks or computes slowly: GELU, batch normalisation, and both with the max pool between."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from scbasset_zoo.training.norm_pool_gelu import GELU_SLOPE, norm_pool_gelu
from scbasset_zoo.training.replicas import Share, summed
from scbasset_zoo.training.training_device import sees_gpu


@tf.custom_gradient
def gelu(x: tf.Tensor):  # type: ignore[no-untyped-def]
    """Return GELU in the approximation of the published code, x * sigmoid(1.702 x).

    The sigmoid is computed in float32, which is twice as fast on a CPU as bfloat16, and is kept for the gradient.
    """
    slope = tf.cast(GELU_SLOPE, x.dtype)
    sigmoid = tf.cast(tf.sigmoid(GELU_SLOPE * tf.cast(x, tf.float32)), x.dtype)
    y = x * sigmoid
    return y, lambda upstream: upstream * (sigmoid + slope * (y - y * sigmoid))


class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the last axis (momentum 0.9, epsilon 1e-3) through TensorFlow's fused kernel.

    Keras computes the moments in separate passes, and in float32 even if activations are bfloat16. The fused kernel is
    about three times as fast on a CPU. Statistics and parameters are float32 for every precision of `x`.
    """

    def __init__(self, name: str):
        super().__init__(momentum=0.9, epsilon=1e-3, name=name, dtype="float32", autocast=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return self._over_replicas(x)
        shape = tf.shape(x)
        flat = tf.reshape(x, (shape[0], 1, -1, x.shape[-1]))
        if training:
            y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=flat, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon, is_training=True
            )
            # The kernel returns the variance over n - 1; the moving variance of Keras is over n.
            n = tf.cast(tf.size(flat) // x.shape[-1], tf.float32)
            self.move_statistics(mean, variance * ((n - 1) / n))
        else:
            y, *_ = tf.raw_ops.FusedBatchNormV3(
                x=flat, scale=self.gamma, offset=self.beta, mean=self.moving_mean, variance=self.moving_variance,
                epsilon=self.epsilon, is_training=False,
            )  # fmt: skip
        return tf.reshape(y, shape)

    def _over_replicas(self, x: tf.Tensor) -> tf.Tensor:
        """Normalise by the statistics of the whole batch, whose shares are on several replicas."""
        wide, axes = tf.cast(x, tf.float32), list(range(len(x.shape) - 1))
        n = summed(tf.cast(tf.size(x) // x.shape[-1], tf.float32))
        mean = summed(tf.reduce_sum(wide, axes)) / n
        variance = summed(tf.reduce_sum(tf.math.squared_difference(wide, mean), axes)) / n
        self.move_statistics(mean, variance)
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast((wide - mean) * scale + self.beta, x.dtype)

    def move_statistics(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Move the statistics for inference towards those of a batch."""
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))

    def expect_parts(self, n_parts: int) -> None:
        """Let the statistics move as far in the parts of a batch, one after another, as they otherwise do in a whole batch."""
        self.momentum = 0.9 ** (1 / n_parts)


class Dropout(keras.layers.Dropout):
    """Dropout whose mask is that of the whole batch, also where a replica has a share of it.

    Attributes
    ----------
    share : Share or None
        Set before each call in training.
    """

    share: Share | None = None

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if self.share is None or not training:
            return super().call(x, training=training)
        return self.share.of_whole(lambda whole: super(Dropout, self).call(whole, training=True), x)


class NormPoolGelu(BatchNormalization):
    """Batch normalisation, max pool and GELU, in this order, over the last axis of (n, length, channels).

    On a CPU in training, :func:`norm_pool_gelu` computes them together. Elsewhere the three follow each other.

    Parameters
    ----------
    name : str
    pool : int
        Width of the max pool; 1 pools nothing.
    """

    def __init__(self, name: str, pool: int):
        super().__init__(name)
        self.pool = pool

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training and self._together(x):
            gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
            y, mean, variance = norm_pool_gelu(x, gamma, beta, pool=self.pool, epsilon=self.epsilon)
            self.move_statistics(mean, variance)
            return y
        return gelu(_max_pool(super().call(x, training), self.pool))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        n, length, channels = input_shape
        return n, -(-length // self.pool), channels

    def _together(self, x: tf.Tensor) -> bool:
        return not sees_gpu() and x.shape[1] % self.pool == 0


def _max_pool(x: tf.Tensor, pool: int) -> tf.Tensor:
    return x if pool == 1 else tf.nn.max_pool1d(x, pool, pool, "SAME")
