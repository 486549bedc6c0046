"""The knee plot: fragments of the ranked barcodes, and the threshold of the cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_knees(samples: Mapping[str, tuple[NDArray[np.int64], int, int | None]], path: Path) -> None:
    """Plot the fragments of the ranked barcodes of each sample to a PNG file.

    Parameters
    ----------
    samples : mapping of str to tuple
        By sample: fragments of each barcode, the threshold, and the number of fragments at the steepest drop, if there is one.
    path : Path
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # the user's settings may need LaTeX or fonts that this machine lacks
        figure = Figure(figsize=(5.2 * len(samples), 4.2), layout="constrained")
        draw_knees(figure, samples).savefig(path, dpi=150, format="png")


def draw_knees(figure: Figure, samples: Mapping[str, tuple[NDArray[np.int64], int, int | None]]) -> Figure:
    """Draw the samples side by side; see :func:`plot_knees`."""
    all_axes = figure.subplots(1, len(samples), squeeze=False, sharey=True)[0]
    for axes, (name, (n_fragments, threshold, drop)) in zip(all_axes, samples.items(), strict=True):
        values, counts = np.unique(n_fragments[n_fragments > 0], return_counts=True)
        values, last_rank = values[::-1], np.cumsum(counts[::-1])
        n_cells = int(counts[::-1][values >= threshold].sum())
        is_cell = last_rank <= n_cells
        axes.plot(last_rank, values, color="0.7", linewidth=2, label=f"{last_rank[-1] - n_cells:,} other barcodes")
        # Down to the threshold, where the curve leaves the cells.
        ranks_of_cells, of_cells = np.append(last_rank[is_cell], n_cells), np.append(values[is_cell], threshold)
        axes.plot(ranks_of_cells, of_cells, color="tab:blue", linewidth=3, label=f"{n_cells:,} cells")
        axes.axvline(n_cells, color="0.2", linestyle="--", linewidth=1)
        axes.axhline(threshold, color="0.2", linestyle="--", linewidth=1, label=f"threshold: {threshold:,} fragments")
        if drop is not None and drop != threshold:
            axes.axhline(drop, color="tab:orange", linestyle=":", linewidth=1.5, label=f"steepest drop: {drop:,} fragments")
        axes.set(xscale="log", yscale="log", xlabel="rank of the barcode", title=name)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower left", fontsize="small")
    all_axes[0].set_ylabel("fragments")
    return figure
