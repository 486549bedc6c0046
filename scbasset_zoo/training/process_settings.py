"""Settings of the whole process in Keras, TensorFlow, NumPy and warnings: ours for a block, the user's again after it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import config as tensorflow_config  # the public API has no way to disable determinism

from scbasset_zoo.errors import TrainingError
from scbasset_zoo.training.training_device import sees_gpu


@contextmanager
def standard_settings() -> Iterator[None]:
    """Compute with the defaults of Keras, TensorFlow and NumPy within the block, and on a CPU without random order of sums.

    A settings file of Keras, variables, or code that ran before in this process may have changed them. Layers state their own
    types and order of axes; the optimiser and the helpers of Keras do not.

    Raises
    ------
    TrainingError
        TensorFlow runs in its mode of version 1, which cannot be undone.
    """
    if not tf.executing_eagerly():
        raise TrainingError(
            "TensorFlow runs as version 1 in this process (disable_eager_execution or disable_v2_behavior was called). Use a "
            "Python process that has not called it."
        )
    settings: tuple[tuple[Callable[[], Any], Callable[[Any], None], Any], ...] = (
        (keras.config.floatx, keras.config.set_floatx, "float32"),
        (keras.config.dtype_policy, keras.config.set_dtype_policy, "float32"),
        (keras.config.epsilon, keras.config.set_epsilon, 1e-7),
        (keras.config.image_data_format, keras.config.set_image_data_format, "channels_last"),
        (tf.config.functions_run_eagerly, tf.config.run_functions_eagerly, False),
        (tensorflow_config.is_op_determinism_enabled, _set_determinism, not sees_gpu()),
    )
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("default")
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        for read, write, value in settings:
            stack.callback(write, read())
            write(value)
        yield


def _set_determinism(enabled: bool) -> None:
    # Operations that have no deterministic form raise an error on a GPU.
    if enabled:
        tf.config.experimental.enable_op_determinism()
    else:
        tensorflow_config.disable_op_determinism()
