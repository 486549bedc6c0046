"""Option models: each option of a command or function is declared once, with its type, default, bounds and description."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])


class Options(BaseModel):
    """Base of option models; give each field a type, a default and a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_options(what: str, model: type[M], values: Mapping[str, Any]) -> M:
    """Check the values that were given for the options of `what`.

    Parameters
    ----------
    what : str
        The command, function or analysis, for the message.
    model : pydantic model
    values : mapping
        Values by option; those that are absent get their defaults.

    Raises
    ------
    InputError
        Options are unknown, missing or unusable; the message lists all of them.
    """
    try:
        return model(**values)
    except ValidationError as error:
        problems = [_problem(entry, model.model_fields) for entry in error.errors()]
        raise InputError("\n  ".join([f"Options of {what}:", *problems])) from None


def declares_options(model: type[BaseModel]) -> Callable[[F], F]:
    """Decorate a function whose `**options` are those of a model, so that `help` and editors show each of them.

    The signature gets a keyword for each field. In the docstring, the entry `**options` is replaced by an entry for each field.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.is_required() else field.default,
                annotation=_type_name(field),
            )
            for name, field in model.model_fields.items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *keywords])  # type: ignore[attr-defined]
        function.__doc__ = _with_entries(inspect.getdoc(function) or "", model)
        return function

    return decorate


def _with_entries(docstring: str, model: type[BaseModel]) -> str:
    lines = docstring.splitlines()
    if "**options" not in lines:
        return docstring
    first = lines.index("**options")
    last = first + 1
    while last < len(lines) and lines[last].startswith("    "):
        last += 1
    entries: list[str] = []
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else f", default {field.default!r}"
        entries += [f"{name} : {_type_name(field)}{default}", f"    {field.description}"]
    return "\n".join([*lines[:first], *entries, *lines[last:]])


def _type_name(field: FieldInfo) -> str:
    annotation = field.annotation
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return name.replace("typing.", "").replace("pathlib.", "")


def _problem(error: Any, names: Iterable[str]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if not where:
        return str(error["ctx"]["error"]) if error["type"] == "value_error" else str(error["msg"])
    head, *rest = where.split(".")
    written = ".".join([option(head), *rest])
    if error["type"] == "missing":
        return f"{written} must be given"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(head, names, n=1)
        return f"{written} is not an option" + (f"; did you mean {option(near[0])}?" if near else "")
    message = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    return f"{written}: {message}; found {error['input']!r}"
