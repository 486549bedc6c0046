"""The description of an analysis or importer, from the docstring of its class."""

from __future__ import annotations

import inspect
from itertools import takewhile


def described(kind: type) -> list[str]:
    """Return the paragraphs of a class's docstring up to numpydoc's sections, without backticks."""
    paragraphs = takewhile(lambda paragraph: "\n---" not in paragraph, (inspect.getdoc(kind) or "").split("\n\n"))
    return [" ".join(paragraph.replace("`", "").split()) for paragraph in paragraphs]
