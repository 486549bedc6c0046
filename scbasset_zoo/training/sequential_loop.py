"""A loop of TensorFlow whose steps follow each other, so that the memory of one step is enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def sequential_loop(goes_on: Callable[..., Any], step: Callable[..., Any], state: tuple[Any, ...]) -> Any:
    """Return the state after the last step. As in all of a training step, XLA compiles nothing, whatever TF_XLA_FLAGS says.

    Parameters
    ----------
    goes_on : callable
        Takes the state, and returns whether there is another step.
    step : callable
        Takes the state, and returns the next one.
    state : tuple
    """

    def without_xla(*now: Any) -> Any:
        if tf.executing_eagerly():
            return step(*now)
        # The scope of the caller does not reach into the graph of a loop.
        with tf.xla.experimental.jit_scope(compile_ops=False):
            return step(*now)

    return tf.while_loop(goes_on, without_xla, state, parallel_iterations=1)
