"""Loss and gradients of the cell head over blocks of cells: no array has a value for each peak and cell of a batch."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from scbasset_zoo.training.head_loops import head_sums
from scbasset_zoo.training.sequential_loop import sequential_loop
from scbasset_zoo.training.training_device import sees_gpu

# The logits of a batch and a block, in TensorFlow's operations, and in compiled loops, where they stay in the cache of a core.
BLOCK_BYTES = 2 << 20
_BLOCK_BYTES_OF_LOOPS = 512 << 10
# Smaller logits are computed at once: on a GPU, and on a CPU.
_WHOLE_BYTES = 32 << 20
_WHOLE_BYTES_OF_LOOPS = 4 << 20


class Cells(NamedTuple):
    """The weights of some cells.

    Attributes
    ----------
    kernel, bias : float32 tensors of shape (n_cells, k) and (n_cells,)
    batch_of_cell : int32 tensor of shape (n_cells,), or None without batches
    """

    kernel: tf.Tensor
    bias: tf.Tensor
    batch_of_cell: tf.Tensor | None


class Entries(NamedTuple):
    """The open entries of a batch, block after block.

    Attributes
    ----------
    peak, cell : int32 tensors of shape (n_open,)
        Number of the peak in the batch, and of the cell among the cells.
    ends : int32 tensor of shape (n_blocks + 1,)
        The entries of block b are ``ends[b]`` to ``ends[b + 1]``.
    """

    peak: tf.Tensor
    cell: tf.Tensor
    ends: tf.Tensor


class HeadGradients(NamedTuple):
    """The loss and its gradients; `batch_logits` is None without batches, and all gradients are without `gradients`."""

    loss: tf.Tensor
    peak_embedding: tf.Tensor | None = None
    batch_logits: tf.Tensor | None = None
    kernel: tf.Tensor | None = None
    bias: tf.Tensor | None = None


def cells_in_block(n_peaks: int, n_cells: int) -> int:
    """Return how many cells a block has for batches of `n_peaks`: blocks of equal size within the bytes of a block."""
    n_blocks = -(-4 * n_peaks * n_cells // (BLOCK_BYTES if sees_gpu() else _BLOCK_BYTES_OF_LOOPS))
    return max(1, -(-n_cells // n_blocks))


def pays(n_peaks: int, n_cells: int) -> bool:
    """Return whether the logits of a batch are so large that blocks save memory and time."""
    return 4 * n_peaks * n_cells > (_WHOLE_BYTES if sees_gpu() else _WHOLE_BYTES_OF_LOOPS)


def head_gradients(
    peak_embedding: tf.Tensor,
    batch_logits: tf.Tensor | None,
    cells: Cells,
    entries: Entries,
    *,
    block: int,
    l2: float = 0.0,
    gradients: bool = True,
) -> HeadGradients:
    """Compute the mean binary cross-entropy of logits that are never all in memory, and its gradients.

    The logits of a block are ``peak_embedding @ kernel.T + bias``, plus the batch logits of each cell's batch. Loss and gradient
    of a block are computed together, because the loss is a sum over blocks, and then the logits are forgotten.

    Parameters
    ----------
    peak_embedding : float32 tensor of shape (n, k)
    batch_logits : float32 tensor of shape (n, n_batches), or None
    cells : Cells
    entries : Entries
    block : int
        Number of cells in a block.
    l2 : float
        Penalty on the sum of the squares of `kernel`; part of loss and gradient.
    gradients : bool
        Whether to compute the gradients.

    Returns
    -------
    HeadGradients
    """
    if gradients and not sees_gpu():
        return _by_loops(peak_embedding, batch_logits, cells, entries, block, l2)
    n_cells = tf.shape(cells.kernel)[0]
    n_blocks = tf.shape(entries.ends)[0] - 1
    count = tf.cast(tf.shape(peak_embedding)[0], tf.float32) * tf.cast(n_cells, tf.float32)
    scaled_embedding = peak_embedding / count
    size = peak_embedding.shape[1]
    state = {
        "number": tf.constant(0),
        "softplus": tf.zeros_like(peak_embedding[:, 0]),
        "open": tf.constant(0.0),
        "squares": tf.constant(0.0),
    }
    if gradients:
        state["of_embedding"] = tf.zeros_like(peak_embedding)
        if batch_logits is not None:
            state["of_batches"] = tf.zeros_like(batch_logits)
        # Blocks are written in place; a list of them would take as much memory again when they are joined. Without the
        # dependency, TensorFlow allocates them when the step begins.
        with tf.control_dependencies([peak_embedding]):
            state["of_kernel"] = tf.raw_ops.Empty(shape=(n_cells, size), dtype=tf.float32)
            state["of_bias"] = tf.raw_ops.Empty(shape=(n_cells,), dtype=tf.float32)

    def step(now: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor]]:
        number, then = now["number"], dict(now)
        first = number * block
        last = tf.minimum(first + block, n_cells)
        kernel, bias = cells.kernel[first:last], cells.bias[first:last]
        logits = tf.matmul(peak_embedding, kernel, transpose_b=True) + bias
        batch_by_cell = None
        if batch_logits is not None and cells.batch_of_cell is not None:
            batch_by_cell = tf.one_hot(cells.batch_of_cell[first:last], batch_logits.shape[1], axis=0, dtype=tf.float32)
            logits += tf.matmul(batch_logits, batch_by_cell)
        mine = slice(entries.ends[number], entries.ends[number + 1])
        where = tf.stack([entries.peak[mine], entries.cell[mine] - first], axis=1)
        then["number"] = number + 1
        # exp(80) does not overflow yet. The loss of larger logits of closed peaks counts as 80.
        odds = tf.exp(tf.minimum(logits, 80.0))
        grown = 1 + odds
        then["softplus"] += tf.reduce_sum(tf.math.log(grown), axis=1)
        then["open"] += tf.reduce_sum(tf.gather_nd(logits, where))
        if l2:
            then["squares"] += tf.reduce_sum(tf.square(kernel))
        if gradients:
            residual = odds / grown - _dense(where, tf.shape(logits))
            then["of_embedding"] += tf.matmul(residual, kernel)
            if batch_by_cell is not None:
                then["of_batches"] += tf.matmul(residual, batch_by_cell, transpose_b=True)
            of_kernel = tf.matmul(residual, scaled_embedding, transpose_a=True)
            if l2:
                of_kernel += 2 * l2 * kernel
            of_bias = tf.reduce_sum(residual, axis=0) / count
            rows = tf.range(first, last)
            then["of_kernel"] = tf.raw_ops.InplaceUpdate(x=now["of_kernel"], i=rows, v=of_kernel)
            then["of_bias"] = tf.raw_ops.InplaceUpdate(x=now["of_bias"], i=rows, v=of_bias)
        return (then,)

    # One block at a time: blocks side by side would all be in memory.
    (end,) = sequential_loop(lambda now: now["number"] < n_blocks, step, (state,))
    # The mean of row means, because a flat sum of 1e8 terms loses digits in float32.
    loss = tf.reduce_mean(end["softplus"] / tf.cast(n_cells, tf.float32)) - end["open"] / count
    if l2:
        loss += l2 * end["squares"]
    if not gradients:
        return HeadGradients(loss)
    kernel, bias = tf.ensure_shape(end["of_kernel"], cells.kernel.shape), tf.ensure_shape(end["of_bias"], cells.bias.shape)
    of_batches = None if batch_logits is None else end["of_batches"] / count
    return HeadGradients(loss, end["of_embedding"] / count, of_batches, kernel, bias)


def _by_loops(
    peak_embedding: tf.Tensor, batch_logits: tf.Tensor | None, cells: Cells, entries: Entries, block: int, l2: float
) -> HeadGradients:
    n, n_cells = tf.shape(peak_embedding)[0], tf.shape(cells.kernel)[0]
    count = tf.cast(n, tf.float32) * tf.cast(n_cells, tf.float32)
    softplus, opened, squares, of_embedding, of_batches, of_kernel, of_bias = head_sums(
        peak_embedding,
        tf.zeros((n, 1)) if batch_logits is None else batch_logits,
        cells.kernel,
        cells.bias,
        tf.zeros(n_cells, tf.int32) if batch_logits is None else cells.batch_of_cell,
        entries,
        block=block,
        l2=l2,
    )
    loss = tf.reduce_mean(softplus / tf.cast(n_cells, tf.float32)) - opened / count + l2 * squares
    return HeadGradients(
        loss, of_embedding / count, None if batch_logits is None else of_batches / count,
        tf.ensure_shape(of_kernel, cells.kernel.shape), tf.ensure_shape(of_bias, cells.bias.shape),
    )  # fmt: skip


def _dense(where: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Return 1 at some places and 0 elsewhere. The operation behind `tf.sparse.to_dense` is ten times as fast as a scatter."""
    return tf.raw_ops.SparseToDense(
        sparse_indices=where, output_shape=shape, sparse_values=1.0, default_value=0.0, validate_indices=False
    )
