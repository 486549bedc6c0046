"""Figures as images in HTML pages."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scbasset_zoo.running.libraries import default_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH, CSS_PIXELS_PER_INCH = 150, 96


@dataclass(frozen=True)
class FigureImage:
    """A figure as PNG.

    Attributes
    ----------
    source : str
        The image as a data URI.
    width : int
        Width of the figure in CSS pixels. The image has more, so it can be enlarged.
    """

    source: str
    width: int


def image_of(figure: Figure) -> FigureImage:
    """Return the image of a figure."""
    png = png_of(figure, DOTS_PER_INCH)
    n_pixels = int.from_bytes(png[16:20], "big")  # the width in the header of a PNG
    return FigureImage(
        f"data:image/png;base64,{base64.b64encode(png).decode()}", round(n_pixels / DOTS_PER_INCH * CSS_PIXELS_PER_INCH)
    )


def png_of(figure: Figure, dots_per_inch: int = CSS_PIXELS_PER_INCH) -> bytes:
    """Return a figure as PNG, by default in the size in which pages show it."""
    buffer = io.BytesIO()
    with default_style():
        figure.savefig(buffer, format="png", dpi=dots_per_inch, bbox_inches="tight")
    return buffer.getvalue()
