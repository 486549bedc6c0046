"""Start sites are read from a GTF, and genes get the peaks near them."""

import numpy as np
import pandas as pd
import pytest
from helpers.gtf import GTF_LINE
from scbasset_zoo_plugins.genes import promoter_weights

import scbasset_zoo as sz
from scbasset_zoo.extend.genes import read_start_sites


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


def _site_of(attributes, fields="chr1\tx\tgene\t11\t20\t.\t-\t."):
    """The line of a gene among three others."""
    others = [f'chr1\tx\tgene\t1\t2\t.\t+\t.\tgene_id "O{i}";' for i in range(3)]
    return others, f"{fields}\t{attributes}"


@pytest.mark.parametrize(
    "attributes",
    [
        'gene_id "G.1" gene_name "A;B"',
        'gene_id"G.1";gene_name"A;B"',
        'tag "a"; gene_name "A;B"; tag "b"; ; gene_id "G.1"; gene_id "G.1";',
        'note "5\' \\"cap\\" here; gene_id X"; gene_id "G.1"; gene_name "A;B";',
        '"gene_id ""G.1""; gene_name ""A;B"";"',
        'level 2; pseudo; gene_id G.1; gene_name "A;B"; note "a=b;c=d"',
    ],
)
def test_attributes_are_parsed_with_their_quotes(tmp_path, attributes):
    others, line = _site_of(attributes)
    (tmp_path / "a.gtf").write_text("\n".join([*others, line]) + "\n")
    sites = read_start_sites(tmp_path / "a.gtf")
    assert sites.iloc[3].tolist() == ["G.1", "A;B", "chr1", "-", 19]


@pytest.mark.parametrize(
    ("attributes", "fields", "message"),
    [
        ('gene_name "A"', None, "expected an attribute gene_id"),
        ('ref_gene_id "G"; old_gene_id "H"', None, "expected an attribute gene_id"),
        ('gene_id "";', None, "expected an attribute gene_id"),
        ('gene_id "G"; gene_id "H";', None, "expected one gene_id"),
        ("gene_id G gene_name A;", None, "expected quotes around the gene_id"),
        ('gene_id "G; gene_name "A"', None, "expected attributes such as"),
        ('gene_id "Gène";', None, "gene_id and gene_name: expected UTF-8"),
        ("ID=gene:G;Name=A", None, "the line is GFF3: `gffread"),
        ('gene_id "G"', "chr1\tx\tgene\t21\t20\t.\t-\t.", "a start from 1 and an end not before it"),
        ('gene_id "G"', "chr1\tx\tgene\t0\t20\t.\t+\t.", "a start from 1"),
        ('gene_id "G"', "chr1\tx\tgene\tstart\t20\t.\t+\t.", "a start from 1"),
        ('gene_id "G"', "chr1\tx\tgene\t1\t20\t.\t1\t.", "a strand"),
        ('gene_id "G"', "\tx\tgene\t1\t20\t.\t+\t.", "expected a chromosome"),
        ("G", "chr1\t10\t20", "it looks like BED"),
    ],
)
def test_an_odd_line_is_skipped_with_its_reason_and_most_lines_odd_are_refused(tmp_path, capsys, attributes, fields, message):
    others, line = _site_of(attributes, *([fields] if fields else []))
    path = tmp_path / "a.gtf"
    path.write_bytes("\n".join([*others, line, "chr1\tx\texon\t5\t4\t.\t?\t.\tnothing"]).encode("latin-1"))
    assert read_start_sites(path)["gene_id"].tolist() == ["O0", "O1", "O2"]
    error = capsys.readouterr().err
    assert "1 of 4 lines of a.gtf were skipped" in error
    assert "line 4: " in error
    assert message in error
    path.write_bytes("\n".join([*others, *[line] * 4]).encode("latin-1"))
    with pytest.raises(sz.InputError, match="a.gtf, line 4: .* 4 of 7 lines of genes and transcripts cannot be read"):
        read_start_sites(path)


def test_genes_without_a_line_come_from_their_transcripts_and_genes_without_a_strand_are_counted(tmp_path, capsys):
    lines = [
        ("chr1", "transcript", 5, 9, "+", "T", ""),
        ("chr1", "gene", 11, 20, "+", "G", ""),
        ("chr1", "transcript", 15, 20, "+", "G", ""),
        ("chr1", "gene", 31, 40, ".", "S", ""),
        ("chr1", "transcript", 33, 40, "-", "S", ""),
    ]
    path = tmp_path / "a.gtf"
    path.write_text("track name=x\n" + "".join(GTF_LINE.format(*line) for line in lines))
    sites = read_start_sites(path)
    assert sites[["gene_id", "tss"]].to_numpy().tolist() == [["T", 4], ["G", 10], ["S", 39]]
    assert sites["gene_name"].tolist() == ["T", "G", "S"]
    assert "1 genes and transcripts of a.gtf were skipped: they have no strand" in capsys.readouterr().err
    path.write_text(GTF_LINE.format(*lines[3]))
    with pytest.raises(sz.InputError, match="no line of a gene or a transcript with a strand"):
        read_start_sites(path)
