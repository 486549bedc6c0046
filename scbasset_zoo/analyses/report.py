"""One HTML page of a result, in a single file: its model, figures, tables, options and provenance."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from scbasset_zoo.extend.description import described
from scbasset_zoo.files import new_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from scbasset_zoo.extend.analysis import Analysis, Result
    from scbasset_zoo.package.card import Card

MOST_ROWS = 20
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; color: #1d1d1f; background: #fff; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
th { font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts { width: 100%; } .facts th { width: 11rem; } .facts td { overflow-wrap: anywhere; }
figure { margin: 1.5rem 0; } img { max-width: max(100%, 36rem); height: auto; } figcaption, .note { color: #555; font-size: .9rem; }
@media (max-width: 40rem) { .facts th { width: 7.5rem; } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
  .scroll { overflow: visible; } img { max-width: 100%; }
}
"""


def write_report(
    path: str | os.PathLike[str],
    analysis: Analysis,
    card: Card,
    result: Result,
    figures: Mapping[str, Figure],
    provenance: Mapping[str, str],
) -> None:
    """Write the page; it replaces one that is there.

    Parameters
    ----------
    path : path
    analysis : Analysis
        Its docstring is the page's introduction; `tables` gives the tables.
    card : Card
        Of the model.
    result : AnnData or xarray.Dataset
    figures : mapping of str to Figure
    provenance : mapping
        As results carry it; `options` is JSON.
    """
    title = f"{analysis.name}: {card.id} {card.version}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(paragraph)}</p>" for paragraph in described(type(analysis))),
        *(_figure(name, figure) for name, figure in figures.items()),
        *(f"<h2>{_heading(name)}</h2>{_table(table)}" for name, table in analysis.tables(result).items()),
        f"<h2>Model</h2><p>{escape(card.description)}</p>{_facts(_of_card(card))}",
        f"<h2>Options</h2>{_facts(json.loads(provenance['options']))}",
        f"<h2>Result</h2>{_facts(_of_result(result))}",
        f"<h2>Provenance</h2>{_facts({key: value for key, value in provenance.items() if key != 'options'})}",
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    )
    with new_file(path) as partial:
        partial.write_text(f"{head}<body>{''.join(parts)}</body></html>\n", encoding="utf-8")


def _of_card(card: Card) -> dict[str, Any]:
    return {
        "Cells": f"{card.cells.n_cells:,}",
        "Training peaks": f"{card.peaks.n_peaks:,}" if card.peaks else None,
        "Assembly": card.genome.assembly,
        "Network": card.architecture.name,
        **{f"{e.metric}, {e.split}": f"{e.value:.4g}" for e in card.evaluation},
        "Limits": card.limits,
        "Licence": card.license,
        "Authors": ", ".join(author.name for author in card.authors),
        "Cite": "; ".join(citation.text + (f" doi:{citation.doi}" if citation.doi else "") for citation in card.citation),
    }


def _of_result(result: Any) -> dict[str, Any]:
    if hasattr(result, "dims"):
        return {"Size": " x ".join(f"{n:,} {name}" for name, n in result.sizes.items()), "Values": ", ".join(result.data_vars)}
    shape = {"Size": f"{result.n_obs:,} x {result.n_vars:,}"}
    return shape | {f".{name}": ", ".join(getattr(result, name).keys()) for name in ("obs", "var", "obsm", "varm", "layers", "uns")}


def _table(table: pd.DataFrame) -> str:
    named = table.index.name is not None or table.index.dtype.kind == "O"
    shown = table.head(MOST_ROWS).reset_index(drop=not named)
    is_number = [shown[column].dtype.kind in "iuf" for column in shown]
    head = "".join(_cell("th", _words(str(column)), number) for column, number in zip(shown, is_number, strict=True))
    rows = (
        "".join(_cell("td", _written(value), number) for value, number in zip(row, is_number, strict=True))
        for row in shown.itertuples(index=False)
    )
    more = f'<p class="note">and {len(table) - MOST_ROWS:,} more rows in the file</p>' if len(table) > MOST_ROWS else ""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}'


def _cell(tag: str, text: str, number: bool) -> str:
    return f"<{tag}{' class=number' if number else ''}>{escape(text)}</{tag}>"


def _written(value: Any) -> str:
    if isinstance(value, float | np.floating):
        number = float(value)
        if np.isnan(number):
            return ""
        return f"{number:,.3f}" if number == 0 or 1e-3 <= abs(number) < 1e6 else f"{number:.2e}"
    return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>"
        for key, value in facts.items()
        if value not in (None, "", [])
    )
    return f'<table class="facts">{rows}</table>'


def _words(name: str) -> str:
    return name.replace("_", " ")


def _heading(name: str) -> str:
    return escape(_words(name[:1].upper() + name[1:]))


def _figure(name: str, figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, bbox_inches="tight")
    image = base64.b64encode(buffer.getvalue()).decode()
    # At its size in inches: CSS counts 96 pixels to one.
    tag = f'<img alt="{_heading(name)}" width="{round(figure.get_figwidth() * 96)}" src="data:image/png;base64,{image}">'
    return f'<figure><div class="scroll">{tag}</div><figcaption>{_heading(name)}</figcaption></figure>'
