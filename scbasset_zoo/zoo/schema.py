"""What index.json, recipe.yaml and zoo.yaml have in common: strict fields, and one message that lists all problems."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from scbasset_zoo.errors import PackageError

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
    try:
        if any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in yaml.scan(raw)):
            raise PackageError(f"{where}: YAML anchors and aliases are not allowed.")
        fields = yaml.load(raw, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, PackageError):
            raise
        raise PackageError(f"{where} is not valid YAML: {error}") from error
    return from_fields(model, {} if fields is None else fields, where)


def from_fields(model: type[Model], fields: Any, where: str) -> Model:
    """The fields as plain values; all problems are one PackageError."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _problems(error, where) from None


class _Loader(yaml.SafeLoader):
    """Safe loading that refuses a key given twice, of which plain YAML loaders keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return mapping


def _problems(error: ValidationError, where: str) -> PackageError:
    found = [_line(problem) for problem in error.errors(include_url=False)]
    more = [f"and {len(found) - MAX_PROBLEMS:,} more"] if len(found) > MAX_PROBLEMS else []
    return PackageError("\n  ".join([f"{where} cannot be used:", *found[:MAX_PROBLEMS], *more]))


def _line(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    message = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else problem["msg"]
    shown = not isinstance(problem["input"], dict | list | bytes) and problem["type"] not in ("value_error", "missing")
    return (f"{place}: " if place else "") + message + (f"; found {problem['input']!r}" if shown else "")
