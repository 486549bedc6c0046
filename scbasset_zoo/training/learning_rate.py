"""The learning rate of a training step, by its number alone."""

from __future__ import annotations

import tensorflow as tf


def learning_rate(step: tf.Tensor, highest: float, warmup: int) -> tf.Tensor:
    """Return the learning rate of a step: it rises in equal parts over the first `warmup` steps, and then stays.

    Linear warmup (Goyal et al. 2017, arXiv 1706.02677, section 2.2), from ``highest / warmup`` in the first step.

    Parameters
    ----------
    step : int64 scalar
        Number of steps before this one since the start of the run.
    highest : float
    warmup : int
        Number of steps; with 0 and 1 each step has the highest rate.

    Returns
    -------
    float32 scalar
    """
    return highest * tf.minimum(1.0, tf.cast(step + 1, tf.float32) / max(1, warmup))
