"""Prints the registered analyses, and the options of one."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from scbasset_zoo import plugin_manager
from scbasset_zoo.extend.description import described
from scbasset_zoo.options import option_entries
from scbasset_zoo.printable import printable_field

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Analysis

WIDTH = 100


def describe_analyses(name: str | None = None) -> None:
    """Print the registered analyses, or the options of one.

    Parameters
    ----------
    name : str, optional
        An analysis whose options are printed, with types, defaults and descriptions. All analyses are listed if it is not given.

    Raises
    ------
    InputError
        There is no such analysis.
    PluginError
        Several plugins register the analysis.
    """
    analyses = plugin_manager.analyses()
    if name is not None:
        print("\n".join(map(printable_field, _with_options(analyses.get(name)).split("\n"))))
        return
    for analysis in sorted(analyses.as_dict().values(), key=lambda analysis: analysis.name):
        print(printable_field(f"{analysis.name}: {next(iter(described(analysis)), '')}"))


def _with_options(analysis: type[Analysis]) -> str:
    paragraphs = [analysis.name, *(textwrap.fill(paragraph, WIDTH) for paragraph in described(analysis))]
    options = ["Options", "-------", *option_entries(analysis.Options)]
    return "\n\n".join([*paragraphs, "\n".join(options)])
