"""Large results for plugins: compute them in blocks, stream the blocks to a file, and check the free memory."""

from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.runtime.output import write_anndata
from scbasset_zoo.runtime.predictions import BLOCK_CELLS, PEAK_STEP, Block

__all__ = ["BLOCK_CELLS", "PEAK_STEP", "Block", "require_memory", "write_anndata"]
