"""Imports TensorFlow for training: quietly, with the right Keras backend, and with a faster memory allocator."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from scbasset_zoo.errors import TrainingError

# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3


def require_tensorflow() -> None:
    """Import TensorFlow without its start-up messages, or say how to install it.

    Raises
    ------
    TrainingError
        TensorFlow is not installed, or Keras is set to another backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    keep_freed_memory()
    try:
        with _stderr_on_failure_only():
            import keras
            import tensorflow as tf

            tf.config.list_physical_devices("GPU")
    except ImportError as error:
        raise TrainingError(f"Training needs TensorFlow: pip install 'scbasset-zoo[train]' ({error}).") from error
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(f"Keras runs on {keras.backend.backend()}; training needs KERAS_BACKEND=tensorflow.")


def keep_freed_memory() -> None:
    """Let the process keep the memory that TensorFlow frees, for the next training step.

    On a CPU every step frees and allocates the same large buffers. By default, glibc returns such buffers to the kernel at
    once, and the kernel then clears their pages again in every step. Results do not change. Nothing is done where the C
    library is not glibc, or where the user has set glibc's own environment variables.
    """
    is_set_by_user = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if platform.libc_ver()[0] != "glibc" or is_set_by_user:
        return
    libc = ctypes.CDLL(None)
    # Take buffers of up to 1 GiB from the heap, not from a map of their own. Older versions of glibc allow at most 32 MiB.
    if not libc.mallopt(M_MMAP_THRESHOLD, 1 << 30):
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
    # Return memory at the end of the heap only beyond 2 GiB (mallopt takes an int), and grow the heap in steps of 256 MiB.
    libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(M_TOP_PAD, 256 << 20)


@contextmanager
def _stderr_on_failure_only() -> Iterator[None]:
    """Hold back what C++ code writes to standard error; TensorFlow's loader ignores its own log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
