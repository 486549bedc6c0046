"""The loss of training, on sparse labels, and the AUROC that training watches, mean over cells."""

from __future__ import annotations

import tensorflow as tf


@tf.custom_gradient
def binary_cross_entropy(logits: tf.Tensor, peak: tf.Tensor, cell: tf.Tensor):  # type: ignore[no-untyped-def]
    """Return the mean binary cross-entropy; the labels are given as the positions of the open entries.

    The loss is mean(softplus(z) - y z) and its gradient (sigmoid(z) - y) / n; dense labels are never made.

    Parameters
    ----------
    logits : float32 tensor of shape (n, n_cells)
    peak, cell : int32 tensors of shape (n_open,)
        Row and column of each open entry, without repeats.

    Returns
    -------
    float32 scalar
    """
    where = tf.stack([peak, cell], axis=1)
    count = tf.cast(tf.size(logits), tf.float32)
    # The mean of row means, because a flat sum of 1e8 terms loses digits in float32.
    loss = tf.reduce_mean(tf.reduce_mean(tf.nn.softplus(logits), axis=1)) - tf.reduce_sum(tf.gather_nd(logits, where)) / count

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, None, None]:
        residual = tf.tensor_scatter_nd_sub(tf.sigmoid(logits), where, tf.ones_like(peak, tf.float32))
        return residual * (upstream / count), None, None

    return loss, gradient
