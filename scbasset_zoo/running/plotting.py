"""Draws the figures of a result that was computed before, for notebooks and scripts."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from scbasset_zoo import plugin_manager
from scbasset_zoo.running.figure_files import require_matplotlib
from scbasset_zoo.running.figure_images import image_of, png_of
from scbasset_zoo.running.libraries import default_style, prepare_libraries
from scbasset_zoo.running.results import opened, provenance_in
from scbasset_zoo.running.run import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo.extend.analysis import Result


class Figures(dict[str, "Figure"]):
    """Figures by name. A notebook shows all of them."""

    def __repr__(self) -> str:
        return f"Figures: {', '.join(self) or 'none'}"

    def _repr_html_(self) -> str:
        images = {name: image_of(figure) for name, figure in self.items()}
        return "\n".join(
            f'<figure><figcaption>{html.escape(name)}</figcaption><img alt="{html.escape(name)}" width="{image.width}" '
            f'style="max-width: 100%; height: auto" src="{image.source}"></figure>'
            for name, image in images.items()
        )


def plot(result: Result | str | os.PathLike[str]) -> Mapping[str, Figure]:
    """Draw the figures of a result of :func:`scbasset_zoo.run`.

    They are those that `run` writes with its option `plot`. The result says which analysis made it.

    Parameters
    ----------
    result : AnnData, xarray.Dataset, or path
        What `run` returned, or the file that it wrote: .h5ad, .nc or .zarr.

    Returns
    -------
    mapping of str to Figure
        matplotlib figures by name. A notebook shows all of them if the mapping is the last line of a cell, and one as
        ``figures[name]``. ``figures[name].savefig("figure.pdf")`` writes a file.

    Raises
    ------
    InputError
        The file cannot be read, no analysis made the result, the analysis is not installed, or matplotlib is not installed.
    PluginError
        Several plugins register the analysis, or it breaks its contract.
    """
    with opened(result) as read:
        analysis = plugin_manager.analyses().get(provenance_in(read)["analysis"])()
        require_matplotlib()
        prepare_libraries()
        with default_style():
            figures = Figures(draw(analysis, read))
    for figure in figures.values():
        # Notebooks show a figure as an image only after an import of pyplot, unless it has this method.
        vars(figure)["_repr_png_"] = partial(png_of, figure)
    return figures
