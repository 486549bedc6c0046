"""How much memory a training run will take, said before it starts, and an error where it cannot fit."""

from __future__ import annotations

from scbasset_zoo.progress import say
from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.training.architecture import Architecture
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.head_in_blocks import BLOCK_BYTES, pays
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.wording import option

# Arrays of logits that a step has at once: logits, sigmoid, gradient and one more.
_COPIES_OF_LOGITS = 4


def say_and_check_memory(
    prepared: PreparedPeaks, options: TrainingOptions, architecture: Architecture, precision: str, *, on_gpu: bool
) -> None:
    """Say how large a run is and what memory a step takes; raise an error if this machine cannot have it.

    Parameters
    ----------
    prepared : PreparedPeaks
    options : TrainingOptions
    architecture : Architecture
    precision : {"float32", "bfloat16"}
    on_gpu : bool
        The step is on a GPU, whose memory is not that of this machine: it is said, and not checked.

    Raises
    ------
    InputError
        The memory is not free.
    """
    n_peaks, n_cells = len(prepared.rows("train")), prepared.n_cells
    n_steps = -(-n_peaks // options.batch_size)
    batch_size = -(-n_peaks // n_steps)
    in_step = min(options.cells_per_step or n_cells, n_cells)
    weights, optimiser, gradients = head_bytes(architecture, in_step)
    trunk = trunk_bytes(architecture, batch_size, precision)
    logits = logits_bytes(batch_size, in_step)
    drawn = f", of which each step draws {in_step:,}" if in_step < n_cells else ""
    total = weights + optimiser + gradients + trunk + logits
    say(
        f"{n_peaks:,} training peaks x {n_cells:,} cells{drawn}; {n_steps:,} steps an epoch. A step takes about "
        f"{_size(total)} of memory: activations {_size(trunk)}, logits {_size(logits)}, head {_size(weights)}, its optimiser "
        f"{_size(optimiser)} and gradients {_size(gradients)}."
    )
    if on_gpu:
        return
    advice = f"Train with a smaller {option('batch_size')}"
    if weights + optimiser + gradients + logits > trunk and not options.cells_per_step:
        advice += f", or on some cells in each step: {option('cells_per_step', min(50_000, max(1, n_cells // 2)))}"
    require_memory(total, f"A training step of {batch_size:,} peaks x {in_step:,} cells", f"{advice}, or with fewer cells.")


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
    float32, and the input of the pool. Two float32 gradients of the largest convolution's output are there at once.
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
