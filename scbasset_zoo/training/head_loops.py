"""Loss and gradients of the cell head on a CPU, in compiled loops over blocks of cells whose logits stay in the caches."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numba.extending import register_jitable

from scbasset_zoo.training.compiled_loops import compiled, exponential, loop_operation

# Blocks are added up in so many groups, whatever the number of cores, so that the order of a sum is always the same.
_MOST_GROUPS = 64
_ZERO, _ONE = np.float32(0), np.float32(1)
_LOG_2 = np.float32(np.log(2))


def head_sums(
    peak_embedding: tf.Tensor,
    batch_logits: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor,
    batch_of_cell: tf.Tensor,
    entries: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
    *,
    block: int,
    l2: float,
) -> list[tf.Tensor]:
    """Sum the loss of all peaks and cells, and its gradients.

    Parameters
    ----------
    peak_embedding : float32 tensor of shape (n, k)
    batch_logits : float32 tensor of shape (n, n_batches)
    kernel, bias : float32 tensors of shape (n_cells, k) and (n_cells,)
    batch_of_cell : int32 tensor of shape (n_cells,)
    entries : tuple of three int32 tensors
        The open entries: peak, cell, and where the entries of each block end.
    block : int
        Number of cells in a block.
    l2 : float
        Penalty on the sum of the squares of `kernel`.

    Returns
    -------
    list of float32 tensors
        For each peak the sum of log(1 + exp(logit)); the sum of the logits of open entries; the sum of squares of `kernel`; the
        sums over all cells of the gradients of peak embedding and batch logits. Then the gradients of `kernel` and `bias` of the
        mean loss with its penalty.
    """
    n, size, n_batches, n_cells = tf.shape(peak_embedding)[0], kernel.shape[1], batch_logits.shape[1], tf.shape(kernel)[0]
    n_groups = tf.minimum(tf.shape(entries[2])[0] - 1, _MOST_GROUPS)
    inputs = [peak_embedding, tf.transpose(peak_embedding), tf.transpose(batch_logits), kernel, bias, batch_of_cell, *entries]
    of_groups = [(n_groups, n), (n_groups,), (n_groups,), (n_groups, size, n), (n_groups, n_batches, n)]
    shapes = [*of_groups, (n_cells, size), (n_cells,)]
    *groups, of_kernel, of_bias = loop_operation(sum_blocks, n_groups, inputs, [(shape, tf.float32) for shape in shapes], block, l2)
    softplus, opened, squares, of_embedding, of_batches = (tf.reduce_sum(group, 0) for group in groups)
    return [softplus, opened, squares, tf.transpose(of_embedding), tf.transpose(of_batches), of_kernel, of_bias]


@compiled
def sum_blocks(  # type: ignore[no-untyped-def]
    first, last, embedding, by_dimension, batch_logits, kernel, bias, batch_of_cell, peaks, cells, ends,
    softplus, opened, squares, of_embedding, of_batches, of_kernel, of_bias, block, l2,
):  # fmt: skip
    """Fill the sums of some groups of blocks, and the gradients of their cells."""
    n, n_cells, n_blocks, n_groups = len(embedding), len(kernel), len(ends) - 1, len(softplus)
    scale, penalty = np.float32(1 / (n * n_cells)), np.float32(2 * l2)
    values = np.empty((block, n), np.float32)
    product, exponent = np.empty(n, np.float32), np.empty(n, np.float32)
    for group in range(first, last):
        softplus[group] = _ZERO
        of_embedding[group] = _ZERO
        of_batches[group] = _ZERO
        opened[group] = squares[group] = _ZERO
        for number in range(group * n_blocks // n_groups, (group + 1) * n_blocks // n_groups):
            start = number * block
            stop = min(start + block, n_cells)
            residuals, of_weights = values[: stop - start], of_kernel[start:stop]
            for row in range(stop - start):
                batch, intercept = batch_of_cell[start + row], bias[start + row]
                for peak in range(n):
                    values[row, peak] = intercept + batch_logits[batch, peak]
            _add_product(residuals, kernel[start:stop], by_dimension)
            for entry in range(ends[number], ends[number + 1]):
                opened[group] += values[cells[entry] - start, peaks[entry]]
            # The sum of logarithms is the logarithm of the product, which is kept between 1 and 2, and its power of 2.
            product[:] = _ONE
            exponent[:] = _ZERO
            for row in range(stop - start):
                for peak in range(n):
                    odds = exponential(values[row, peak])
                    grown = _ONE + odds
                    values[row, peak] = odds / grown
                    bits = np.float32(product[peak] * grown).view(np.uint32)
                    power = np.float32(np.int32(bits >> np.uint32(23)) - np.int32(127))
                    # What is not a number stays so.
                    exponent[peak] += power if grown == grown else grown
                    product[peak] = np.uint32((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32)
            for peak in range(n):
                softplus[group, peak] += exponent[peak] * _LOG_2 + np.log(product[peak])
            for entry in range(ends[number], ends[number + 1]):
                values[cells[entry] - start, peaks[entry]] -= _ONE
            of_weights[:] = _ZERO
            _add_product(of_weights, residuals, embedding)
            _add_product(of_embedding[group], kernel[start:stop].T, residuals)
            for row in range(stop - start):
                cell, square = start + row, _ZERO
                for k in range(kernel.shape[1]):
                    square += kernel[cell, k] * kernel[cell, k]
                    of_kernel[cell, k] = of_kernel[cell, k] * scale + penalty * kernel[cell, k]
                squares[group] += square
                of_bias[cell] = _sum(residuals[row]) * scale
                batch = batch_of_cell[cell]
                for peak in range(n):
                    of_batches[group, batch, peak] += values[row, peak]


@register_jitable
def _add_product(target, left, right):  # type: ignore[no-untyped-def]
    """Add the product of two matrices. Four by four rows at a time, each number is read and written a fourth as often."""
    n_rows, n_inner = left.shape
    whole_rows, whole_inner = n_rows - n_rows % 4, n_inner - n_inner % 4
    for r in range(0, whole_rows, 4):
        for k in range(0, whole_inner, 4):
            a0, a1, a2, a3 = left[r, k], left[r, k + 1], left[r, k + 2], left[r, k + 3]
            b0, b1, b2, b3 = left[r + 1, k], left[r + 1, k + 1], left[r + 1, k + 2], left[r + 1, k + 3]
            c0, c1, c2, c3 = left[r + 2, k], left[r + 2, k + 1], left[r + 2, k + 2], left[r + 2, k + 3]
            d0, d1, d2, d3 = left[r + 3, k], left[r + 3, k + 1], left[r + 3, k + 2], left[r + 3, k + 3]
            for i in range(target.shape[1]):
                x0, x1, x2, x3 = right[k, i], right[k + 1, i], right[k + 2, i], right[k + 3, i]
                target[r, i] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                target[r + 1, i] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                target[r + 2, i] += c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                target[r + 3, i] += d0 * x0 + d1 * x1 + d2 * x2 + d3 * x3
    for r in range(n_rows):
        for k in range(whole_inner if r < whole_rows else 0, n_inner):
            for i in range(target.shape[1]):
                target[r, i] += left[r, k] * right[k, i]


@register_jitable
def _sum(values):  # type: ignore[no-untyped-def]
    """Sum a vector. Four sums at a time do not wait for each other."""
    whole = len(values) - len(values) % 4
    a = b = c = d = _ZERO
    for i in range(0, whole, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(whole, len(values)):
        a += values[i]
    return (a + b) + (c + d)
