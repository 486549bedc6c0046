"""Reads untrusted YAML as plain values: without tags, anchors and aliases, repeated keys or deep nesting."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from scbasset_zoo.errors import PackageError

MAX_DEPTH = 16


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
    except ValueError as error:
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


def _check_structure(text: str | bytes) -> None:
    """Refuse aliases and deep nesting before any value is made: a small file could fill the memory or exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PackageError(f", line {line}: YAML anchors and aliases are not allowed.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise PackageError(f", line {line}: nested more than {MAX_DEPTH} deep.")
