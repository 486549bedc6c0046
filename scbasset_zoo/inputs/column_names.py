"""Names of the columns of a table, as distinct texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any


def distinct_names(names: Iterable[Any], taken: Collection[str], prefix: str, as_text: Callable[[Any], str] = str) -> list[str]:
    """Return a text for each name of a column, different from all others.

    Parameters
    ----------
    names : iterable
        The names. They need not be texts: 5, None or a tuple are names, too.
    taken : collection of str
        Texts that must not be returned.
    prefix : str
        It is put before a text that is taken, or that another column has, until the text is free.
    as_text : callable
        Makes the text of a name.

    Returns
    -------
    list of str
        A name that is a text already stays, if it is free and equals its `as_text`.
    """
    names = list(names)
    texts = [as_text(name) for name in names]
    free = {text for text, name in zip(texts, names, strict=True) if text == name} - set(taken)
    used = free | set(taken)
    distinct = []
    for text, name in zip(texts, names, strict=True):
        if text == name and text in free:
            free.remove(text)
        else:
            while text in used:
                text = prefix + text
            used.add(text)
        distinct.append(text)
    return distinct
