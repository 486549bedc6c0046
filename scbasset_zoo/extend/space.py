"""The space in which an analysis compares cells: the canonical one, in units of logits, or the published one."""

from __future__ import annotations

from collections.abc import Sequence

from scbasset_zoo.progress import say
from scbasset_zoo.runtime.canonical_space import Space as Space
from scbasset_zoo.runtime.sequence_model import Array, SequenceModel

SPACE_HELP = (
    "Embedding in which cells are compared: canonical (distances are differences of logits) or published (the weights of the last "
    "layer). By default canonical, or published for a model without a gauge."
)


def choose_space(models: Sequence[SequenceModel], space: Space | None) -> Space:
    """Return the space to use: the one that was asked for, or canonical if all models have a gauge.

    If one has none, the published space is used and a line on standard error says so.

    Raises
    ------
    InputError
        The canonical space was asked for, and a model has no gauge.
    """
    without = [model for model in models if model.gauge is None]
    if space == "canonical" and without:
        without[0].require_gauge()
    if space is None and without:
        card = without[0].card
        say(
            f"{card.id} {card.version} has no gauge, so its published embedding and intercept are used. For distances and depth in "
            "units of logits, add it: scbasset-zoo add-gauge MODEL --genome FASTA --out FOLDER"
        )
    return space or ("published" if without else "canonical")


def cells_in(model: SequenceModel, space: Space) -> Array:
    """Return the cell embedding of a model in a space, float32 (n_cells, embedding_size)."""
    return model.canonical_embedding if space == "canonical" else model.cell_embedding


def depth_in(model: SequenceModel, space: Space) -> Array:
    """Return the depth of the cells, float32 (n_cells,): their mean logit, or the intercept in the published space."""
    return model.depth if space == "canonical" else model.cell_intercept
