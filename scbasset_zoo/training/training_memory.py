"""How much memory a training run will take, said before it starts, and an error where it cannot fit."""

from __future__ import annotations

from typing import NamedTuple

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say
from scbasset_zoo.runtime.memory import SHARE, available_memory, require_memory
from scbasset_zoo.training.architecture import Architecture
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.head_in_blocks import BLOCK_BYTES, pays
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.wording import option

# Arrays of logits that a step has at once: logits, sigmoid, gradient and one more.
_COPIES_OF_LOGITS = 4
# A batch is not split by itself into parts of fewer peaks, whose batch statistics would be noisy.
_FEWEST_PEAKS = 16


def say_and_check_memory(
    prepared: PreparedPeaks,
    options: TrainingOptions,
    architecture: Architecture,
    precision: str,
    *,
    on_gpu: bool,
    resumed: bool = False,
    n_shares: int = 1,
) -> int:
    """Say how large a run is and what memory a step takes, and return in how many parts its batches are computed.

    These are the parts of the option `accumulate`, or else as few as the free memory allows, with 16 peaks or more in each.

    Parameters
    ----------
    prepared : PreparedPeaks
    options : TrainingOptions
    architecture : Architecture
    precision : {"float32", "bfloat16"}
    on_gpu : bool
        The step is on a GPU, whose memory is not that of this machine: it is said, and not checked.
    resumed : bool
        The run keeps the size of its batches, the number of their parts and the number of cells in a step.
    n_shares : int
        Devices or workers with memory of their own, each of which computes a share of a batch.

    Returns
    -------
    int

    Raises
    ------
    InputError
        The memory is not free, or a part would have less than 2 peaks.
    """
    n_peaks, n_cells = len(prepared.rows("train")), prepared.n_cells
    n_steps = -(-n_peaks // options.batch_size)
    batch_size = -(-n_peaks // n_steps)
    in_step = min(options.cells_per_step or n_cells, n_cells)
    n_parts = options.accumulate or 1
    if n_parts > 1 and n_peaks // n_steps < 2 * n_parts:
        raise InputError(
            f"{option('accumulate', n_parts)} would leave less than 2 peaks of a batch of {n_peaks // n_steps} in a part, too few "
            f"for batch normalisation. Choose a smaller {option('accumulate')}."
        )
    share = -(-batch_size // n_shares)
    where = f" on each {'GPU' if on_gpu else 'worker'}" if n_shares > 1 else ""
    memory = step_memory(architecture, share, in_step, precision, n_parts)
    available = None if on_gpu or options.accumulate else available_memory()
    if available is not None and memory.total > SHARE * available:
        for more in range(2, n_peaks // n_steps // _FEWEST_PEAKS + 1):
            smaller = step_memory(architecture, share, in_step, precision, more)
            if smaller.total <= SHARE * available:
                say(
                    f"A batch of {batch_size:,} peaks takes {_size(memory.total)}{where}; {_size(available)} are free. So each "
                    f"batch is computed in {more} parts, one after another, and batch normalisation uses the statistics of "
                    "each part."
                )
                n_parts, memory = more, smaller
                break
    drawn = f", of which each step draws {in_step:,}" if in_step < n_cells else ""
    steps = "1 step" if n_steps == 1 else f"{n_steps:,} steps"
    parts = f" Each batch is computed in {n_parts} parts." if n_parts > 1 else ""
    say(
        f"{n_peaks:,} training peaks x {n_cells:,} cells{drawn}; {steps} an epoch.{parts} A step takes about "
        f"{_size(memory.total)} of memory{where}: activations {_size(memory.trunk)}, logits {_size(memory.logits)}, head "
        f"{_size(memory.weights)}, its optimiser {_size(memory.optimiser)} and gradients {_size(memory.gradients)}."
    )
    if on_gpu:
        return n_parts
    advice = "Resume where more memory is free, or start a new run" if resumed else "Train"
    advice += f" with a smaller {option('batch_size')}"
    if options.accumulate:
        advice += f", or with a larger {option('accumulate')}"
    if memory.total - memory.trunk > memory.trunk and not options.cells_per_step:
        advice += f", or on some cells in each step: {option('cells_per_step', min(50_000, max(1, n_cells // 2)))}"
    what = f"A training step of {batch_size:,} peaks x {in_step:,} cells{f' in {n_parts} parts' if n_parts > 1 else ''}"
    require_memory(memory.total, what, f"{advice}, or with fewer cells.")
    return n_parts


class StepMemory(NamedTuple):
    """Bytes that a training step takes: activations of the trunk, logits, head, its optimiser and gradients."""

    trunk: int
    logits: int
    weights: int
    optimiser: int
    gradients: int

    @property
    def total(self) -> int:
        """All bytes together."""
        return sum(self)


def step_memory(architecture: Architecture, batch_size: int, cells_in_step: int, precision: str, n_parts: int) -> StepMemory:
    """Return the bytes that a step takes whose batch is computed in parts: one part at a time, and the sums of gradients."""
    weights, optimiser, gradients = head_bytes(architecture, cells_in_step)
    part = -(-batch_size // n_parts)
    if n_parts > 1:
        gradients *= 2
    return StepMemory(trunk_bytes(architecture, part, precision), logits_bytes(part, cells_in_step), weights, optimiser, gradients)


def head_bytes(architecture: Architecture, cells_in_step: int) -> tuple[int, int, int]:
    """Return the bytes of the weights of all cells, of the two means of Adam, and of the gradients of the cells in a step."""
    of_cell = 4 * (architecture.embedding_size + 1)
    weights = of_cell * architecture.n_cells
    return weights, 2 * weights, of_cell * cells_in_step


def logits_bytes(batch_size: int, cells_in_step: int) -> int:
    """Return the bytes of the arrays of logits that are in memory at once: of all cells of a step, or of a block of them."""
    logits = 4 * batch_size * cells_in_step
    return _COPIES_OF_LOGITS * (BLOCK_BYTES if pays(batch_size, cells_in_step) else logits)


def trunk_bytes(architecture: Architecture, batch_size: int, precision: str) -> int:
    """Return the bytes of the activations that the trunk keeps for its gradient, and of the gradients of its largest block.

    A block keeps its input, the sigmoid and the result of GELU, the convolution's output, which batch normalisation reads in
    float32, and the input of the pool. Two float32 gradients of the largest convolution's output are there at once. On a CPU the
    layers of a block are computed together, and less is kept.
    """
    size = 2 if precision == "bfloat16" else 4
    n_bytes, largest, length, channels = 0, 0, architecture.sequence_length, 4
    for filters, _, pool in architecture.blocks:
        n_bytes += length * (3 * channels * size + filters * (size + 4 + size))
        largest = max(largest, 4 * length * filters)
        length, channels = -(-length // pool), filters
    return batch_size * (n_bytes + 2 * largest)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes >= 2**30 else f"{max(0.1, n_bytes / 2**20):,.1f} MiB"
