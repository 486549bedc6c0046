"""Loops over peaks or cells, compiled by Numba and run on all cores, as operations of TensorFlow on a CPU.

TensorFlow's operations read and write all values of a batch once for each addition or product. A loop reads them once.
Values may be float32, or bfloat16, which loops see as the upper half of a float32: Numba does not know the type.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numba
import numpy as np
import tensorflow as tf
from numba.extending import overload, register_jitable
from numpy.typing import NDArray

from scbasset_zoo.runtime.devices import usable_cores

# Tasks of a core: a core that is slowed by another program gets fewer.
_TASKS_OF_A_CORE = 8
# Numba does not know bfloat16, so loops are given its bits.
_BITS = {"bfloat16": np.uint16}
_LOG2_E = np.float32(math.log2(math.e))
# Taylor's series of 2^x, to 6e-9 between -1/2 and 1/2.
_OF_POWER_OF_2 = tuple(np.float32(math.log(2) ** k / math.factorial(k)) for k in range(8))


def compiled(loop: Callable[..., None]) -> Callable[..., None]:
    """Compile a loop when it is first called, for each type of its arrays.

    The machine code is not kept in files, which may be damaged, and which Numba does not renew when a function within the loop
    changes. NUMBA_DISABLE_JIT, with which people find faults in loops of their own, is not heeded here.
    """
    by_user, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 0
    try:
        return numba.njit(loop, nogil=True, error_model="numpy", fastmath={"contract"})
    finally:
        numba.config.DISABLE_JIT = by_user


def loop_operation(
    loop: Callable[..., None],
    n: tf.Tensor,
    inputs: Sequence[tf.Tensor],
    outputs: Sequence[tuple[Sequence[Any], tf.DType]],
    *numbers: float,
) -> list[tf.Tensor]:
    """Run a loop on all cores as an operation of TensorFlow.

    Parameters
    ----------
    loop : callable
        A :func:`compiled` loop. It takes the first number of a range and the one after the last, then the inputs, the outputs
        that it fills, and the numbers.
    n : int tensor
        The loop runs over all numbers below it, several ranges at once.
    inputs : sequence of tensors
    outputs : sequence of (shape, type)
        Shapes of int and of int tensors.
    *numbers : int or float

    Returns
    -------
    list of tensors
        The outputs. They have no gradient.
    """
    # TensorFlow's allocator keeps the memory from step to step. Without the dependency, it allocates it when the step begins.
    with tf.control_dependencies([inputs[-1]]):
        empty = [tf.raw_ops.Empty(shape=shape, dtype=dtype) for shape, dtype in outputs]

    def run(n: NDArray[Any], *arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        _on_all_cores(loop, int(n), *map(_as_bits, arrays), *numbers)
        return arrays[len(inputs) :]

    with warnings.catch_warnings():
        # TensorFlow passes its arrays to NumPy in a deprecated way when it runs eagerly.
        warnings.simplefilter("ignore", DeprecationWarning)
        results = tf.numpy_function(run, [n, *inputs, *empty], [dtype for _, dtype in outputs], stateful=False)
    # One output is not in a list when TensorFlow runs eagerly.
    return [tf.reshape(result, shape) for result, (shape, _) in zip(tf.nest.flatten(results), outputs, strict=True)]


def _on_all_cores(loop: Callable[..., None], n: int, *arguments: Any) -> None:
    n_cores = usable_cores()
    n_tasks = min(n, n_cores * _TASKS_OF_A_CORE)
    if n_cores == 1 or n_tasks <= 1:
        loop(0, n, *arguments)
        return
    ends = [task * n // n_tasks for task in range(n_tasks + 1)]
    tasks = [_threads(n_cores).submit(loop, *task, *arguments) for task in zip(ends[:-1], ends[1:], strict=True)]
    for task in tasks:
        task.result()


@cache
def _threads(n: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n, thread_name_prefix="training")


def _as_bits(array: NDArray[Any]) -> NDArray[Any]:
    bits = _BITS.get(array.dtype.name)
    return array if bits is None else array.view(bits)


def as_float32(value: Any) -> Any:
    """Within a loop: return a value of an array as float32."""
    raise NotImplementedError


def as_stored(value: Any, like: Any) -> Any:
    """Within a loop: round a float32 to the type of another value of an array."""
    raise NotImplementedError


@overload(as_float32, inline="always")
def _as_float32(value):  # type: ignore[no-untyped-def]  # Numba compares signatures
    if isinstance(value, numba.types.Float):
        return lambda value: value
    return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)


@overload(as_stored, inline="always")
def _as_stored(value, like):  # type: ignore[no-untyped-def]
    if isinstance(like, numba.types.Float):
        return lambda value, like: value

    def rounded(value, like):  # type: ignore[no-untyped-def]
        # To the nearest number, and of two to the even one.
        bits = np.float32(value).view(np.uint32)
        return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))

    return rounded


@register_jitable
def exponential(x):  # type: ignore[no-untyped-def]
    """Within a loop: return e^x of a float32, between 2^-126 and 2^126. The error is that of x * log2(e) in float32.

    The exponential of Numba is computed for one value at a time; this one for all values of a register of the processor.
    """
    power = min(max(_LOG2_E * x, np.float32(-126)), np.float32(126))
    whole = np.floor(power + np.float32(0.5))
    fraction, result = power - whole, _OF_POWER_OF_2[7]
    for k in range(6, -1, -1):
        result = result * fraction + _OF_POWER_OF_2[k]
    return result * np.uint32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@register_jitable
def sigmoid(x):  # type: ignore[no-untyped-def]
    """Within a loop: return the sigmoid of a float32."""
    return np.float32(1) / (np.float32(1) + exponential(-x))
