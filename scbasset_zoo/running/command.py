"""Writes the command, or the Python call, that a run of an analysis was started with."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scbasset_zoo.name_lists import written_name
from scbasset_zoo.wording import is_command_line, option

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Analysis


def command_of(
    analysis: Analysis, options: Mapping[str, Any], destinations: Mapping[str, Path | bool | None], n_models: int = 1
) -> str:
    """Return the command of a run on one line, with MODEL for the model, or MODEL_1 and so on for several.

    Options that have their default are left out.

    Parameters
    ----------
    analysis : Analysis
    options : mapping
        Options of the analysis as JSON has them.
    destinations : mapping of str to Path, bool or None
        What the run writes, by option: files and folders, and True for a part of the report.
    n_models : int
    """
    written = {name: path if path is True else str(path) for name, path in destinations.items() if path is not None}
    changed = {name: value for name, value in options.items() if not _is_default(analysis, name, value)} | written
    models = ["MODEL"] if n_models == 1 else [f"MODEL_{number + 1}" for number in range(n_models)]
    if is_command_line():
        return " ".join(["scbasset-zoo", "run", analysis.name, *models, *_flags(changed)])
    given = models[0] if n_models == 1 else f"[{', '.join(models)}]"
    keywords = ", ".join([given, *(option(name, value) for name, value in changed.items())])
    return f"sz.run({analysis.name!r}, {keywords})"


def _flags(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        for part in map(_member, value) if isinstance(value, list) else [value]:
            yield option(name, part if isinstance(part, bool) else shlex.quote(str(part)))


def _member(value: Any) -> Any:
    return written_name(value) if isinstance(value, str) else value


def _is_default(analysis: Analysis, name: str, value: Any) -> bool:
    field = analysis.Options.model_fields.get(name)
    if field is None or field.is_required():
        return False
    default = field.get_default(call_default_factory=True)
    # A path and a tuple are a text and a list in JSON.
    return bool(value == (str(default) if isinstance(default, Path) else list(default) if isinstance(default, tuple) else default))
