"""README.md of a package: its card for people."""

from __future__ import annotations

from scbasset_zoo.card import Card, Citation


def render(card: Card) -> str:
    """Markdown that says what the model is, what it takes and gives, and how to use and cite it."""
    return "\n\n".join(section for section in _sections(card) if section) + "\n"


def _sections(card: Card) -> list[str]:
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
        "## Cells",
        "The rows of `cells.parquet`, indexed by barcode, are the model's outputs in order.",
        _list({f"`{name}`": meaning for name, meaning in card.cells.columns.items()}),
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


def _batch_correction(card: Card) -> list[str]:
    batch = card.batch_correction
    if batch is None:
        return []
    return [
        "## Batch correction",
        f"{batch.n_batches} batches (column `{batch.column}`) were modelled beside the cells, with L2 penalties of "
        f"{batch.lambda_cell:g} on the cell path and {batch.lambda_batch:g} on the batch path. "
        "The batch path is left out of this model.",
    ]


def _training(card: Card) -> list[str]:
    training = card.training
    if training is None:
        return ["## Training", "How the model was fitted is not known in detail."]
    split = training.split
    return [
        "## Training",
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
        return []
    rows = [f"| {e.metric} | {e.split} | {e.value:.4g} | {e.n:,} | {e.note or ''} |" for e in card.evaluation]
    return ["## Evaluation", "\n".join(["| metric | split | value | n | note |", "|---|---|---|---|---|", *rows])]


def _list(facts: dict[str, object]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value is not None)


def _citation(citation: Citation) -> str:
    doi = f" https://doi.org/{citation.doi}" if citation.doi else ""
    return citation.text + doi + (f" {citation.url}" if citation.url else "")
