"""The analysis `variant-effect`: the change of accessibility that each variant causes, in each group of cells."""

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
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.sequences import Genome, encode
from scbasset_zoo.extend.several_models import combine_anndata
from scbasset_zoo_vcf.vcf import read_variants, require_reference

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.analysis import Combine

BATCH_SIZE = 256
MOST_IN_FIGURE = 40


class VariantEffectOptions(Options):
    """The variants, and the groups of cells."""

    vcf: Path = Field(description="VCF with the variants, plain or gzip.")
    genome: Path = Field(description="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38.")
    force: bool = Field(False, description="Use a genome of another assembly than the model's too.")
    group_by: str | None = Field(None, description="Column of the cells that names their groups. By default the card's.")


@dataclass(frozen=True)
class VariantEffectInputs:
    """The groups of cells, the variants (as `read_variants` returns them) and the genome."""

    groups: CellGroups
    variants: pd.DataFrame
    genome: Genome


class VariantEffect(Analysis):
    """The effect of each variant of a VCF on accessibility, in each group of cells.

    The result is groups x variants. A value is the logit of the alternative minus the logit of the reference, averaged over the
    cells of the group. Both sequences are windows with the first base of the variant in the middle.
    """

    name = "variant-effect"
    Options = VariantEffectOptions

    def open_inputs(self, model: Model, options: VariantEffectOptions) -> VariantEffectInputs:
        column = options.group_by or model.card.cells.default_group
        if column is None:
            columns = ", ".join(map(str, model.cells.columns)) or "none"
            raise InputError(f"The card names no groups of cells. Give {option('group_by')}, one of these columns: {columns}.")
        groups = CellGroups(model, column)
        genome = model.open_genome(options.genome, force=options.force)
        variants = read_variants(options.vcf, longest=model.sequence_length // 2)
        require_reference(variants, genome, options.vcf)
        return VariantEffectInputs(groups, variants, genome)

    def run(self, model: Model, inputs: VariantEffectInputs, options: VariantEffectOptions, context: Context) -> ad.AnnData:
        groups, variants = inputs.groups, inputs.variants
        effects = np.empty((len(variants), model.cell_embedding.shape[1]), dtype=np.float32)
        with context.progress("scoring variants", len(variants)) as advance:
            for first in range(0, len(variants), BATCH_SIZE):
                batch = variants.iloc[first : first + BATCH_SIZE]
                effects[first : first + BATCH_SIZE] = _latent_effects(model, batch, inputs.genome)
                advance(len(batch))
        # Logits are linear in the cell embedding, so a group's mean effect is the effect on its mean embedding.
        embedding = groups.means(model.cell_embedding)
        result = ad.AnnData(
            embedding @ effects.T,
            obs=pd.DataFrame({"n_cells": groups.sizes}, index=groups.names),
            var=variants.drop(columns="line"),
        )
        result.obsm["X_scbasset"], result.varm["latent"] = embedding, effects
        return result

    def combiner(self, options: VariantEffectOptions) -> Combine:
        return combine_anndata

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from matplotlib.figure import Figure

        effects = np.asarray(result.X[:])
        largest = np.sort(np.argsort(-np.abs(effects).max(axis=0), kind="stable")[:MOST_IN_FIGURE])
        limit = np.abs(effects[:, largest]).max() or 1
        figure = Figure(figsize=(3 + 0.3 * len(result), 1.5 + 0.22 * len(largest)), layout="constrained")
        ax = figure.subplots()
        image = ax.imshow(effects[:, largest].T, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
        ax.set_xticks(range(len(result)), result.obs_names, rotation=90)
        names = [name if len(name) <= 30 else f"{name[:29]}…" for name in result.var_names[largest]]
        ax.set_yticks(range(len(largest)), names, fontsize=8)
        title = "all variants" if len(largest) == result.n_vars else f"{len(largest)} largest of {result.n_vars:,} variants"
        ax.set(xlabel="cells", ylabel=title)
        figure.colorbar(image, ax=ax, label="change of the mean logit")
        return {"variant_effects": figure}


def _latent_effects(model: Model, variants: pd.DataFrame, genome: Genome) -> NDArray[np.float32]:
    """Compute the change of the peak embedding that each variant causes, (n_variants, embedding size)."""
    length, middle = model.sequence_length, model.sequence_length // 2
    ref_lengths, alt_lengths = variants["ref"].str.len().to_numpy(), variants["alt"].str.len().to_numpy()
    # After a deletion, bases from beyond the window move into it.
    starts = variants["position"].to_numpy() - middle
    sequences = genome.windows(variants["chrom"].to_numpy(), starts, length + int(ref_lengths.max()))
    references = sequences[:, :length]
    effects = np.empty((len(variants), model.cell_embedding.shape[1]), dtype=np.float32)
    substitutions = np.flatnonzero(ref_lengths == alt_lengths)
    if len(substitutions):
        effects[substitutions] = model.mutations.effects(
            references[substitutions],
            middle,
            variants["alt"].iloc[substitutions].tolist(),
            reference=np.arange(len(substitutions)),
            quiet=True,
        )
    indels = np.flatnonzero(ref_lengths != alt_lengths)
    if len(indels):
        alternatives = [_with_allele(sequences[i], middle, int(ref_lengths[i]), variants["alt"].iloc[i])[:length] for i in indels]
        effects[indels] = model.embed(np.stack(alternatives)) - model.embed(references[indels])
    return effects


def _with_allele(sequence: NDArray[Any], start: int, ref_length: int, alt: str) -> NDArray[Any]:
    """Replace the reference allele in a sequence of codes by the alternative allele."""
    return np.concatenate([sequence[:start], encode(alt), sequence[start + ref_length :]])
