"""Read index.json, recipe.yaml and zoo.yaml with pydantic models; one error lists all problems of a file."""

from __future__ import annotations

from typing import Any, TypeVar

import pydantic_core
from pydantic import BaseModel, ConfigDict, ValidationError

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package import plain_yaml
from scbasset_zoo.validation import field_problems

MAX_MEMBERS = 10_000  # of a mapping or list: pydantic needs a kilobyte for each member that is wrong
Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A pydantic model that refuses unknown fields and does not convert types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def from_json(model: type[Model], raw: bytes, where: str) -> Model:
    """Read fields from JSON. A PackageError lists the problems; `where` is the file's name in it."""
    _check_lengths(raw, where)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _problems(error, where) from None


def from_yaml(model: type[Model], raw: bytes, where: str) -> Model:
    """Read fields from YAML. A PackageError lists all problems. Anchors are refused: with them a small file can grow huge."""
    fields = plain_yaml.load(raw, where)
    return from_fields(model, {} if fields is None else fields, where)


def from_fields(model: type[Model], fields: Any, where: str) -> Model:
    """Check fields that are plain Python values. A PackageError lists all problems."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _problems(error, where) from None


def _check_lengths(raw: bytes, where: str) -> None:
    try:
        parts = [pydantic_core.from_json(raw)]
    except ValueError:  # pydantic says what is wrong, when it reads the fields
        return
    while parts:
        part = parts.pop()
        if isinstance(part, dict | list):
            if len(part) > MAX_MEMBERS:
                raise PackageError(
                    f"{where} cannot be used: a list or mapping in it has {len(part):,} members, more than {MAX_MEMBERS:,}."
                )
            parts.extend(part.values() if isinstance(part, dict) else part)


def _problems(error: ValidationError, where: str) -> PackageError:
    return PackageError("\n  ".join([f"{where} cannot be used:", *field_problems(error)]))
