"""YAML from strangers as plain values: no tags, anchors or aliases, no key twice, not nested without end."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from scbasset_zoo.errors import PackageError

MAX_DEPTH = 16


def load(text: str | bytes, where: str) -> Any:
    """The values in a YAML text.

    Parameters
    ----------
    text : str or bytes
    where : str
        The file's name, for messages.

    Raises
    ------
    PackageError
        It is not such YAML.
    """
    try:
        _check_structure(text)
        return yaml.load(text, Loader=_Loader)
    except PackageError as error:
        raise PackageError(f"{where}{error}") from None
    except yaml.YAMLError as error:
        raise PackageError(f"{where} is not valid YAML: {error}") from error
    except ValueError as error:
        # PyYAML turns 2024-13-45 into a date without asking whether there is such a day.
        raise PackageError(f"{where} holds an impossible value: {error}") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loading that refuses a key given twice, of which plain YAML loaders keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise PackageError(f", line {key_node.start_mark.line + 1}: the key {key!r} must be a text.")
            if key in seen:
                raise PackageError(f", line {key_node.start_mark.line + 1}: the key {key!r} is given twice.")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _check_structure(text: str | bytes) -> None:
    """Walk the events before anything is built: aliases could blow a small file up, deep nesting could exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PackageError(f", line {line}: YAML anchors and aliases are not allowed.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise PackageError(f", line {line}: nested more than {MAX_DEPTH} deep.")
