"""The layers of a scBasset trunk, as arrays of weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import ScbassetZooError

Array = NDArray[np.float32]


class UnsupportedTrunk(ScbassetZooError):
    """The trunk has other layers than blocks of GELU, convolution and max pool, followed by one dense layer."""


@dataclass(frozen=True, eq=False)
class Block:
    """GELU, then a convolution with "same" padding, then a max pool whose stride is its width.

    Parameters
    ----------
    kernel : float32 array of shape (width, channels in, channels out)
    bias : float32 array of shape (channels out,)
    pool : int
        Width of the max pool; 1 if there is none.
    pool_padding : int
        Number of positions of -inf before the first position. It is 0 if the length is a multiple of `pool`.
    """

    kernel: Array
    bias: Array
    pool: int = 1
    pool_padding: int = 0

    def pooled_length(self, length: int) -> int:
        """Return the number of positions after the max pool."""
        return -(-length // self.pool)


@dataclass(frozen=True, eq=False)
class TrunkLayers:
    """The layers from `sequence` to `peak_embedding`.

    GELU is applied before each convolution, and before and after the dense layer.

    Parameters
    ----------
    sequence_length : int
        In bp.
    blocks : tuple of Block
    dense_kernel : float32 array of shape (positions * channels, embedding size)
        Rows are ordered by position, then by channel.
    dense_bias : float32 array of shape (embedding size,)
    gelu_slope : float
        `a` in GELU, x * sigmoid(a x).
    """

    sequence_length: int
    blocks: tuple[Block, ...]
    dense_kernel: Array
    dense_bias: Array
    gelu_slope: float

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of positions that each block reads, and last the number that the dense layer reads."""
        lengths = [self.sequence_length]
        for block in self.blocks:
            lengths.append(block.pooled_length(lengths[-1]))
        return tuple(lengths)
