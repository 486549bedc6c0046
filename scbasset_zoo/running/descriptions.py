"""Describes the registered analyses, and the options of one: as tables, or printed."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from scbasset_zoo import plugin_manager
from scbasset_zoo.extend.description import described
from scbasset_zoo.options import option_entries, type_name
from scbasset_zoo.printable import printable_field

if TYPE_CHECKING:
    import pandas as pd

    from scbasset_zoo.extend.analysis import Analysis

WIDTH = 100


def analyses(name: str | None = None) -> pd.DataFrame:
    """Return a table of the registered analyses, or of the options of one.

    Parameters
    ----------
    name : str, optional
        An analysis whose options are returned.

    Returns
    -------
    DataFrame
        Indexed by analysis, with what it computes and the distribution that it comes from; or by option, with type, default and
        description. The default of an option that must be given is "required".

    Raises
    ------
    InputError, PluginError
        As for :func:`describe_analyses`.
    """
    import pandas as pd

    registered = plugin_manager.analyses()
    if name is not None:
        fields = registered.get(name).Options.model_fields
        rows = {
            option: (
                type_name(field),
                "required" if field.is_required() else repr(field.get_default(call_default_factory=True)),
                printable_field(field.description or ""),
            )
            for option, field in fields.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["type", "default", "description"]).rename_axis("option")
    rows_of_analyses = {
        each.name: (printable_field(next(iter(described(each)), "")), plugin_manager.distribution_of(each))
        for each in sorted(registered.as_dict().values(), key=lambda analysis: analysis.name)
    }
    table = pd.DataFrame.from_dict(rows_of_analyses, orient="index", columns=["computes", "distribution"])
    return table.rename_axis("analysis")


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
