"""What the command line says about embedded cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import anndata as ad


def summary(result: ad.AnnData) -> str:
    """Describe in plain text what :func:`scbasset_zoo.embed_cells` returned."""
    made, obs, held_out = result.uns["scbasset_zoo"], result.obs, result.uns["held_out"]
    best = float(np.max(held_out["deviance_explained"]))
    lines = [
        f"{result.n_obs:,} cells embedded by {made['model_id']} {made['model_version']} from {int(made['n_peaks']):,} peaks",
        f"held-out peaks: {best:.1%} of the deviance explained (chance 0%), with the ridge {held_out['chosen']:g}",
    ]
    if (n_few := int(obs["few_open_peaks"].sum())) or not obs["converged"].all():
        lines.append(
            f"{n_few:,} cells have fewer open peaks than numbers to fit; {int((~obs['converged']).sum()):,} did not converge"
        )
    n_unlike = int(obs["unlike_model"].sum())
    drawn = "" if "refitted" in result.uns else "; more if the model is not exact, so give the training matrix to compare with"
    lines.append(f"{n_unlike:,} cells ({n_unlike / result.n_obs:.1%}) are unlike all of the model's cells (chance 1%{drawn})")
    if group_by := made["group_by"]:
        counts = obs[f"{group_by}_of_model"].value_counts(sort=False)
        named = ", ".join(f"{label} {n:,}" for label, n in counts.items() if n)
        lines.append(f"{group_by} by nearest cells: {named}; mean confidence {obs[f'{group_by}_confidence'].mean():.2f}")
    if "refitted" in result.uns:
        refitted = result.uns["refitted"]
        lines.append(
            f"{int(refitted['n_cells']):,} of the model's cells fitted again land {refitted['distance']:.2f} from their trained "
            f"place (median, in logits); other cells are {refitted['distance_to_others']:.2f} away; for "
            f"{refitted['share_nearest']:.0%} no other cell is nearer (chance {refitted['chance_nearest']:.1%})"
        )
    return "\n".join(lines)
