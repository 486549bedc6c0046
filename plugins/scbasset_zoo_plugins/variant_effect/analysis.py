"""Variant effects: how alternative alleles change accessibility in groups of cells, and which changes are large."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend.analysis import SUFFIXES, TABLE_SUFFIXES, Context
from scbasset_zoo.extend.console import say
from scbasset_zoo.extend.description import Description
from scbasset_zoo.extend.parts import DividedAnalysis, Range, ranges
from scbasset_zoo_plugins.variant_effect.checking import BLOCK
from scbasset_zoo_plugins.variant_effect.description import describe, verdict
from scbasset_zoo_plugins.variant_effect.effects import latent_effects
from scbasset_zoo_plugins.variant_effect.inputs import VariantEffectInputs, VariantEffectOptions, open_inputs
from scbasset_zoo_plugins.variant_effect.null import Null, random_effects, random_snvs, shuffled_effects
from scbasset_zoo_plugins.variant_effect.output import InMemory, TableFile, TopVariants, as_anndata
from scbasset_zoo_plugins.variant_effect.places import in_windows_of_peaks
from scbasset_zoo_plugins.variant_effect.top_variants import logos, motif_changes, top_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo import Model
    from scbasset_zoo.extend.analysis import Combine
    from scbasset_zoo.extend.parts import Arrays

Array = NDArray[np.float32]

_PERCENTILES = (50, 90, 95, 99)
_WRITTEN = ["variant", "chrom", "pos", "ref", "alt", "id", "start", "peak", "nearest_gene", "tss_distance"]


class VariantEffect(DividedAnalysis):
    """Effect of each variant on the logit of accessibility, for groups of cells, cells, or latent.

    An effect is the logit of the alternative minus the logit of the reference. Both are windows with the first changed base in the
    middle, or the windows of the peaks that a variant lies in. The effect on a group is the mean over its cells. Alternatives with
    as many bases as the reference are computed by the mutation engine, others by full passes. Percentiles refer to the effects of
    random SNVs in the peaks. The result is groups x variants, or a table with a row for each variant and group.
    """

    name = "variant-effect"
    Options = VariantEffectOptions
    suffixes = (*SUFFIXES["AnnData"], *TABLE_SUFFIXES)

    def open_inputs(self, model: Model, options: VariantEffectOptions) -> VariantEffectInputs:
        return open_inputs(model, options)

    def parts(self, model: Model, inputs: VariantEffectInputs, options: VariantEffectOptions) -> list[Range]:
        return ranges("variants", inputs.tally.n_alleles, BLOCK)

    def run_part(self, model: Model, inputs: VariantEffectInputs, options: VariantEffectOptions, part: Range) -> Arrays:
        rows = inputs.rows(part.first // BLOCK, model.sequence_length)
        if not len(rows):
            return {"effects": np.empty((0, len(inputs.obs)), np.float32)}
        return {"effects": _projected(latent_effects(model, rows, inputs.genome, both_strands=options.both_strands), inputs)}

    def join(
        self,
        model: Model,
        inputs: VariantEffectInputs,
        options: VariantEffectOptions,
        results: Iterable[tuple[Range, Arrays]],
        context: Context,
    ) -> ad.AnnData:
        columns = list(map(str, inputs.obs.index))
        null_effects = _null_effects(model, inputs, options, context)
        null = None if null_effects is None else Null(null_effects)
        scale = np.ones(len(columns), np.float32) if null is None else null.sizes_at(99)
        table = None
        if context.out is not None and context.out.suffix in TABLE_SUFFIXES:
            table = TableFile(context.out, inputs.dimension, columns, context.provenance)
        sink = table or InMemory(inputs.n_rows, len(columns))
        top, n_beyond = TopVariants(options.n_top, scale), 0
        for part, arrays in results:
            rows, effects = inputs.rows(part.first // BLOCK, model.sequence_length), arrays["effects"]
            if not len(rows):
                continue
            variants = inputs.annotated(rows)
            percentiles = None if null is None else null.percentiles(effects)
            n_beyond += int((np.abs(effects) > scale).any(axis=1).sum())
            top.add(variants, effects, percentiles)
            sink.add(variants[[name for name in _WRITTEN if name in variants]], effects, percentiles)
        variants, effects, percentiles = top.kept
        written = variants[[name for name in _WRITTEN if name in variants]]
        if isinstance(sink, TableFile):
            sink.close()
            result = as_anndata(inputs.obs, written, effects, percentiles)
        else:
            result = sink.anndata(inputs.obs)
        about = {
            "dimension": inputs.dimension,
            "n_alleles": inputs.tally.n_alleles,
            "n_scored": inputs.tally.n_scored,
            "n_rows": inputs.n_rows,
            "null": options.null,
            "in_peaks": options.in_peaks,
            "both_strands": options.both_strands,
            "share_beyond": n_beyond / inputs.n_rows,
        }
        if null is not None and null_effects is not None:
            about["null_share_beyond"] = float((np.abs(null_effects) > scale).any(axis=1).mean())
            sizes = {f"{percentile}th percentile": null.sizes_at(percentile) for percentile in _PERCENTILES}
            result.uns["null_scale"] = pd.DataFrame(sizes, index=pd.Index(columns, name=inputs.dimension))
        result.uns["variant_effect"] = about
        result.uns["top_variants"] = top_table(written.set_index("variant"), effects, percentiles, columns, scale)
        left_out = dict(inputs.tally.left_out.most_common())
        result.uns["left_out"] = pd.DataFrame(
            {"n_alleles": list(left_out.values())}, index=pd.Index(left_out, name="reason", dtype=object)
        )
        result.uns["ref_mismatches"] = inputs.tally.mismatch_table()
        if inputs.motifs:
            result.uns["motif_changes"] = motif_changes(
                inputs.motifs, variants, inputs.genome, model.sequence_length, options.fimo_p
            )
        if inputs.projection is not None and options.n_logos:
            first = variants.iloc[: options.n_logos]
            strongest = np.abs(effects / np.where(scale > 0, scale, 1)).argmax(axis=1)
            result.uns.update(logos(model, first, inputs.genome, inputs.projection, strongest, both_strands=options.both_strands))
        say(verdict(result))
        return result

    def combiner(self, options: VariantEffectOptions) -> Combine:
        from scbasset_zoo_plugins.variant_effect.several_models import combiner

        return combiner(options)

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins.variant_effect.figures import figures

        return figures(result)

    def tables(self, result: ad.AnnData) -> Mapping[str, pd.DataFrame]:
        names = ("top_variants", "motif_changes", "null_scale", "left_out", "ref_mismatches")
        tables = {name: result.uns[name] for name in names if name in result.uns and len(result.uns[name])}
        return tables | {"top_variants": result.uns["top_variants"].drop(columns="start")}

    def describe(self, result: ad.AnnData) -> Description:
        return describe(result)


def _projected(latent: Array, inputs: VariantEffectInputs) -> Array:
    # Logits are linear in the cell embedding, so a group's mean effect is the effect on its mean embedding.
    return latent if inputs.projection is None else latent @ inputs.projection


def _null_effects(model: Model, inputs: VariantEffectInputs, options: VariantEffectOptions, context: Context) -> Array | None:
    """Return effects by chance, (n, columns), or None."""
    if options.null == "none":
        return None
    if options.null == "shuffled":
        return _projected(shuffled_effects(model, inputs.snvs, inputs.genome, options.seed, context), inputs)
    assert inputs.peaks is not None
    snvs = random_snvs(inputs.peaks, inputs.genome, options.n_null, options.seed)
    if options.in_peaks:
        assert inputs.finder is not None
        snvs = in_windows_of_peaks(snvs, inputs.peaks, inputs.finder, model.sequence_length)
    return _projected(random_effects(model, snvs, inputs.genome, both_strands=options.both_strands, context=context), inputs)
