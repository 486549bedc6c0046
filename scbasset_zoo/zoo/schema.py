"""Read index.json, recipe.yaml and zoo.yaml with pydantic models; one error lists all problems of a file."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package import plain_yaml
from scbasset_zoo.validation import field_problems

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A pydantic model that refuses unknown fields and does not convert types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def from_json(model: type[Model], raw: bytes, where: str) -> Model:
    """Read fields from JSON. A PackageError lists all problems; `where` is the file's name in it."""
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


def _problems(error: ValidationError, where: str) -> PackageError:
    return PackageError("\n  ".join([f"{where} cannot be used:", *field_problems(error)]))
