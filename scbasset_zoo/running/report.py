"""Writes the report of a result: one HTML file with what was asked and found, figures, tables, model and provenance."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from scbasset_zoo.extend.description import Description, described
from scbasset_zoo.files import rewritten
from scbasset_zoo.package.readme import baselines_text, verdict_of
from scbasset_zoo.running.figure_images import FigureImage, image_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scbasset_zoo.extend.analysis import Analysis, Result
    from scbasset_zoo.package.card import Card
    from scbasset_zoo.running.genome_browser import GenomeBrowser

MOST_ROWS = 20
INTERVAL = ["chrom", "start", "end"]
LOCATION = "location (as in a genome browser)"
TEMPLATE = "report.html.j2"


def write_report(
    path: str | os.PathLike[str],
    analysis: Analysis,
    cards: Sequence[Card],
    result: Result,
    figures: Mapping[str, Figure],
    provenance: Mapping[str, str],
    command: str,
    description: Description,
    browser: GenomeBrowser | None = None,
) -> None:
    """Write the report of a result. It replaces a file at `path`.

    Parameters
    ----------
    path : path
    analysis : Analysis
        Its docstring is the introduction, and its `tables` returns the tables.
    cards : sequence of Card
        The card of each model.
    result : AnnData or xarray.Dataset
    figures : mapping of str to Figure
    provenance : mapping
        The provenance of the result. Its `options` are JSON.
    command : str
        The command or call that made the result.
    description : Description
        What the analysis says about the result.
    browser : GenomeBrowser, optional
        A genome browser with the tracks of the result.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template(TEMPLATE).render(
        title=f"{analysis.name}: {', '.join(f'{card.id} {card.version}' for card in cards)}",
        verdicts=[_Verdict(verdict_of(card), card.verdict is not None and card.verdict.learnt == "sequence") for card in cards],
        introduction=described(type(analysis)),
        figures=[_Figure(description.captions.get(name, _title(name)), image_of(figure)) for name, figure in figures.items()],
        tables=[_table(name, table, description) for name, table in analysis.tables(result).items()],
        command=command,
        description=description,
        browser=browser,
        models=[(card.description, _model_facts(card)) for card in cards],
        options=json.loads(provenance["options"]),
        result=_result_facts(result),
        provenance={key: value for key, value in provenance.items() if key != "options"},
    )
    with rewritten(path) as partial:
        partial.write_text(f"{page}\n", encoding="utf-8")


@dataclass(frozen=True)
class _Figure:
    caption: str
    image: FigureImage


@dataclass(frozen=True)
class _Verdict:
    text: str
    has_learnt: bool


@dataclass(frozen=True)
class _Cell:
    text: str
    is_number: bool


@dataclass(frozen=True)
class _Table:
    """The first rows of a table, as text."""

    title: str
    caption: str
    head: list[_Cell]
    rows: list[list[_Cell]]
    n_more: int


def _table(name: str, table: pd.DataFrame, description: Description) -> _Table:
    has_row_names = table.index.name is not None or table.index.dtype.kind == "O"
    # Such as the notes of scores of which each is defined.
    is_blank = np.array([len(table) > 0 and bool((column == "").all()) for _, column in table.items()], dtype=bool)
    first = _with_location(table.loc[:, ~is_blank].head(MOST_ROWS))
    key_columns = [column for column in description.key_columns.get(name, ()) if column in first]
    first = first[list(dict.fromkeys([*key_columns, *first.columns]))].reset_index(drop=not has_row_names)
    is_number = [first[column].dtype.kind in "iuf" for column in first]
    return _Table(
        title=_title(name),
        caption=description.captions.get(name, ""),
        head=[_Cell(_heading(column, description), number) for column, number in zip(first, is_number, strict=True)],
        rows=[
            [_Cell(_as_text(value), number) for value, number in zip(row, is_number, strict=True)]
            for row in first.itertuples(index=False)
        ],
        n_more=max(0, len(table) - MOST_ROWS),
    )


def _with_location(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns chrom, start and end are one: the location as genome browsers write it, counted from 1."""
    if not set(INTERVAL) <= set(table):
        return table
    intervals = zip(*(table[column] for column in INTERVAL), strict=True)
    location = [f"{chrom}:{int(start) + 1:,}-{int(end):,}" for chrom, start, end in intervals]
    return table.drop(columns=INTERVAL).assign(**{LOCATION: location})[
        [LOCATION if column == "chrom" else column for column in table if column not in ("start", "end")]
    ]


def _heading(column: object, description: Description) -> str:
    unit = description.units.get(str(column))
    return _as_words(str(column)) + (f" ({unit})" if unit else "")


def _model_facts(card: Card) -> dict[str, Any]:
    return {
        "Cells": f"{card.cells.n_cells:,}",
        "Training peaks": f"{card.peaks.n_peaks:,}" if card.peaks else None,
        "Assembly": card.genome.assembly,
        "Network": card.architecture.name,
        **{
            f"{e.metric}, {e.split}": f"{e.value:.4g}" + (f" ({baselines_text(e.baselines)})" if e.baselines else "")
            for e in card.evaluation
        },
        "Limits": card.limits,
        "Licence": card.license,
        "Authors": ", ".join(author.name for author in card.authors),
        "Cite": "; ".join(citation.text + (f" doi:{citation.doi}" if citation.doi else "") for citation in card.citation),
    }


def _result_facts(result: Any) -> dict[str, Any]:
    if hasattr(result, "dims"):
        return {"Size": " x ".join(f"{n:,} {name}" for name, n in result.sizes.items()), "Values": ", ".join(result.data_vars)}
    size = {"Size": f"{result.n_obs:,} x {result.n_vars:,}"}
    return size | {f".{name}": ", ".join(getattr(result, name).keys()) for name in ("obs", "var", "obsm", "varm", "layers", "uns")}


def _title(name: str) -> str:
    return _as_words(name[:1].upper() + name[1:])


def _as_words(name: str) -> str:
    return name.replace("_", " ")


def _as_text(value: Any) -> str:
    import pandas as pd

    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:,.3f}" if number == 0 or 1e-3 <= abs(number) < 1e6 else f"{number:.2e}"
    return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)
