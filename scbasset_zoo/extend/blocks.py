"""Results larger than memory for plugins: blocks of cells and columns, streamed to a file, and a check of free memory."""

from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.runtime.output import write_anndata
from scbasset_zoo.runtime.predictions import BLOCK_CELLS, PEAK_STEP, Block

__all__ = ["BLOCK_CELLS", "PEAK_STEP", "Block", "require_memory", "write_anndata"]
