"""`scbasset-zoo plugins`: the installed plugins, what each registers, and problems."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Annotated

import typer

from scbasset_zoo.cli.output import answer, answer_json

if TYPE_CHECKING:
    from scbasset_zoo.plugin_manager import Plugin


def plugins(json: Annotated[bool, typer.Option("--json", help="Print the plugins as JSON.")] = False) -> None:
    """List the installed plugins: their analyses, importers and other parts, and their problems."""
    from scbasset_zoo import plugin_manager
    from scbasset_zoo.cli.main import own_names

    # Loading also prints the problems; each is printed once, with its plugin.
    with contextlib.redirect_stderr(io.StringIO()):
        installed = plugin_manager.plugins(own_names())
        shared_problems = plugin_manager.check(own_names())
    if json:
        answer_json({"plugins": list(map(_as_json, installed)), "problems": shared_problems})
        return
    for plugin in installed:
        _show(plugin)
    for problem in shared_problems:
        answer(f"problem: {problem}")


def _show(plugin: Plugin) -> None:
    answer(f"{plugin.name} ({plugin.distribution})" + ("" if plugin.hooks else ": not in use"))
    for kind, names in plugin.registered.items():
        answer(f"  {kind}: {', '.join(names)}")
    for problem in plugin.problems:
        answer(f"  problem: {problem}")


def _as_json(plugin: Plugin) -> dict[str, object]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "in_use": bool(plugin.hooks),
        "registered": {kind: list(names) for kind, names in plugin.registered.items()},
        "problems": list(plugin.problems),
    }
