"""A genome with the chromosome lengths of sacCer3 and random letters, with the names of each convention and in each format."""

import gzip

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from helpers.twobit import write_twobit

# UCSC, Ensembl, GenBank, RefSeq: as the genome browser of UCSC lists them (sacCer3.chromAlias.txt).
NAMES = {
    "chrI": ("I", "BK006935.2", "NC_001133.9"),
    "chrVI": ("VI", "BK006940.2", "NC_001138.5"),
    "chrM": ("MT", "AJ011856.1", "NC_001224.1"),
}
SIZES = {"chrI": 230_218, "chrVI": 270_161, "chrM": 85_779}
CONVENTIONS = ("UCSC", "Ensembl", "GenBank", "RefSeq")


def name(chrom, convention):
    """Return the name of a chromosome of sacCer3."""
    return chrom if convention == "UCSC" else NAMES[chrom][CONVENTIONS.index(convention) - 1]


def letters():
    """Return the sequence of each chromosome by UCSC's name, with lower case and N."""
    rng = np.random.default_rng(5)
    sequences = {chrom: "".join(rng.choice(list("ACGTacgt"), size)) for chrom, size in SIZES.items()}
    return sequences | {"chrI": "N" * 500 + sequences["chrI"][500:40_000] + "n" * 700 + sequences["chrI"][40_700:]}


def write_genome(path, write_fasta, convention="UCSC", compression="", change=0):
    """Write the genome; the last `change` bases of each chromosome are left out."""
    sequences = {name(chrom, convention): sequence[: len(sequence) - change] for chrom, sequence in letters().items()}
    if path.suffix == ".2bit":
        return write_twobit(path, sequences)
    if compression == "gzip":
        plain = write_fasta(path.with_suffix(""), sequences)
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        return path
    return write_fasta(path, sequences)


def matrix(convention="UCSC", n_cells=20, n_peaks=60):
    """Return cells x peaks on the three chromosomes, in their order; chrI has peaks in its N and beside its end."""
    rng = np.random.default_rng(6)
    chrom = np.repeat(list(SIZES), n_peaks // 3)
    start = np.concatenate([np.sort(rng.choice(size - 600, n_peaks // 3, replace=False)) for size in SIZES.values()])
    start[:2] = 50, 40_100
    start[: n_peaks // 3].sort()
    var = pd.DataFrame({"chrom": [name(each, convention) for each in chrom], "start": start, "end": start + 500})
    var.index = [f"peak{i}" for i in range(n_peaks)]
    x = (rng.random((n_cells, n_peaks)) < 0.4).astype(np.float32)
    x[np.arange(n_peaks) % n_cells, np.arange(n_peaks)] = 1
    return ad.AnnData(sparse.csr_matrix(x), var=var, obs=pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))
