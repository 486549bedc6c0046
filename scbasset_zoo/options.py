"""Option models: pydantic models that declare each option of a command or function once, with its default and description."""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, ParamSpec, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo, field_validator

from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say
from scbasset_zoo.validation import option_problems
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
T = TypeVar("T")

# The type of a field that takes one path or several.
Paths = Annotated[Sequence[Path], BeforeValidator(lambda value: [value] if isinstance(value, str | os.PathLike) else value)]


class Options(BaseModel):
    """Base of option models. Give each field a type, a description, and a default unless the option is required.

    Attributes
    ----------
    earlier_names : mapping of str to str
        What the release before calls an option, ``{"label": "group_by"}``. This release accepts it, with a line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    earlier_names: ClassVar[Mapping[str, str]] = {}

    @field_validator("*", mode="before")
    @classmethod
    def _as_the_field_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        """Take a path as text where a text is expected. Refuse True and False, which pydantic takes for 1 and 0, as numbers."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = {annotation, *typing.get_args(annotation)}
        if kinds & {int, float} and bool not in kinds and _is_truth_value(value):
            raise ValueError("must be a number")
        return os.fspath(value) if isinstance(value, os.PathLike) and str in kinds and not kinds & {Path, Any} else value


def is_whole_number(value: object) -> bool:
    """Return whether a value is an integer of Python or NumPy; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_truth_value(value: object) -> bool:
    # Without an import of NumPy: its truth values are arrays without dimensions.
    dtype = getattr(value, "dtype", None)
    return isinstance(value, bool) or (getattr(dtype, "kind", "") == "b" and getattr(value, "ndim", 1) == 0)


def checked_options(what: str, model: type[M], values: Mapping[str, Any]) -> M:
    """Check options and return them as an instance of their model.

    Parameters
    ----------
    what : str
        The command, function or analysis that has the options, for the error message.
    model : pydantic model
    values : mapping
        Values by option. Options that are left out get their defaults. An option may have its earlier name.

    Raises
    ------
    InputError
        Options are unknown, missing or have wrong values. The message lists all problems.
    """
    try:
        return model(**with_present_names(values, getattr(model, "earlier_names", {})))
    except ValidationError as error:
        raise InputError("\n  ".join([f"Options of {what}:", *option_problems(error, model.model_fields)])) from None


def with_present_names(values: Mapping[str, Any], earlier_names: Mapping[str, str]) -> dict[str, Any]:
    """Return options under their present names, with a line for each that has an earlier name. None is an option not given.

    Parameters
    ----------
    values : mapping
        Values by option.
    earlier_names : mapping of str to str
        ``{"fasta": "genome"}``

    Raises
    ------
    InputError
        An option is given under both names.
    """
    renamed = {name: value for name, value in values.items() if name not in earlier_names}
    for earlier, name in earlier_names.items():
        if values.get(earlier) is None:
            continue
        if renamed.get(name) is not None:
            raise InputError(f"{option(earlier)} is the earlier name of {option(name)}. Give one of them.")
        say(f"{option(earlier)} is now {option(name)}; the next release will not accept {option(earlier)}.")
        renamed[name] = values[earlier]
    return renamed


def accepts_earlier_names(names: Mapping[str, str]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function whose own keywords had other names in the release before: ``{"fasta": "genome"}``."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def with_keywords(*args: P.args, **kwargs: P.kwargs) -> T:
            return function(*args, **with_present_names(kwargs, names))

        return with_keywords

    return decorate


def declares_options(model: type[BaseModel]) -> Callable[[F], F]:
    """Decorate a function whose `**options` are the fields of a model, so that `help` shows each of them.

    The signature gets a keyword for each field. In the docstring, entries for the fields replace the entry `**options`.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True),
                annotation=type_name(field),
            )
            for name, field in model.model_fields.items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *keywords])  # type: ignore[attr-defined]
        function.__doc__ = _with_entries(inspect.getdoc(function) or "", model)
        return function

    return decorate


def option_entries(model: type[BaseModel]) -> list[str]:
    """Return the fields of an option model as lines of a numpydoc section: name, type, default and description of each."""
    entries: list[str] = []
    for name, field in model.model_fields.items():
        default = "" if field.is_required() else f", default {field.get_default(call_default_factory=True)!r}"
        entries += [f"{name} : {type_name(field)}{default}", f"    {field.description or ''}".rstrip()]
    return entries


def _with_entries(docstring: str, model: type[BaseModel]) -> str:
    lines = docstring.splitlines()
    if "**options" not in lines:
        return docstring
    first = lines.index("**options")
    last = first + 1
    while last < len(lines) and lines[last].startswith("    "):
        last += 1
    return "\n".join([*lines[:first], *option_entries(model), *lines[last:]])


def type_name(field: FieldInfo) -> str:
    """Return the type of a field as a docstring names it."""
    annotation = field.annotation
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return name.replace("typing.", "").replace("pathlib.", "").replace("collections.abc.", "")
