"""Names of cells' groups and of motifs as labels of figures."""

from __future__ import annotations

MAX_LETTERS = 40


def label_text(name: object) -> str:
    """Return a name as a label: on one line, and of at most 40 letters. An empty name is shown as two quotes."""
    text = " ".join(str(name).split()) or '""'
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"
