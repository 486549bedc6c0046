"""Turns a pydantic ValidationError into lines for people, for cards, options, indexes and recipes alike."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from pydantic import ValidationError


MAX_PROBLEMS = 20
MAX_LETTERS = 300


def field_problems(error: ValidationError) -> list[str]:
    """Return one line for each wrong field of a file: where it is, what is wrong with it, and its value.

    After `MAX_PROBLEMS` lines, a last line counts the others.
    """
    entries = _entries(error)
    more = [f"and {len(entries) - MAX_PROBLEMS:,} more"] if len(entries) > MAX_PROBLEMS else []
    return [_field_problem(entry) for entry in entries[:MAX_PROBLEMS]] + more


def option_problems(error: ValidationError, names: Collection[str]) -> list[str]:
    """Return one line for each wrong option, written as the user writes it.

    Parameters
    ----------
    error : ValidationError
    names : collection of str
        The options that exist, to suggest one where a name is misspelt.
    """
    return [_option_problem(entry, names) for entry in _entries(error)]


def _entries(error: ValidationError) -> list[Any]:
    # Where all members of a list are wrong, pydantic also reports that the list is too short.
    entries = error.errors(include_url=False)
    return [entry for entry in entries if entry["type"] != "too_short" or len(entry["input"]) == 0]


def _field_problem(entry: Any) -> str:
    if entry["type"] == "missing":
        message = "is missing"
    elif entry["type"] == "extra_forbidden":
        message = "unknown key; remove it or check its spelling"
    else:
        message = _message(entry)
        if entry["type"] != "value_error" and not isinstance(entry["input"], dict | list | bytes):
            message += f"; found {_shown(entry['input'])}"
    place = ".".join(_parts(entry))
    return f"{place}: {message}" if place else message


def _option_problem(entry: Any, names: Collection[str]) -> str:
    if not _parts(entry):
        return _message(entry)
    name, *rest = _parts(entry)
    place = ".".join([option(name), *rest])
    if entry["type"] == "missing":
        return f"{place} must be given"
    if entry["type"] == "extra_forbidden":
        similar = [] if rest else difflib.get_close_matches(name, names, n=1)
        return f"{place} is not an option" + (f"; did you mean {option(similar[0])}?" if similar else "")
    return f"{place}: {_message(entry)}; found {_shown(entry['input'])}"


def _parts(entry: Any) -> list[str]:
    """Return the names and numbers that lead to a value; pydantic marks a wrong key of a mapping with "[key]"."""
    return [_short(str(part)) for part in entry["loc"] if part != "[key]"]


def _short(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else f"{text[:MAX_LETTERS]}…"


def _shown(value: Any) -> str:
    """Return a value as Python writes it, but not all of a long one."""
    try:
        return _short(repr(value))
    except ValueError:  # a number of thousands of digits, which Python does not write
        return "a number of too many digits"


def _message(entry: Any) -> str:
    if entry["type"] == "value_error":
        return str(entry["ctx"]["error"])
    message: str = entry["msg"]
    return message[:1].lower() + message[1:]
