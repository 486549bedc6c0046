"""Combines results of `motif-insertion` of several models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anndata as ad
import numpy as np

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.console import option, say
from scbasset_zoo.extend.several_models import combine_anndata
from scbasset_zoo_plugins.motif_insertion.description import verdict
from scbasset_zoo_plugins.motif_insertion.inputs import MotifInsertionOptions

_OF_ONE_MODEL = ("contrast", "rna")


def combiner(options: MotifInsertionOptions) -> Callable[[Sequence[ad.AnnData], Any, Context], ad.AnnData]:
    """Return the function that combines results.

    Raises
    ------
    InputError
        The options ask for more than scores and tests, or each model would choose the space of probabilities itself.
    """
    for name in _OF_ONE_MODEL:
        if getattr(options, name) is not None:
            raise InputError(f"{option(name)} takes one model. Leave it out, and compare the mean scores in the result.")
    if options.scale == "probability" and options.space is None:
        raise InputError(
            f"{option('scale', 'probability')} of several models needs {option('space')}, canonical or published, so that all "
            "models have the same."
        )
    return combine


def combine(results: Sequence[ad.AnnData], inputs: Any, context: Context) -> ad.AnnData:
    """Combine the scores of several models: means and standard deviations over models.

    A motif responds if it does in every model, so its p and q are the largest over models. Motifs with the largest differences
    between groups come first in tables of groups.
    """
    tests = [name for name in ("p_mean", "p_spread", "q") if name in results[0].var]
    largest = {name: np.max([result.var[name] for result in results], axis=0) for name in tests}
    if "responds" in results[0].var:
        largest["responds"] = np.all([result.var["responds"].astype(bool) for result in results], axis=0)
    notes = np.stack([result.var["note"].to_numpy(str) for result in results])
    note = [next(filter(None, of_motif), "") for of_motif in notes.T]
    for result in results:
        settings = result.uns["motif_insertion"]
        # On the logit scale, the space only matters for the UMAP, which several models do not have.
        space = "" if settings["scale"] == "logit" else settings["space"]
        result.uns["motif_insertion"] = {**settings, "space": space, "n_models": len(results)}
        result.var = result.var.assign(**largest, note=np.array(note, dtype=object))
    if "group_effects" in results[0].uns:
        effects = sum(result.uns["group_effects"].iloc[:, 1:].loc[results[0].var_names] for result in results)
        order = results[0].var_names[np.argsort(-np.ptp(effects.to_numpy(float), axis=1), kind="stable")]
        for result, table in ((result, table) for result in results for table in ("group_means", "group_effects")):
            result.uns[table] = result.uns[table].loc[order]
    say(verdict(results[0].var))
    return combine_anndata(results, inputs, context)
