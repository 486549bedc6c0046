"""`scbasset-zoo plugins`: what is installed, from where, and what is wrong with it."""

from __future__ import annotations

import contextlib
import io

import typer


def plugins() -> None:
    """List the plugins, the hooks that each implements, and their problems."""
    from scbasset_zoo import plugin_manager
    from scbasset_zoo.cli.main import own_names

    # Problems are listed below, with the plugin that has them; not also as they are found.
    with contextlib.redirect_stderr(io.StringIO()):
        remarks = plugin_manager.check(taken=own_names())
    for plugin in plugin_manager.plugins():
        typer.echo(f"{plugin.name} ({plugin.distribution}): {', '.join(plugin.hooks) or 'not in use'}")
        for problem in plugin.problems:
            typer.echo(f"  {problem}")
    for remark in remarks:
        typer.echo(remark)
