"""What the console and the report of `variant-effect` say about a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.description import Description
from scbasset_zoo_plugins.variant_effect.top_variants import figure_name

if TYPE_CHECKING:
    import anndata as ad

_WHAT = {"random": "random SNVs in the peaks", "shuffled": "SNVs of the file in shuffled windows"}


def verdict(result: ad.AnnData) -> str:
    """Return how many variants have larger effects than those by chance, in a sentence."""
    about = result.uns["variant_effect"]
    if about["null"] == "none":
        return "The effects were not compared with any by chance, so their size has no scale."
    n, share = int(about["n_rows"]), about["share_beyond"]
    what = "pairs of a variant and a peak" if about["in_peaks"] else "variants"
    return (
        f"In their strongest {about['dimension']}, {share:.1%} of {n:,} {what} have a larger effect than 99% of "
        f"{_WHAT[about['null']]}; of those by chance, {about['null_share_beyond']:.1%} do."
    )


def describe(result: ad.AnnData) -> Description:
    """Return findings, captions and help for a result."""
    about, top = result.uns["variant_effect"], result.uns["top_variants"]
    left_out = result.uns["left_out"]
    counts = f"{int(about['n_scored']):,} of {int(about['n_alleles']):,} alternative alleles were scored."
    if len(left_out):
        reasons = "; ".join(f"{int(n):,} {reason}" for reason, n in left_out["n_alleles"].items())
        counts += f" The others are left out: {reasons}."
    has_scale = about["null"] != "none"
    largest = "The variants whose effects are largest in any group"
    if has_scale:
        largest += (
            ", in units of the 99th percentile of effects by chance. Colours are changes of the logit. A dot marks an effect that "
            "is larger than 99% of effects by chance in the same group; the lines at the colour bar are the median of this limit "
            "over groups."
        )
    else:
        largest += ". Colours are changes of the logit. They were not compared with effects by chance."
    captions = {
        "effects": largest,
        "top_variants": "The variants with the largest effects, each with the group in which its effect is largest.",
        "null_scale": "The size of effects by chance in each group: percentiles of the absolute change of the logit.",
        "left_out": "Alternative alleles that were not scored.",
        "ref_mismatches": "Alleles whose REF is not the genome's sequence (the first 1,000).",
        "motif_changes": "Motifs that have a match over the change with one allele of a top variant and none with the other.",
    }
    strands = "as the mean over both strands" if about["both_strands"] else "on the forward strand"
    for number, name in enumerate(top.index[: len(result.uns.get("importance_ref", ()))]):
        row = top.iloc[number]
        facts = f"Effect {row['effect']:+.3f} in {row['largest_in']}"
        if "percentile" in row:
            share = "all" if row["percentile"] == 100 else f"{row['percentile']:.1f}% of"
            facts += f", larger than {share} effects by chance"
        facts += f"; in the peak {row['peak']}" if row.get("peak") else ""
        facts += f"; nearest start site: {row['nearest_gene']}, {row['tss_distance']:+,.0f} bp" if row.get("nearest_gene") else ""
        called = f"{name} ({row['id']})" if row.get("id") else name
        captions[figure_name(number, str(name))] = (
            f"{called}. {facts}. Importance of the bases around the change (grey) with the reference and with the alternative "
            f"allele, {strands}, which shows where the effect comes from."
        )
    in_peaks = (
        f"Score variants in the windows of the peaks that they lie in, as the network was trained: {option('in_peaks', True)}."
    )
    percentile = (
        "A percentile is the share of effects by chance that are smaller in size, in the same group. A variant with percentile 99 "
        "is no discovery by itself: of 1,000 random variants, ten have it."
    )
    return Description(
        findings=[verdict(result), counts],
        captions=captions,
        how_to_read=[
            "An effect is the logit of the alternative minus the logit of the reference, averaged over the cells of a group. "
            "Above 0, the alternative opens the chromatin. An effect on the logit says nothing about how open the region is.",
            *([percentile] if has_scale else []),
        ],
        next_steps=[
            *([] if about["in_peaks"] else [in_peaks]),
            "Average over several fits of the data, which shows how far they agree: give several models.",
        ],
        key_columns={"top_variants": ("largest_in", "effect", "percentile")},
        units={"effect": "logit", "tss_distance": "bp"} | dict.fromkeys(result.uns.get("null_scale", ()), "logit"),
    )
