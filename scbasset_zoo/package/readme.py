"""Renders README.md of a package: the card as a text for people, with metadata for Hugging Face's hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from scbasset_zoo.graph.contract import BATCH_OUTPUT
from scbasset_zoo.package.card import Card, Citation
from scbasset_zoo.package.card_fields import NO_LICENSE
from scbasset_zoo.printable import printable_field

if TYPE_CHECKING:
    import pandas as pd

MAX_GROUPS = 30
NO_VERDICT = "Whether the model is better than chance and than the depth of the cells is not known."
_OTHER_LINK = re.compile(r"\]([(:])(?! {0,3}https?://)")
TAGS = ("biology", "genomics", "single-cell", "scatac-seq", "scbasset", "onnx")
# Licences whose name on the hub is their SPDX id in lower case, https://huggingface.co/docs/hub/repositories-licenses.
_HUB_LICENSES = frozenset(
    """apache-2.0 mit afl-3.0 artistic-2.0 bsl-1.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear cc0-1.0 cc-by-2.0 cc-by-2.5
    cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
    ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 isc lppl-1.3c ms-pl mpl-2.0 ofl-1.1 osl-3.0 postgresql ncsa
    unlicense zlib""".split()  # noqa: SIM905  a table of words
)
_HUB_NAMES = {"odbl-1.0": "odbl", "odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}


def render(card: Card, cells: pd.DataFrame) -> str:
    """Return README.md: the front matter, then the text of :func:`describe`."""
    return f"{front_matter(card)}\n{describe(card, cells)}"


def front_matter(card: Card) -> str:
    """Return the YAML block at the beginning of README.md, from which Hugging Face's hub reads licence, tags and results.

    A package must begin with exactly this block to verify, so a change of it breaks packages that exist.
    """
    return f"---\n{yaml.safe_dump(_front_fields(card), sort_keys=False, allow_unicode=True, width=110)}---\n"


def describe(card: Card, cells: pd.DataFrame) -> str:
    """Return Markdown that says what the model is, its input and outputs, how well it predicts, and how to use and cite it.

    Parameters
    ----------
    card : Card
    cells : DataFrame
        The cells of the model. The text counts them by the default group of the card.
    """
    return "\n\n".join(_harmless(section) for section in _sections(card, cells) if section) + "\n"


def _harmless(section: str) -> str:
    """Return Markdown without HTML, images, control characters, or links other than http:// and https://."""
    text = "\n".join(printable_field(line.expandtabs()) for line in section.split("\n"))
    return _OTHER_LINK.sub(r"]\\\1", text.replace("<", "&lt;").replace("![", "!\\["))


def _front_fields(card: Card) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **_hub_license(card.license),
        "library_name": "scbasset_zoo",
        "tags": list(dict.fromkeys([*TAGS, *card.tags])),
    }
    # The values of an extended package are those of its parent, not results of this model.
    evaluation = card.evaluation if card.lineage is None else ()
    results = [
        {
            "task": {"type": "other", "name": "chromatin accessibility of DNA sequences in single cells"},
            "dataset": {"type": "scatac-seq", "name": card.data.description, "split": split},
            "metrics": [
                {"type": row.metric.split()[0].lower(), "name": row.metric, "value": row.value}
                for row in evaluation
                if row.split == split
            ],
        }
        for split in dict.fromkeys(row.split for row in evaluation)
    ]
    return fields | ({"model-index": [{"name": card.id, "results": results}]} if results else {})


def _hub_license(license: str) -> dict[str, str]:
    name = license.lower()
    if license == NO_LICENSE:
        return {"license": "unknown"}
    if name in _HUB_LICENSES or name in _HUB_NAMES:
        return {"license": _HUB_NAMES.get(name, name)}
    return {"license": "other", "license_name": name.replace(" ", "-").strip("()")}


def _sections(card: Card, cells: pd.DataFrame) -> list[str]:
    return [
        f"# {card.id} {card.version}",
        card.description,
        _list(
            {
                "Cells": f"{card.cells.n_cells:,}",
                "Peaks": f"{card.peaks.n_peaks:,}" if card.peaks else None,
                "Assembly": card.genome.assembly,
                "Network": card.architecture.name,
                "Licence of the model": card.license,
                "Created": str(card.created),
                "Authors": ", ".join(author.name for author in card.authors),
                "Tags": ", ".join(card.tags) or None,
            }
        ),
        "## Use",
        '```python\nimport scbasset_zoo as sz\n\nmodel = sz.open_model("FOLDER")\n'
        'accessibility = model.predict("peaks.bed", "genome.fa")  # AnnData, cells x peaks\n```',
        "`model.onnx` also opens in plain ONNX Runtime.",
        "## Input",
        f"`{card.input.name}`: float32 (N, {card.input.length}, 4), one-hot in the order {' '.join(card.input.alphabet)}; "
        f"N is {card.input.n_policy}. Windows: {card.input.window}.",
        "## Outputs",
        _list({f"`{output.name}`": output.meaning for output in card.outputs}),
        _gauge(card),
        "## Cells",
        "The rows of `cells.parquet`, indexed by barcode, are the model's outputs in order.",
        _list({f"`{name}`": meaning for name, meaning in card.cells.columns.items()}),
        _groups(card, cells),
        *_lineage(card),
        "## Data",
        f"{card.data.description} Licence: {card.data.license}.",
        "\n".join(f"- {_citation(citation)}" for citation in card.data.citation),
        *_batch_correction(card),
        *_training(card),
        *_evaluation(card),
        "## Intended use",
        card.intended_use,
        "## Limits",
        card.limits,
        "## How to cite",
        "\n".join(f"- {_citation(citation)}" for citation in card.citation),
    ]


