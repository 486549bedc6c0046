"""Start sites are read from a GTF, and genes get the peaks near them."""

import numpy as np
import pandas as pd
import pytest
from helpers.gtf import GTF_LINE
from scbasset_zoo_plugins.genes import promoter_weights, read_start_sites

import scbasset_zoo as sz


def test_start_sites_follow_the_strand_and_transcripts_serve_where_genes_are_missing(tmp_path):
    path = tmp_path / "t.gtf"
    lines = [("chr1", "transcript", 101, 200, "+", "A", ""), ("chr1", "transcript", 301, 900, "-", "A", "")]
    path.write_text("".join(GTF_LINE.format(*line) for line in lines))
    sites = read_start_sites(path)
    assert sites["tss"].tolist() == [100, 899]
    assert sites["gene_name"].tolist() == ["A", "A"]
    table = pd.DataFrame({"chrom": "chr1", "start": [0, 109, 880, 2_000], "end": [90, 120, 889, 2_010]})
    for reach, near in ((8, []), (9, [1]), (11, [0, 1, 2]), (1_200, [0, 1, 2, 3])):
        if not near:
            with pytest.raises(sz.InputError, match="No peak lies within 8 bp"):
                promoter_weights(sites, table, reach)
            continue
        genes, weights = promoter_weights(sites, table, reach)
        assert weights.indices.tolist() == near
        np.testing.assert_allclose(weights.data, 1 / len(near))
        assert genes["n_peaks"].tolist() == [len(near)]
