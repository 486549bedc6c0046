"""Names of cells' groups, of corrections and of motifs as labels of figures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

MAX_LETTERS = 40


def label_text(name: object, max_letters: int = MAX_LETTERS) -> str:
    """Return a name as a label on one line. A long name loses its middle; an empty one is shown as two quotes.

    Parameters
    ----------
    name : object
    max_letters : int
        Letters that the label may have, at least 3.
    """
    text = " ".join(str(name).split()) or '""'
    if len(text) <= max_letters:
        return text
    n_last = (max_letters - 1) // 2
    return f"{text[: max_letters - 1 - n_last].rstrip()}…{text[-n_last:].lstrip()}"


def wrapped_label(name: object, width: int, max_letters: int = MAX_LETTERS) -> str:
    """Return a label on lines of at most `width` letters, for legends and for titles above narrow panels."""
    return "\n".join(textwrap.wrap(label_text(name, max_letters), width))


def distinct_labels(names: Iterable[str], width: int) -> dict[str, str]:
    """Return the label of each name, on at most two lines. Names that would have the same label are numbered: "T cell…x (2)"."""
    labels: dict[str, str] = {}
    n_of_label: dict[str, int] = {}
    for name in dict.fromkeys(names):
        text = wrapped_label(name, width, 2 * width - 4)  # words do not fill their lines
        n_of_label[text] = n = n_of_label.get(text, 0) + 1
        labels[name] = text if n == 1 else f"{text} ({n})"
    return labels