def _groups(card: Card, cells: pd.DataFrame) -> str:
    """Return a table of the groups in the default column with their numbers of cells, the largest group first."""
    column = card.cells.default_group
    if column is None or column not in cells:
        return ""
    counts = cells[column].astype(str).where(cells[column].notna(), "(none)").value_counts()
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    rows = [[str(name), f"{count:,}"] for name, count in counts.head(MAX_GROUPS).items()]
    more = f"\n\nand {len(counts) - MAX_GROUPS:,} more." if len(counts) > MAX_GROUPS else ""
    return _table([column, "cells"], rows) + more


def _gauge(card: Card) -> str:
    if card.gauge is None:
        return ""
    return (
        "Depth and distances of the cells have units of logits (`model.depth`, `model.canonical_embedding`), by mean and "
        f"covariance of the peak embeddings over {card.gauge.n_peaks:,} peaks ({card.gauge.peaks})."
    )


def _lineage(card: Card) -> list[str]:
    lineage = card.lineage
    if lineage is None:
        return []
    parent, n_old = lineage.parent, card.cells.n_cells - lineage.n_new_cells
    cells = f"The last {lineage.n_new_cells:,} of the {card.cells.n_cells:,} cells" if n_old else "All cells"
    return [
        "## Lineage",
        f"This package was made from {parent.id} {parent.version} (SHA-256 of its card.yaml: `{parent.card_sha256}`), whose trunk "
        f"it has. {cells} were added without training. Method: {lineage.method}.",
        _list({f"`{name}`": value for name, value in lineage.settings.items()}),
    ]


def _batch_correction(card: Card) -> list[str]:
    batch = card.batch_correction
    if batch is None:
        return []
    return [
        "## Batch correction",
        f"{batch.n_batches} batches (column `{batch.column}`) have effects of their own in the model"
        + (f", with an L2 penalty of {batch.l2_cell:g} on the cell path" if batch.l2_cell is not None else "")
        + (f", with an L2 penalty of {batch.l2_batch:g} on the batch path" if batch.l2_batch is not None else "")
        + ". The cell embedding and the outputs do not include the effects of the batches"
        + (", except for `batch_logits`." if BATCH_OUTPUT in card.output_names else "."),
    ]


def _training(card: Card) -> list[str]:
    training = card.training
    if training is None:
        return ["## Training", "The details of the training are not known."]
    split = training.split
    return [
        "## Training",
        "" if card.lineage is None else "That of the network and its own cells; the cells that were added took no part.",
        _list(
            {
                "Split": split
                and f"{split.method}: {split.train:,} train, {split.validation:,} validation, {split.test:,} test peaks",
                "Seed": training.seed,
                "Epochs": training.epochs,
                "Stopped because": training.stopped_because,
                "Hardware": training.hardware,
                "Wall time": None if training.wall_time is None else f"{training.wall_time:,.0f} s",
                **{f"`{name}`": value for name, value in training.hyperparameters.items()},
            }
        ),
    ]


def _evaluation(card: Card) -> list[str]:
    if not card.evaluation:
        return ["## Evaluation", verdict_of(card)]
    rows = [[e.metric, e.split, f"{e.value:.4g}", baselines_text(e.baselines), f"{e.n:,}", e.note or ""] for e in card.evaluation]
    return [
        "## Evaluation",
        verdict_of(card),
        _table(["metric", "split", "value", "without the model", "n", "note"], rows),
    ]


def verdict_of(card: Card) -> str:
    """Return what the model learnt, in words."""
    return NO_VERDICT if card.verdict is None else card.verdict.statement


def baselines_text(baselines: Mapping[str, float]) -> str:
    """Return the values that a metric has without the model, such as "chance 0.5, depth 0.728"."""
    return ", ".join(f"{name} {value:.4g}" for name, value in baselines.items())


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split()).replace("|", "\\|")


def _list(facts: dict[str, object]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value is not None)


def _citation(citation: Citation) -> str:
    doi = f" https://doi.org/{citation.doi}" if citation.doi else ""
    return citation.text + doi + (f" {citation.url}" if citation.url else "")
