"""What stands behind the largest effects: the importance of the bases around them, and the motifs that come and go."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend import sequences as dna
from scbasset_zoo.extend.sequences import Codes, Genome
from scbasset_zoo_plugins.ism.motif_matches import find_matches
from scbasset_zoo_plugins.motifs.motif import Motif
from scbasset_zoo_plugins.variant_effect.effects import windows_of

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]

BEFORE, WIDTH = 30, 60  # bp of a logo before the change, and in all
BEYOND = "99th percentile"


def figure_name(number: int, variant: str) -> str:
    """Return the name of the figure of a top variant."""
    return f"variant_{number + 1}_{re.sub(r'[^A-Za-z0-9.-]+', '_', variant)[:60]}"


def top_table(variants: pd.DataFrame, effects: Array, percentiles: Array | None, columns: list[str], scale: Array) -> pd.DataFrame:
    """Return a row for each variant with the column in which its effect is largest, in units of `scale`.

    Parameters
    ----------
    variants : DataFrame of n rows
        Indexed by name.
    effects, percentiles : float arrays (n, columns)
    columns : list of str
    scale : float array (columns,)
        Unit of effects in each column.
    """
    sizes = np.abs(effects / np.where(scale > 0, scale, 1))
    order = np.argsort(-sizes.max(axis=1), kind="stable")
    largest = sizes.argmax(axis=1)
    table = variants.iloc[order].copy()
    rows = np.arange(len(variants))
    table.insert(0, "largest_in", np.array(columns, dtype=object)[largest][order])
    table.insert(1, "effect", effects[rows, largest][order])
    if percentiles is not None:
        table.insert(2, "percentile", percentiles[rows, largest][order])
    return table


def logos(
    model: Model,
    variants: pd.DataFrame,
    genome: Genome,
    projection: Array,
    columns: NDArray[np.intp],
    *,
    both_strands: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return the importance of the bases around some variants, with the reference and with the alternative allele.

    The importance of a base is its effect against the mean of all four bases at its place, as in `ism`.

    Parameters
    ----------
    model : Model
    variants : DataFrame of n rows
        As for :func:`windows_of`.
    genome : Genome
    projection : float32 array (embedding_size, number of columns)
    columns : int array (n,)
        Group or cell of each variant.
    both_strands : bool
        Take the mean over both strands of the window. The letters are those of the forward strand.

    Returns
    -------
    dict of str to array (n, 60)
        importance_ref, importance_alt (float32), bases_ref and bases_alt (codes). The change begins at position 30.
    """
    result: dict[str, list[NDArray[Any]]] = {}
    references, alternatives, offset = windows_of(variants, genome, model.sequence_length)
    for allele, sequences in (("ref", references), ("alt", alternatives)):
        for row, sequence in enumerate(sequences):
            first = int(np.clip(offset[row] - BEFORE, 0, len(sequence) - WIDTH))
            of_column = projection[:, columns[row]]
            values = _importance(model, sequence, first, of_column)
            if both_strands:
                turned = dna.reverse_complement(sequence)
                values = (values + _importance(model, turned, len(sequence) - first - WIDTH, of_column)[::-1]) / np.float32(2)
            result.setdefault(f"importance_{allele}", []).append(values)
            result.setdefault(f"bases_{allele}", []).append(sequence[first : first + WIDTH])
    return {name: np.stack(rows) for name, rows in result.items()}


def motif_changes(motifs: list[Motif], variants: pd.DataFrame, genome: Genome, length: int, fimo_p: float) -> pd.DataFrame:
    """Return the motifs that have a match over the change with one allele of a variant, and none with the other.

    Matches are FIMO's, on both strands, as in `ism`.

    Returns
    -------
    DataFrame
        variant, change ("lost" or "gained" with the alternative), motif, tf, strand and fimo_p of the strongest match; by variant
        in the given order, and by p.
    """
    flank = max(len(motif.pwm) for motif in motifs)
    references, alternatives, offset = windows_of(variants, genome, length)
    n_changed = {"ref": variants["old"].str.len().to_numpy(), "alt": variants["new"].str.len().to_numpy()}
    width = 2 * flank + int(max(n.max() for n in n_changed.values()))
    found = {}
    for allele, sequences in (("ref", references), ("alt", alternatives)):
        padded = np.pad(sequences, ((0, 0), (flank, width)), constant_values=dna.N)
        # Position `flank` of each cut is the first changed base.
        cuts = np.stack([row[at : at + width] for row, at in zip(padded, offset, strict=True)])
        matches = find_matches(motifs, cuts, fimo_p)
        end = flank + n_changed[allele][matches["region"].to_numpy(np.int64)]
        is_over = (matches["start"].to_numpy(np.int64) < np.maximum(end, flank)) & (matches["end"].to_numpy(np.int64) > flank)
        strongest = matches[is_over].sort_values("fimo_p", kind="stable").drop_duplicates(["region", "motif"])
        found[allele] = strongest.set_index(["region", "motif"])
    rows = []
    for change, here, there in (("lost", "ref", "alt"), ("gained", "alt", "ref")):
        for (region, motif), match in found[here][~found[here].index.isin(found[there].index)].iterrows():
            strand = "-" if match["is_reverse"] else "+"
            rows.append((region, change, motifs[motif].name, motifs[motif].tf, strand, match["fimo_p"]))
    table = pd.DataFrame(rows, columns=["variant", "change", "motif", "tf", "strand", "fimo_p"])
    table = table.astype({"variant": np.int64, "fimo_p": np.float64}).sort_values(["variant", "fimo_p"], kind="stable")
    table["variant"] = variants["variant"].to_numpy(dtype=object)[table["variant"]]
    return table.reset_index(drop=True)


def _importance(model: Model, sequence: Codes, first: int, projection: Array) -> Array:
    """Return the importance of the bases from `first` on; an N has none."""
    bases = sequence[first : first + WIDTH]
    position, base = np.nonzero((bases[:, None] != np.arange(4)) & (bases < dna.N)[:, None])
    changes = np.zeros((WIDTH, 4), np.float32)
    edits = base[:, None].astype(np.int8)
    changes[position, base] = model.mutations.effects(sequence[None], first + position, edits, quiet=True) @ projection
    # The reference base has no change.
    importance: Array = -changes.mean(axis=1)
    return importance
