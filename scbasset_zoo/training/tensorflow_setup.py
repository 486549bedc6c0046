"""Imports TensorFlow for training: quietly, with the right Keras backend, and with a faster memory allocator."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from scbasset_zoo.errors import TrainingError
from scbasset_zoo.progress import say
from scbasset_zoo.runtime.devices import usable_cores
from scbasset_zoo.wording import install_command

# Parameters of glibc's mallopt (malloc.h).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
# TensorFlow's allocator for GPUs, on CPUs as well, for up to 16 TiB, which is no limit.
_ALLOCATOR_VARIABLES = {"TF_CPU_ALLOCATOR_USE_BFC": "true", "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(1 << 24)}
# The end of the text that the import of TensorFlow printed, if it succeeded.
_DONE = b"\0"
_PRINT_UNLESS_DONE = f"import sys; text = sys.stdin.buffer.read(); text.endswith({_DONE!r}) or sys.stderr.buffer.write(text)"
# The second one is for JAX alone.
_KERAS_VARIABLES = {"KERAS_BACKEND": "tensorflow", "KERAS_NNX_ENABLED": "false"}


def require_tensorflow() -> None:
    """Import Keras and TensorFlow without their start-up messages, or say what to do.

    KERAS_BACKEND may name another backend, for other projects of the user. It is not used for this import, with a line that
    says so, and it keeps its value.

    Raises
    ------
    TrainingError
        TensorFlow is not installed, TensorFlow or Keras cannot be imported, or Keras was imported with another backend.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_freed_memory()
    try:
        with _keras_variables(), _stderr_on_failure_only(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import keras
            import tensorflow as tf

            # More threads than cores that may be used slow each other down. They cannot be changed once TensorFlow computes.
            with suppress(RuntimeError):
                for set_threads in (
                    tf.config.threading.set_intra_op_parallelism_threads,
                    tf.config.threading.set_inter_op_parallelism_threads,
                ):
                    set_threads(usable_cores())
            tf.config.list_physical_devices("GPU")
    except Exception as error:
        if isinstance(error, ImportError) and (error.name or "").partition(".")[0] in ("keras", "tensorflow"):
            raise TrainingError(f"Training needs TensorFlow: run {install_command('train')} ({error}).") from error
        raise TrainingError(
            f"TensorFlow or Keras cannot be imported: {error} Check the file keras.json in ~/.keras or KERAS_HOME, and the "
            "environment variables whose names start with KERAS_ and TF_."
        ) from error
    if keras.backend.backend() != "tensorflow":
        raise TrainingError(
            f"Keras was imported with the backend {keras.backend.backend()} in this process; training needs TensorFlow. Start a "
            "new Python process, and set KERAS_BACKEND=tensorflow there if you import Keras first."
        )


@contextmanager
def _keras_variables() -> Iterator[None]:
    """Within the block, set the variables that Keras reads when it is imported, so that it runs on TensorFlow."""
    by_user = {name: os.environ[name] for name in _KERAS_VARIABLES if name in os.environ}
    if by_user.get("KERAS_BACKEND", "tensorflow") != "tensorflow" and "keras" not in sys.modules:
        say(f"Training runs Keras on TensorFlow; KERAS_BACKEND={by_user['KERAS_BACKEND']} is not used.")
    os.environ.update(_KERAS_VARIABLES)
    try:
        yield
    finally:
        for name in _KERAS_VARIABLES:
            del os.environ[name]
        os.environ.update(by_user)


def keep_freed_memory() -> None:
    """Let the process keep the memory that TensorFlow and NumPy free, for the next training step.

    On a CPU every step frees and allocates the same large buffers. By default, glibc returns such buffers to the kernel at
    once, and the kernel then clears their pages again in every step. Results do not change. What the user has set in the
    environment stays.

    TensorFlow's own allocator keeps tensors. Other buffers, such as the batches that NumPy makes, are glibc's, which is told to
    keep them. Neither does alone: glibc returns the heaps of other threads than the first one whenever they are empty.
    """
    for name, value in _ALLOCATOR_VARIABLES.items():
        os.environ.setdefault(name, value)
    is_set_by_user = any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ
    if platform.libc_ver()[0] != "glibc" or is_set_by_user:
        return
    libc = ctypes.CDLL(None)
    # Take buffers of up to 1 GiB from the heap, not from a map of their own. Older versions of glibc allow at most 32 MiB.
    if not libc.mallopt(M_MMAP_THRESHOLD, 1 << 30):
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
    # Return memory at the end of the heap only beyond 2 GiB (mallopt takes an int), and grow the heap in steps of 16 MiB.
    libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(M_TOP_PAD, 16 << 20)


@contextmanager
def _stderr_on_failure_only() -> Iterator[None]:
    """Hold back what C++ code writes to standard error; TensorFlow's loader ignores its own log level.

    A process holds the text and prints it unless the block succeeds, because TensorFlow ends this one, with its reason as the
    last line, where it cannot run: on a processor without AVX, or after a wrong flag in XLA_FLAGS or TF_XLA_FLAGS.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with subprocess.Popen([sys.executable, "-IS", "-c", _PRINT_UNLESS_DONE], stdin=subprocess.PIPE, stderr=kept) as holder:
        assert holder.stdin is not None
        os.dup2(holder.stdin.fileno(), 2)
        try:
            yield
            os.write(2, _DONE)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
