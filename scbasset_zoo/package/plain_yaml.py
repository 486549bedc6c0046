"""Reads untrusted YAML as plain values: without tags, anchors and aliases, repeated keys or deep nesting."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from scbasset_zoo.errors import PackageError

MAX_DEPTH, MAX_PARTS, MAX_DIGITS = 16, 500_000, 400


def load(text: str | bytes, where: str) -> Any:
    """Read the values in a YAML text.

    Parameters
    ----------
    text : str or bytes
    where : str
        Name of the file, for messages.

    Raises
    ------
    PackageError
        The text is not valid YAML, or it has parts that are not allowed. The message names the line.
    """
    try:
        _check_structure(text)
        return yaml.load(text, Loader=_Loader)
    except PackageError as error:
        raise PackageError(f"{where}{error}") from None
    except yaml.YAMLError as error:
        raise PackageError(f"{where} is not valid YAML: {error}") from error
    except (ValueError, OverflowError) as error:
        # For one, PyYAML takes 2024-13-45 for a date and then fails to make it.
        raise PackageError(f"{where} holds an impossible value: {error}") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that refuses repeated keys. PyYAML would silently keep the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise PackageError(f", line {key_node.start_mark.line + 1}: the key {key!r} must be a text.")
            if key in keys:
                raise PackageError(f", line {key_node.start_mark.line + 1}: the key {key!r} is given twice.")
            keys.add(key)
        return super().construct_mapping(node, deep=deep)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    """Refuse long numbers: the time for those of base 60, such as 1:30:59, grows as the square of their length."""
    if len(node.value) > MAX_DIGITS:
        raise PackageError(f", line {node.start_mark.line + 1}: a number has {len(node.value):,} characters.")
    is_whole = node.tag.endswith(":int")
    value: int | float = loader.construct_yaml_int(node) if is_whole else loader.construct_yaml_float(node)
    return value


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)


def _check_structure(text: str | bytes) -> None:
    """Refuse aliases and deep nesting before any value is made: a small file could fill the memory or exhaust the stack."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PackageError(f", line {line}: YAML anchors and aliases are not allowed.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if number > MAX_PARTS:
            raise PackageError(f", line {line}: more than {MAX_PARTS:,} keys and values.")
        if depth > MAX_DEPTH:
            raise PackageError(f", line {line}: nested more than {MAX_DEPTH} deep.")
