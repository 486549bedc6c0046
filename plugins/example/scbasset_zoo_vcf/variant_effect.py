"""The analysis: variants to changes of accessibility, by groups of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from scbasset_zoo import Analysis, InputError
from scbasset_zoo.extend.analysis import Context, Options
from scbasset_zoo.extend.sequences import Genome, encode
from scbasset_zoo_vcf.vcf import read_variants, require_reference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model

AT_ONCE = 256
MOST_DRAWN = 40


class VariantEffectOptions(Options):
    """Which variants, in which groups of cells."""

    vcf: Path = Field(description="Variants, plain or gzip.")
    genome: Path = Field(description="FASTA of the model's assembly, plain or bgzip.")
    group_by: str | None = Field(None, description="Column of the cells; by default the one that the card names.")


@dataclass(frozen=True)
class VariantEffectInputs:
    """What the options name, opened and checked.

    Attributes
    ----------
    groups : dict of str to integer array
        Positions of the cells of each group.
    variants : DataFrame
    genome : Genome
    """

    groups: dict[str, NDArray[Any]]
    variants: pd.DataFrame
    genome: Genome


class VariantEffect(Analysis):
    """What each variant of a VCF does to accessibility, in each group of cells.

    The result is groups x variants: the mean over cells of the logit of the alternative less that of the reference, each in a
    window with the variant's first base in the middle.
    """

    name = "variant-effect"
    Options = VariantEffectOptions

    def open_inputs(self, model: Model, options: VariantEffectOptions) -> VariantEffectInputs:
        groups = _groups(model, options.group_by)
        genome = model.open_genome(options.genome)
        variants = read_variants(options.vcf, model.sequence_length // 2)
        require_reference(variants, genome, options.vcf)
        return VariantEffectInputs(groups, variants, genome)

    def run(self, model: Model, inputs: VariantEffectInputs, options: VariantEffectOptions, context: Context) -> ad.AnnData:
        groups, variants, genome = inputs.groups, inputs.variants, inputs.genome
        effects = np.empty((len(variants), model.cell_embedding.shape[1]), dtype=np.float32)
        with context.progress("scoring variants", len(variants)) as advance:
            for first in range(0, len(variants), AT_ONCE):
                part = slice(first, min(first + AT_ONCE, len(variants)))
                effects[part] = _effects(model, variants.iloc[part], genome)
                advance(part.stop - part.start)
        # Logits are linear in the cell embedding: the mean over cells is that of the mean embedding.
        embedding = np.stack([model.cell_embedding[cells].mean(axis=0) for cells in groups.values()])
        obs = pd.DataFrame({"n_cells": [len(cells) for cells in groups.values()]}, index=list(groups))
        result = ad.AnnData(embedding @ effects.T, obs=obs, var=variants.drop(columns="line"))
        result.obsm["X_scbasset"], result.varm["latent"] = embedding, effects
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from matplotlib.figure import Figure

        effects = np.asarray(result.X[:])
        largest = np.sort(np.argsort(-np.abs(effects).max(axis=0), kind="stable")[:MOST_DRAWN])
        most = np.abs(effects[:, largest]).max() or 1
        figure = Figure(figsize=(3 + 0.3 * len(result), 1.5 + 0.22 * len(largest)), layout="constrained")
        ax = figure.subplots()
        image = ax.imshow(effects[:, largest].T, cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto")
        ax.set_xticks(range(len(result)), result.obs_names, rotation=90)
        names = [name if len(name) <= 30 else f"{name[:29]}…" for name in result.var_names[largest]]
        ax.set_yticks(range(len(largest)), names, fontsize=8)
        title = "all variants" if len(largest) == result.n_vars else f"{len(largest)} largest of {result.n_vars:,} variants"
        ax.set(xlabel="cells", ylabel=title)
        figure.colorbar(image, ax=ax, label="change of the mean logit")
        return {"variant_effects": figure}


def _effects(model: Model, variants: pd.DataFrame, genome: Genome) -> NDArray[np.float32]:
    """Change of the peak embedding, (n_variants, embedding size)."""
    length, before = model.sequence_length, model.sequence_length // 2
    n_ref, n_alt = variants["ref"].str.len().to_numpy(), variants["alt"].str.len().to_numpy()
    around = genome.windows(variants["chrom"].to_numpy(), variants["position"].to_numpy() - before, length + int(n_ref.max()))
    references = around[:, :length]
    effects = np.empty((len(variants), model.cell_embedding.shape[1]), dtype=np.float32)
    same = np.flatnonzero(n_ref == n_alt)
    if len(same):
        bases = variants["alt"].iloc[same].tolist()
        effects[same] = model.mutations.effects(references[same], before, bases, reference=np.arange(len(same)), quiet=True)
    other = np.flatnonzero(n_ref != n_alt)
    if len(other):
        alternatives = np.stack([
            np.concatenate([around[i, :before], encode(variants["alt"].iloc[i]), around[i, before + n_ref[i] :]])[:length]
            for i in other
        ])  # fmt: skip
        effects[other] = model.embed(alternatives) - model.embed(references[other])
    return effects


def _groups(model: Model, column: str | None) -> dict[str, NDArray[Any]]:
    """Positions of the cells of each group."""
    column = column or model.card.cells.default_group
    if column is None or column not in model.cells:
        given = f"no column {column!r}" if column else "no default group"
        raise InputError(f"The cells have {given}; give group_by, one of {', '.join(model.cells.columns) or 'none'}.")
    labels = model.cells[column]
    if labels.isna().any():
        raise InputError(
            f"{int(labels.isna().sum()):,} of {len(labels):,} cells have no {column}, as {labels.index[labels.isna()][0]!r}."
        )
    codes, names = pd.factorize(labels, sort=True)
    return {str(name): np.flatnonzero(codes == code) for code, name in enumerate(names)}
