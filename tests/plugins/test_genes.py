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


def _gtf(tmp_path, *attributes, more=()):
    lines = [f"chr1\tStringTie\ttranscript\t1000\t3000\t1000\t+\t.\t{text}" for text in attributes]
    (tmp_path / "a.gtf").write_text("".join(f"{line}\n" for line in [*lines, *more]))
    return read_start_sites(tmp_path / "a.gtf")


@pytest.mark.parametrize(
    "attributes",
    [
        'gene_id "G1"; transcript_id "T1"; gene_name "KLF9"; ref_gene_id "ENSG01"; ',
        'ref_gene_id "ENSG01"; gene_name "KLF9"; gene_id "G1";',
        'note "gene_id \\"; gene_id "G1";gene_name "KLF9"',
        'note "a; gene_id X"; gene_id "G1"; gene_name "KLF9"',
        "gene_id G1; gene_name KLF9;",
    ],
)
def test_attributes_are_read_by_their_whole_name(tmp_path, attributes):
    sites = _gtf(tmp_path, attributes)
    assert sites[["gene_id", "gene_name"]].to_numpy().tolist() == [["G1", "KLF9"]]


def test_one_odd_line_is_skipped_with_a_word_and_many_are_refused(tmp_path, capsys):
    good = [f'gene_id "G{i}";' for i in range(20)]
    assert len(_gtf(tmp_path, *good, more=["chr1\todd"])) == 20
    assert "1 of 21 lines of a.gtf were skipped" in capsys.readouterr().err
    with pytest.raises(sz.InputError, match="line 21: expected nine columns"):
        _gtf(tmp_path, *good, more=["chr1\todd"] * 5)
