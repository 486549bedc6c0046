"""Turns a pydantic ValidationError into lines for people, for cards, options, indexes and recipes alike."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from pydantic import ValidationError


MAX_PROBLEMS = 20
MAX_LETTERS = 300
# What is wrong, by pydantic's type of error.
_WORDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "multiple_of": "must be a multiple of {multiple_of}",
    **dict.fromkeys(("literal_error", "enum"), "must be {expected}"),
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_too_short": "must have {min_length} or more letters",
    "string_too_long": "must have {max_length} or fewer letters",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} or fewer entries",
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "must be a text"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "iterable_type", "sequence_str"), "must be a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type", "mapping_type"), "must be a mapping of names to values"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "must be a date, such as 2026-01-31"),
    "path_type": "must be a path",
    "is_instance_of": "must be a {class}",
}
# The beginning of pydantic's words for other types of error, which options of plugins may have.
_INPUT_SHOULD = re.compile(r"^(Input|Value|String|URL) should ")
# Where a value may have one of several types, pydantic puts the type that it tried into the place of the value.
_TRIED_TYPE = re.compile(r"^(any|bool|date|float|int|path|str|[A-Za-z-]+\[.*)$", re.DOTALL)


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
    # A value that has none of several types is one problem.
    problems: dict[tuple[str, str], list[str]] = {}
    for entry in _entries(error):
        place, words, value = _option_problem(entry, names)
        alternatives = problems.setdefault((place, value), [])
        alternatives += [words] if words not in alternatives else []
    return [
        place + " or ".join([first, *(words.removeprefix("must be ") for words in others)]) + value
        for (place, value), (first, *others) in problems.items()
    ]


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


def _option_problem(entry: Any, names: Collection[str]) -> tuple[str, str, str]:
    """Return the beginning of a line, what is wrong, and the end of the line with the value."""
    if not _parts(entry):
        return _message(entry), "", ""
    name, *rest = _parts(entry)
    place = ".".join([option(name), *(part for part in rest if not _TRIED_TYPE.match(part))])
    if entry["type"] == "missing":
        return f"{place} must be given", "", ""
    if entry["type"] == "extra_forbidden":
        similar = [] if rest else difflib.get_close_matches(name, names, n=1)
        return f"{place} is not an option" + (f"; did you mean {option(similar[0])}?" if similar else ""), "", ""
    return f"{place}: ", _message(entry), f"; found {_shown(entry['input'])}"


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
    words = _WORDS.get(entry["type"])
    if words is not None:
        if entry["type"] == "is_instance_of" and entry["ctx"]["class"] == "Sequence":
            words = _WORDS["list_type"]
        limits = entry.get("ctx", {}).items()
        return words.format_map({name: f"{value:g}" if isinstance(value, float) else value for name, value in limits})
    message = _INPUT_SHOULD.sub("must ", entry["msg"])
    return message[:1].lower() + message[1:]
