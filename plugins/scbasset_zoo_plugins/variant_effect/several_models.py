"""Combines the results of `variant-effect` of several models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import TABLE_SUFFIXES, Context
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.several_models import STD, combine_anndata
from scbasset_zoo_plugins.variant_effect.inputs import VariantEffectInputs, VariantEffectOptions
from scbasset_zoo_plugins.variant_effect.output import TableFile
from scbasset_zoo_plugins.variant_effect.top_variants import top_table

if TYPE_CHECKING:
    from scbasset_zoo.extend.analysis import Combine

# They are about the top variants of one model.
_OF_ONE_MODEL = ("top_variants", "motif_changes", "importance_ref", "importance_alt", "bases_ref", "bases_alt")


def combiner(options: VariantEffectOptions) -> Combine:
    """Return the function that combines results: means, standard deviations, and the variants that stand out in the mean.

    Raises
    ------
    InputError
        The effects are latent; each model has a latent space of its own.
    """
    if options.latent:
        raise InputError(f"{option('latent', True)}: effects of several models are combined for groups or cells only.")

    def combine(results: Sequence[ad.AnnData], inputs: VariantEffectInputs, context: Context) -> ad.AnnData:
        about = [result.uns["variant_effect"] for result in results]
        for result in results:
            for name in (*_OF_ONE_MODEL, "variant_effect"):
                result.uns.pop(name, None)
        result = combine_anndata(results, inputs, Context(None, context.quiet, context.provenance))
        effects = np.asarray(result.X).T
        percentiles = np.asarray(result.layers["percentile"]).T if "percentile" in result.layers else None
        scale = np.ones(result.n_obs)
        if "null_scale" in result.uns:
            scale = result.uns["null_scale"]["99th percentile"].to_numpy()
        shares = {
            name: float(np.mean([each[name] for each in about]))
            for name in ("share_beyond", "null_share_beyond")
            if name in about[0]
        }
        result.uns["variant_effect"] = about[0] | shares
        result.uns["top_variants"] = top_table(result.var, effects, percentiles, list(result.obs_names), scale)[: options.n_top]
        if context.out is not None and context.out.suffix in TABLE_SUFFIXES:
            table = TableFile(context.out, inputs.dimension, list(result.obs_names), context.provenance)
            values = {"effect": effects, f"effect_{STD}": np.asarray(result.layers[STD]).T}
            table.add_values(
                result.var.reset_index(names="variant"), values | ({} if percentiles is None else {"percentile": percentiles})
            )
            table.close()
        return result

    return combine
