"""What a report says about an analysis: its description, from the docstring, and its words about one result."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile


@dataclass(frozen=True)
class Description:
    """What a report says about a result, in sentences of plain text. Every part may be empty.

    Attributes
    ----------
    findings : sequence of str
        About three sentences that are computed from the result. They are the first text of the report.
    captions : mapping of str to str
        A caption for each figure and table, by its name in `plot` or `tables`.
    how_to_read : sequence of str
        Paragraphs that explain the figures and columns.
    next_steps : sequence of str
        What to do next, a step each.
    key_columns : mapping of str to sequence of str
        The columns that come first, by the name of the table. A column that the table lacks is left out.
    units : mapping of str to str
        The unit of each column, such as "bp" or "logit". The heads of all tables show it.
    """

    findings: Sequence[str] = ()
    captions: Mapping[str, str] = field(default_factory=dict)
    how_to_read: Sequence[str] = ()
    next_steps: Sequence[str] = ()
    key_columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def described(kind: type) -> list[str]:
    """Return the paragraphs of a class's docstring up to numpydoc's sections, without backticks."""
    paragraphs = takewhile(lambda paragraph: "\n---" not in paragraph, (inspect.getdoc(kind) or "").split("\n\n"))
    return [" ".join(paragraph.replace("`", "").split()) for paragraph in paragraphs]
