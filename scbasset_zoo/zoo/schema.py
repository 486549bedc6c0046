"""What index.json, recipe.yaml and zoo.yaml have in common: strict fields, and one message that lists all problems."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package import plain_yaml

MAX_PROBLEMS = 20
Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """Fields of which none may be unknown or of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def from_json(model: type[Model], raw: bytes, where: str) -> Model:
    """The fields in JSON text; all problems are one PackageError."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _problems(error, where) from None


def from_yaml(model: type[Model], raw: bytes, where: str) -> Model:
    """The fields in YAML text without anchors, by which a small file could blow up; all problems are one PackageError."""
    fields = plain_yaml.load(raw, where)
    return from_fields(model, {} if fields is None else fields, where)


def from_fields(model: type[Model], fields: Any, where: str) -> Model:
    """The fields as plain values; all problems are one PackageError."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _problems(error, where) from None


def _problems(error: ValidationError, where: str) -> PackageError:
    found = [_line(problem) for problem in error.errors(include_url=False)]
    more = [f"and {len(found) - MAX_PROBLEMS:,} more"] if len(found) > MAX_PROBLEMS else []
    return PackageError("\n  ".join([f"{where} cannot be used:", *found[:MAX_PROBLEMS], *more]))


def _line(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    message = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
    shown = not isinstance(problem["input"], dict | list | bytes) and problem["type"] not in ("value_error", "missing")
    return (f"{place}: " if place else "") + message + (f"; found {problem['input']!r}" if shown else "")
