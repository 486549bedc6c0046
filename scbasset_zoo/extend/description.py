"""The description of a plugin class, from its docstring."""

from __future__ import annotations

import inspect
from itertools import takewhile


def described(kind: type) -> list[str]:
    """Paragraphs of a class's docstring up to numpydoc's sections, without the marks of reStructuredText."""
    paragraphs = takewhile(lambda paragraph: "\n---" not in paragraph, (inspect.getdoc(kind) or "").split("\n\n"))
    return [" ".join(paragraph.replace("`", "").split()) for paragraph in paragraphs]
