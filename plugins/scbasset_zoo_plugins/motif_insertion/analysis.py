"""The activity of motifs in each cell: sequences are scored before and after a motif is inserted into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.blocks import require_memory, write_anndata
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.description import Description
from scbasset_zoo.extend.parts import DividedAnalysis, Range, ranges
from scbasset_zoo_plugins.motif_insertion.description import describe, order_of_factors, verdict
from scbasset_zoo_plugins.motif_insertion.factor_scores import compare_expression
from scbasset_zoo_plugins.motif_insertion.inputs import MotifInsertionInputs, MotifInsertionOptions, open_inputs
from scbasset_zoo_plugins.motif_insertion.scores import BACKGROUNDS_PER_PART, Scores, add_sums, insert_motifs, joined_scores
from scbasset_zoo_plugins.motif_insertion.significance import (
    SHUFFLED,
    compare_with_shuffled_motifs,
    insert_shuffled_motifs,
    shuffle_parts,
)
from scbasset_zoo_plugins.spaces import add_embeddings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.analysis import Combine
    from scbasset_zoo.extend.parts import Arrays

Array = NDArray[np.float32]

# A larger result does not keep the raw scores beside the z-scores; they follow from the mean and deviation in .var.
MAX_RAW_VALUES = 1 << 27


class MotifInsertion(DividedAnalysis):
    """Activity of each motif's factor in each cell, by inserting the motif into shuffled peaks.

    Peaks are shuffled with their dinucleotides kept, and an instance of the motif replaces the bases at the centre (Yuan & Kelley
    2022, Methods). ``norm`` is the logit without depth, or the sigmoid of that. A cell's score is the mean over
    backgrounds of ``norm(with the motif) - norm(without)``, standardised over cells. The result is an AnnData of cells x motifs.
    ``.varm["latent"]`` is the mean change of the peak embedding by each motif; its product with the cell embedding is the raw
    score on the logit scale. Each motif is tested against shuffled motifs, which have its positions in another order; the network
    ignores a factor whose motif does not differ from them. A motif whose raw score is the same in all cells has NaN, and
    ``.var["note"]`` says so.
    """

    name = "motif-insertion"
    Options = MotifInsertionOptions

    def open_inputs(self, model: Model, options: MotifInsertionOptions) -> MotifInsertionInputs:
        return open_inputs(model, options)

    def parts(self, model: Model, inputs: MotifInsertionInputs, options: MotifInsertionOptions) -> list[Range]:
        return ranges("backgrounds", options.n_backgrounds, BACKGROUNDS_PER_PART) + shuffle_parts(options)

    def run_part(self, model: Model, inputs: MotifInsertionInputs, options: MotifInsertionOptions, part: Range) -> Arrays:
        backgrounds = inputs.backgrounds[part.first : part.last]
        if part.kind == SHUFFLED:
            return insert_shuffled_motifs(model, inputs.motifs, backgrounds, options, part)
        return insert_motifs(model, inputs.motifs, backgrounds, options, inputs.space, part)

    def join(
        self,
        model: Model,
        inputs: MotifInsertionInputs,
        options: MotifInsertionOptions,
        results: Iterable[tuple[Range, Arrays]],
        context: Context,
    ) -> ad.AnnData:
        n_values = model.n_cells * len(inputs.motifs)
        stream = context.out is not None and n_values > MAX_RAW_VALUES
        if not stream:
            require_memory(4 * n_values, "The result", "Give out=FILE.h5ad.")
        sums: dict[str, NDArray[Any]] = {}
        sums_of_shuffled: dict[str, NDArray[Any]] = {}
        for part, arrays in results:
            add_sums(sums_of_shuffled if part.kind == SHUFFLED else sums, arrays)
        scores = joined_scores(model, sums, options)
        var = pd.DataFrame(
            {"tf": [motif.tf for motif in inputs.motifs], "mean": scores.mean, "deviation": scores.deviation},
            index=pd.Index([motif.name for motif in inputs.motifs], name="motif"),
        )
        if options.n_shuffles:
            var = var.join(compare_with_shuffled_motifs(model, sums_of_shuffled, options).set_index(var.index))
        say(verdict(var))
        var["consensus"] = [dna.decode(motif.consensus) for motif in inputs.motifs]
        var["note"] = _notes(scores, var.index)
        result = ad.AnnData(obs=model.cells.copy(), var=var)
        result.varm["latent"] = scores.latent
        add_embeddings(result, model)
        if inputs.umap is not None:
            result.obsm["X_umap"] = inputs.umap
        result.uns["motif_insertion"] = {
            "group_by": inputs.groups.column if inputs.groups is not None else "",
            "contrast": options.contrast or "",
            "show": ",".join(inputs.show),
            "scale": options.scale,
            "n_shuffles": options.n_shuffles,
            "space": inputs.space or "",
        }
        if inputs.groups is not None:
            result.uns["group_means"] = _group_means(scores, var["tf"], inputs.groups)
            result.uns["group_effects"] = _group_effects(result.uns["group_means"], var)
        if inputs.contrast is not None:
            result.uns["contrast"] = inputs.contrast.table(var, scores.z_scores)
        if inputs.rna is not None:
            result.uns["expression"], tests = compare_expression(var, scores.z_scores, inputs.rna, inputs.other_scores)
            if tests is not None:
                result.uns["expression_tests"] = tests
        if stream:
            assert context.out is not None
            result.uns["scbasset_zoo"] = dict(context.provenance)
            write_anndata(result, scores.blocks(), context.out)
            return result
        result.X = np.empty(result.shape, dtype=np.float32)
        for block in scores.blocks():
            result.X[block.rows, block.peaks] = block.values
        if n_values <= MAX_RAW_VALUES:
            centred = np.where(scores.deviation > 0, result.X, 0) * scores.deviation
            result.layers["score"] = (centred + scores.mean).astype(np.float32)
        return result

    def combiner(self, options: MotifInsertionOptions) -> Combine:
        from scbasset_zoo_plugins.motif_insertion.several_models import combiner

        return combiner(options)

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.motif_insertion.figures import figures

        return figures(result)

    def tables(self, result: ad.AnnData) -> Mapping[str, pd.DataFrame]:
        factors = result.var.drop(columns=["consensus"]).iloc[order_of_factors(result.var)]
        return {"factors": factors, **super().tables(result)}

    def describe(self, result: ad.AnnData) -> Description:
        return describe(result)


def _notes(scores: Scores, names: pd.Index) -> NDArray[np.object_]:
    """Return a note for each motif without z-scores, and "" for the others."""
    same = "the raw score is the same in all cells"
    motifs = names[scores.deviation == 0]
    if len(motifs):
        examples = ", ".join(motifs[:3]) + " ..." * (len(motifs) > 3)
        say(f"{len(motifs):,} of {len(names):,} motifs have no z-scores, because {same}: {examples}.")
    return np.where(scores.deviation == 0, same, "").astype(object)


def _group_means(scores: Scores, factors: pd.Series, groups: CellGroups) -> pd.DataFrame:
    """Return the mean z-score of each motif in each group; motifs whose raw scores differ most between groups come first.

    The column ``tf`` has the factors; a group of this name has the column ``group_tf``.
    """
    sums = np.zeros((len(groups.names), len(scores.latent)))
    for block in scores.blocks():
        codes = groups.codes[block.rows]
        members = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(len(sums), len(codes)))
        sums += members @ block.values
    group_tf = "group_tf"
    while group_tf in groups.names:
        group_tf = f"group_{group_tf}"
    columns = [group_tf if name == "tf" else name for name in groups.names]
    table = pd.DataFrame((sums / groups.sizes[:, None]).T, index=factors.index, columns=columns)
    order = np.argsort(-np.ptp(table.to_numpy(), axis=1) * scores.deviation, kind="stable")
    table.insert(0, "tf", factors)
    return table.iloc[order]


def _group_effects(group_means: pd.DataFrame, var: pd.DataFrame) -> pd.DataFrame:
    """Return the mean raw score of each motif in each group, as :func:`_group_means` has the z-scores."""
    rows = var.loc[group_means.index]
    # A motif without z-scores has the same raw score in all cells.
    return group_means.apply(lambda z: z if z.name == group_means.columns[0] else z.fillna(0) * rows["deviation"] + rows["mean"])
