"""Effects of variants: against plain onnxruntime, the strands, the truth of a simulation, and files as people send them."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import onnxruntime
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers import toy
from helpers.gtf import GTF_LINE
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome

LENGTH = 1344
FAST = {"quiet": True, "device": "cpu", "null": "none", "n_logos": 0}
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy", n_cells=9)


@pytest.fixture(scope="module")
def model(package):
    return sz.open_model(package.folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def chromosomes(genome):
    parts = genome.read_text().upper().split(">")[1:]
    return {part.split("\n")[0].lower(): "".join(part.split("\n")[1:]) for part in parts}


@pytest.fixture(scope="module")
def rows(chromosomes):
    """(chromosome, position from 1, REF, ALT): SNVs, one near an end; an MNV, insertions, deletions and a complex change."""
    rows = []
    for chrom, pos, n_ref, alt in (
        ("chr1", 5_000, 1, None),
        ("chr1", 20, 1, None),
        ("chr2", 8_990, 3, "ACT"),
        ("chr2", 4_000, 1, "ACGTACGT"),
        ("chr1", 7_000, 30, "G"),
        ("chr1", 9_000, 3, "TTAGA"),
    ):
        ref = chromosomes[chrom][pos - 1 : pos - 1 + n_ref]
        rows.append((chrom, pos, ref, alt or OTHER[ref]))
    return rows


def write_vcf(path, rows):
    lines = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t." for chrom, pos, ref, alt in rows]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def logits(package, sequences):
    session = onnxruntime.InferenceSession(str(package.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"sequence": dna.one_hot(dna.as_codes(sequences))})[0]


def edited_windows(chromosomes, chrom, pos, ref, alt):
    """Return the reference and the alternative window, in which the first base that differs has 672 bases before it."""
    whole = "N" * 2_000 + chromosomes[chrom] + "N" * 2_000
    first = pos - 1 + 2_000
    assert whole[first : first + len(ref)] == ref
    changed = whole[:first] + alt + whole[first + len(ref) :]
    while ref[-1:] == alt[-1:] and len(ref) > 0 and len(alt) > 0:
        ref, alt = ref[:-1], alt[:-1]
    while ref[:1] == alt[:1] and ref and alt:
        ref, alt, first = ref[1:], alt[1:], first + 1
    return whole[first - 672 :][:LENGTH], changed[first - 672 :][:LENGTH]


def test_effects_are_differences_of_logits_of_plain_onnxruntime(package, genome, chromosomes, rows, tmp_path):
    vcf = write_vcf(tmp_path / "v.vcf.gz", [*rows[:-1], (*rows[-1][:3], f"{rows[-1][3]},A")])
    result = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, **FAST)
    pairs = [edited_windows(chromosomes, *row) for row in [*rows, (*rows[-1][:3], "A")]]
    change = logits(package, [alt for _, alt in pairs]) - logits(package, [ref for ref, _ in pairs])
    cell_type = toy.toy_cells(9)["cell_type"]
    for name, of_group in cell_type.groupby(cell_type, observed=True).groups.items():
        expected = change[:, cell_type.index.get_indexer(of_group)].mean(axis=1)
        np.testing.assert_allclose(result[name].X[0], expected, atol=1e-4)
    assert np.abs(result.X).max(axis=0).min() > 1e-3
    assert result.var_names[0] == "{}:{}:{}>{}".format(*rows[0])
    assert result.var["pos"].tolist() == [5_000, 20, 8_990, 4_000, 7_000, 9_000, 9_000]
    cells = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, cells=["cell-4", "cell-1"], **FAST)
    np.testing.assert_allclose(cells.X, change[:, [4, 1]].T, atol=1e-4)
    latent = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, latent=True, **FAST)
    np.testing.assert_allclose(
        latent.X.T @ sz.open_model(package.folder, "cpu").cell_embedding[[4, 1]].T, change[:, [4, 1]], atol=1e-4
    )


def test_windows_of_peaks_give_a_row_for_each_variant_and_peak(package, genome, chromosomes, rows, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr1\t4900\t5400\nchr1\t4500\t5000\nchr1\t6600\t7101\nchr2\t100\t600\n")
    vcf = write_vcf(tmp_path / "v.vcf", rows)
    result = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, peaks=bed, in_peaks=True, **FAST)
    assert result.var["peak"].tolist() == ["chr1:4500-5000", "chr1:4900-5400", "chr1:6600-7101"]
    assert result.uns["left_out"]["n_alleles"].to_dict() == {"in the window of no peak": 4}
    assert result.uns["variant_effect"]["n_scored"] == 2
    expected = []
    for (chrom, pos, ref, alt), centre in ((rows[0], 4_750), (rows[0], 5_150), (rows[4], 6_850)):
        sequence = chromosomes[chrom]
        changed = sequence[: pos - 1] + alt + sequence[pos - 1 + len(ref) :]
        values = logits(package, [text[centre - 672 : centre + 672] for text in (sequence, changed)])
        expected.append((values[1] - values[0])[toy.toy_cells(9)["cell_type"].to_numpy() == "T"].mean())
    np.testing.assert_allclose(result["T"].X[0], expected, atol=1e-4)
    nowhere = write_vcf(tmp_path / "n.vcf", [rows[3]])
    with pytest.raises(sz.InputError, match="none of 1 variants lies in a peak"):
        sz.run("variant-effect", package.folder, vcf=nowhere, genome=genome, peaks=bed, in_peaks=True, **FAST)


def test_both_strands_give_the_same_effects_in_a_genome_of_the_other_strand(package, genome, chromosomes, rows, tmp_path):
    other = tmp_path / "other.fa"
    swapped = {name: sequence.translate(COMPLEMENT)[::-1] for name, sequence in chromosomes.items()}
    other.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in swapped.items()))
    turned = []
    for chrom, pos, ref, alt in rows:
        at = len(chromosomes[chrom]) - (pos - 1) - len(ref)
        turned.append((chrom, at + 1, ref.translate(COMPLEMENT)[::-1], alt.translate(COMPLEMENT)[::-1]))
    peaks = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [4_800, 6_800, 3_700], "end": [5_300, 7_300, 4_200]})
    size = peaks["chrom"].map({name: len(sequence) for name, sequence in chromosomes.items()})
    others = pd.DataFrame({"chrom": peaks["chrom"], "start": size - peaks["end"], "end": size - peaks["start"]})
    for mode in ({}, {"in_peaks": True}):
        options = FAST | mode | {"both_strands": True}
        vcf, turned_vcf = write_vcf(tmp_path / "a.vcf", rows), write_vcf(tmp_path / "b.vcf", turned)
        one = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, peaks=peaks, **options)
        two = sz.run("variant-effect", package.folder, vcf=turned_vcf, genome=other, peaks=others, **options)
        np.testing.assert_allclose(one.X, two.X, atol=1e-5)
        if mode:
            # The change of an SNV is base 30 of its logos on either strand.
            logos = [
                sz.run("variant-effect", package.folder, vcf=v, genome=g, peaks=p, n_top=1, **options | {"n_logos": 1})
                for v, g, p in ((write_vcf(vcf, rows[:1]), genome, peaks), (write_vcf(turned_vcf, turned[:1]), other, others))
            ]
            for allele in ("ref", "alt"):
                first, second = (result.uns[f"importance_{allele}"][0] for result in logos)
                np.testing.assert_allclose(first[1:], second[1:][::-1], atol=1e-5)
                assert np.abs(first).max() > 1e-3
            write_vcf(vcf, rows)
        forward = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, peaks=peaks, **FAST | mode)
        assert np.abs(one.X - forward.X).max() > 1e-3


def test_alleles_that_are_no_sequence_are_counted_and_left_out(package, genome, rows, tmp_path, capsys):
    chrom, pos, ref, alt = rows[0]
    alts = f"{alt},*,<DEL>,G]chr2:5],.{alt},R,N,{ref},.,{'A' * 700}"
    vcf = write_vcf(tmp_path / "v.vcf", [(chrom, pos, ref, alts), ("chr7", 5, "A", "C"), ("chr2", 9_500, "A", "C"), rows[2]])
    result = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, **FAST)
    assert result.n_vars == 2
    assert result.uns["left_out"]["n_alleles"].to_dict() == {
        "breakends": 2,
        "spanning deletions (*)": 1,
        "symbolic alleles, such as <DEL>": 1,
        "alleles that are not sequences of A, C, G and T": 2,
        "alternatives equal to REF": 1,
        "without an alternative": 1,
        "alleles longer than 672 bp": 1,
        "on a chromosome that the genome lacks": 1,
        "beyond the end of their chromosome": 1,
    }
    assert (
        "11 of 13 alleles are not scored: 2 breakends; 2 alleles that are not sequences of A, C, G and T; 1 "
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(("shift", "words"), [(-1, "one base after these positions: they count from 0"), (1, "count from 2")])
def test_positions_that_count_from_elsewhere_are_named(shift, words, package, genome, chromosomes, tmp_path):
    sequence = chromosomes["chr1"]
    places = [at for at in range(3_000, 3_200) if sequence[at] in OTHER]
    shifted = [("chr1", at + 1 + shift, sequence[at], OTHER[sequence[at]]) for at in places]
    with pytest.raises(sz.InputError, match=words):
        sz.run("variant-effect", package.folder, vcf=write_vcf(tmp_path / "v.vcf", shifted), genome=genome, **FAST)
    moved = [("chr1", at + 1_000, base, alt) for (_, _, base, alt), at in zip(shifted, places, strict=True)]
    with pytest.raises(sz.InputError, match="model's assembly, and do their positions count from 1"):
        sz.run("variant-effect", package.folder, vcf=write_vcf(tmp_path / "m.vcf", moved), genome=genome, **FAST)


def test_a_ref_that_differs_is_listed_and_refused_above_a_share(package, genome, rows, tmp_path, capsys):
    chrom, pos, ref, alt = rows[0]
    third = next(base for base in "ACGT" if base not in (ref, alt))
    swapped = (chrom, pos, alt, ref)
    vcf = write_vcf(tmp_path / "v.vcf", [*rows[:3], swapped, (chrom, pos, third, alt)])
    found = f"line 6: REF is {alt}, ALT is {ref}, but .* has {ref} at chr1:5,000. REF differs in 2 of 5 alleles.* In 1 of them"
    with pytest.raises(sz.InputError, match=found):
        sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, **FAST)
    all_swapped = write_vcf(tmp_path / "s.vcf", [(chrom, pos, alt, ref) for chrom, pos, ref, alt in rows[:2]])
    with pytest.raises(sz.InputError, match="In 2 of them REF and ALT are swapped.* Exchange REF and ALT in the file"):
        sz.run("variant-effect", package.folder, vcf=all_swapped, genome=genome, **FAST)
    result = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, max_mismatches=0.4, **FAST)
    assert "The first whose REF differs is in line 6 of" in capsys.readouterr().err
    assert result.n_vars == 3
    listed = result.uns["ref_mismatches"]
    assert listed["line"].tolist() == [6, 7]
    assert listed["genome"].tolist() == [ref, ref]
    assert [reason.split()[-1] for reason in listed["reason"]] == ["ALT", "sequence"]


def test_an_alternative_that_is_there_twice_is_counted_twice(package, genome, rows, tmp_path):
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr1\t4900\t5400\nchr1\t4500\t5001\n")
    twice = [(chrom, pos, ref, f"{alt},{alt}") for chrom, pos, ref, alt in rows[:2]]
    vcf = write_vcf(tmp_path / "v.vcf", twice)
    result = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, peaks=bed, in_peaks=True, **FAST)
    assert result.n_vars == 4
    assert result.uns["variant_effect"]["n_scored"] == 2
    assert result.uns["left_out"]["n_alleles"].to_dict() == {"in the window of no peak": 2}


@pytest.mark.parametrize("option", ["vcf", "variants"])
def test_a_pipe_is_refused_because_variants_are_read_twice(option, package, genome, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(sz.InputError, match="pipe is a pipe or another special file.* Write them to a file"):
        sz.run("variant-effect", package.folder, genome=genome, **{option: tmp_path / "pipe"}, **FAST)


def test_tables_bcf_and_vcf_give_the_same(package, genome, rows, tmp_path):
    import pysam

    vcf = write_vcf(tmp_path / "v.vcf", rows)
    expected = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, **FAST)
    table = pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt"]).assign(rsid=[f"rs{i}" for i in range(len(rows))])
    table.to_csv(tmp_path / "v.csv", index=False)
    table.rename(columns={"chrom": "#CHROM", "rsid": "ID"}).to_csv(tmp_path / "v.tsv", sep="\t", index=False)
    header = pysam.VariantHeader()
    for name, size in toy.CHROMOSOME_SIZES.items():
        header.contigs.add(name, size)
    with pysam.VariantFile(str(tmp_path / "v.bcf"), "wb", header=header) as bcf:
        for chrom, pos, ref, alt in rows:
            bcf.write(bcf.new_record(chrom, pos - 1, alleles=(ref, alt)))
    for given in ({"variants": tmp_path / "v.csv"}, {"variants": tmp_path / "v.tsv"}, {"variants": table}):
        result = sz.run("variant-effect", package.folder, genome=genome, **given, **FAST)
        np.testing.assert_array_equal(result.X, expected.X)
        assert result.var["id"].tolist() == table["rsid"].tolist()
    result = sz.run("variant-effect", package.folder, genome=genome, vcf=tmp_path / "v.bcf", **FAST)
    np.testing.assert_array_equal(result.X, expected.X)


def test_malformed_files_are_refused_with_the_line(package, genome, rows, tmp_path):
    def check(message, **options):
        with pytest.raises(sz.InputError, match=message):
            sz.run("variant-effect", package.folder, genome=genome, **FAST | options)

    vcf = write_vcf(tmp_path / "v.vcf", [rows[0], ("chr1", "here", "A", "C")])
    check("v.vcf, line 4: expected a chromosome, a position", vcf=vcf)
    vcf.write_text("##fileformat=VCFv4.2\nchr1\t5\n")
    check("v.vcf, line 2: expected CHROM, POS", vcf=vcf)
    check("v.vcf has no variants", vcf=write_vcf(vcf, []))
    check("no chromosome chr7", vcf=write_vcf(vcf, [("chr7", 5, "A", "C")]))
    check("is not a VCF.* A table with a header is given as variants", vcf=genome)
    check("There is no .*absent.vcf", vcf=tmp_path / "absent.vcf")
    (tmp_path / "absent.bcf").write_bytes(b"no")
    check("absent.bcf", vcf=tmp_path / "absent.bcf")
    table = tmp_path / "t.csv"
    table.write_text("chrom,start,ref,alt\nchr1,5,A,C\n")
    check("t.csv, line 1: there is no column pos. Expected a header with chrom, pos", variants=table)
    table.write_text("chrom,pos,ref,alt\nchr1,5,A\n")
    check("t.csv, line 2: expected 4 columns or more; found 3", variants=table)
    check("give one of vcf and variants")
    check("give one of vcf and variants", variants=table, vcf=vcf)
    check("give one of group_by, cells and latent", vcf=vcf, latent=True, cells=["cell-1"])


def test_tables_of_results_equal_the_anndata_and_carry_the_provenance(package, genome, rows, tmp_path):
    vcf = write_vcf(tmp_path / "v.vcf", rows)
    options = {"vcf": vcf, "genome": genome, "quiet": True, "device": "cpu", "n_null": 100, "n_logos": 0}
    expected = sz.run("variant-effect", package.folder, out=tmp_path / "v.h5ad", **options)
    for name in ("v.parquet", "v.tsv"):
        top = sz.run("variant-effect", package.folder, out=tmp_path / name, n_top=2, **options)
        assert top.shape == (3, 2)
        table = pd.read_parquet(tmp_path / name) if name == "v.parquet" else pd.read_csv(tmp_path / name, sep="\t", comment="#")
        wide = table.pivot(index="group", columns="variant", values="effect").loc[expected.obs_names, expected.var_names]
        np.testing.assert_allclose(wide, expected.X[:], rtol=1e-4)
        percentile = table.pivot(index="group", columns="variant", values="percentile").loc[expected.obs_names, expected.var_names]
        np.testing.assert_allclose(percentile, np.asarray(expected.layers["percentile"]), rtol=1e-4)
    provenance = json.loads(pq.read_schema(tmp_path / "v.parquet").metadata[b"scbasset_zoo"])
    assert provenance["analysis"] == "variant-effect"
    assert '"analysis": "variant-effect"' in (tmp_path / "v.tsv").read_text().splitlines()[0]


@pytest.mark.parametrize("suffix", [".parquet", ".tsv"])
def test_the_command_line_says_how_many_rows_a_table_has(suffix, package, genome, rows, tmp_path):
    vcf, out = write_vcf(tmp_path / "v.vcf", rows), tmp_path / f"v{suffix}"
    words = ["run", "variant-effect", package.folder, "--vcf", vcf, "--genome", genome, "--null", "none", "--n-logos", 0]
    done = CliRunner().invoke(app, [str(word) for word in [*words, "--n-top", 2, "--device", "cpu", "--out", out]])
    assert done.exit_code == 0, done.output
    assert f"{out}: variant-effect, {3 * len(rows)} rows" in done.output


def test_percentiles_are_shares_of_random_snvs_that_are_computed_once(model, genome, rows, tmp_path):
    options = {"vcf": write_vcf(tmp_path / "v.vcf", rows), "genome": genome, "quiet": True, "n_null": 200, "n_logos": 0}
    result = sz.run("variant-effect", model, **options)
    (kept,) = (tmp_path / "cache" / "arrays" / "variant-effect").iterdir()
    latent = np.load(kept)
    assert latent.shape == (200, 32)
    cell_type = toy.toy_cells(9)["cell_type"].to_numpy()
    for number, name in enumerate(result.obs_names):
        sizes = np.abs(latent @ model.cell_embedding[cell_type == name].mean(axis=0))
        expected = [100 * np.mean(sizes < abs(effect)) for effect in result.X[number]]
        np.testing.assert_allclose(result.layers["percentile"][number], expected, atol=0.51)
        np.testing.assert_allclose(result.uns["null_scale"].loc[name, "99th percentile"], np.percentile(sizes, 99), rtol=1e-4)
    np.save(kept, latent * 0)
    again = sz.run("variant-effect", model, **options)
    assert (again.layers["percentile"] == 100).all()
    sz.run("variant-effect", model, **options | {"seed": 1})
    assert len(list(kept.parent.iterdir())) == 2
    kept.write_bytes(b"damaged")
    np.testing.assert_array_equal(sz.run("variant-effect", model, **options).layers["percentile"], result.layers["percentile"])
    shuffled = sz.run("variant-effect", model, **options, null="shuffled")
    assert not np.array_equal(shuffled.uns["null_scale"], result.uns["null_scale"])


def test_peaks_and_the_nearest_start_site_are_named(package, genome, rows, tmp_path):
    gtf, bed = tmp_path / "g.gtf", tmp_path / "p.bed"
    genes = (("4000", "4400", "+", "LEFT"), ("5900", "6001", "-", "RIGHT"))
    gtf.write_text("".join(GTF_LINE.format("1", "gene", a, b, strand, name, name) for a, b, strand, name in genes))
    bed.write_text("chr1\t4900\t5400\nchr1\t4500\t5000\nchr1\t0\t19\n")
    vcf = write_vcf(tmp_path / "v.vcf", rows)
    result = sz.run("variant-effect", package.folder, vcf=vcf, genome=genome, peaks=bed, gtf=gtf, **FAST)
    assert result.var["peak"].tolist() == ["chr1:4500-5000;chr1:4900-5400", "", "", "", "", ""]
    assert result.var["nearest_gene"].tolist() == ["LEFT", "LEFT", "", "", "RIGHT", "RIGHT"]
    # From 1, the start sites are 4,000 and 6,001. RIGHT runs from right to left, so larger positions are upstream of it.
    assert result.var["tss_distance"].iloc[0] == 1_000
    assert result.var["tss_distance"].iloc[1] == 20 - 4_000
    assert result.var["tss_distance"].iloc[5] == -(9_000 - 6_001)


def test_effects_of_several_models_are_mean_and_deviation_over_models(package, genome, rows, tmp_path):
    other = toy.toy_package(tmp_path / "other", n_cells=9, seed=1, cells=toy.toy_cells(9).iloc[::-1])
    options = {"vcf": write_vcf(tmp_path / "v.vcf", rows), "genome": genome, "device": "cpu", "quiet": True, "n_null": 100}
    both = [package.folder, other.folder]
    result = sz.run("variant-effect", both, **options)
    each = [sz.run("variant-effect", folder, **options) for folder in both]
    values = np.stack([effects[result.obs_names].X for effects in each]).astype(float)
    np.testing.assert_allclose(result.X, values.mean(axis=0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.layers["std"], values.std(axis=0, ddof=1), rtol=0, atol=1e-5)
    sz.run("variant-effect", both, out=tmp_path / "v.parquet", report=tmp_path / "r.html", **options)
    table = pd.read_parquet(tmp_path / "v.parquet")
    np.testing.assert_allclose(table["effect"].to_numpy().reshape(-1, 3), result.X.T, rtol=1e-6)
    np.testing.assert_allclose(table["effect_std"].to_numpy().reshape(-1, 3), result.layers["std"].T, rtol=1e-6)
    with pytest.raises(sz.InputError, match="latent"):
        sz.run("variant-effect", both, latent=True, **options)


@pytest.fixture(scope="module")
def motif_snvs(planted, tmp_path_factory):
    """A genome, a VCF, and which of its SNVs are about a motif.

    75 SNVs destroy a strong planted instance of an active factor. Other 75 create one: the genome has it destroyed. 150 SNVs lie at
    random bases of peaks.
    """
    simulation, _ = planted
    folder = tmp_path_factory.mktemp("snvs")
    genome = Genome(simulation.genome)
    letters = {name: bytearray(dna.decode(genome.codes(name, 0, size)), "ascii") for name, size in genome.chromosome_sizes.items()}
    sites = pd.read_parquet(Path(simulation.genome).parent / "motif_sites.parquet")
    sites = sites[(sites["score"] > 0.7) & sites["tf"].isin(simulation.tfs.index[simulation.tfs["active"]])]
    rows = []
    for site in sites.sample(len(sites), random_state=0).itertuples():
        pwm = simulation.motifs[site.tf][:: -1 if site.strand == "-" else 1, :: -1 if site.strand == "-" else 1]
        at = int(pwm.max(axis=1).argmax())
        best, worst = dna.ALPHABET[pwm[at].argmax()], dna.ALPHABET[pwm[at].argmin()]
        place = site.start + at
        if len(rows) < 150 and chr(letters[site.chrom][place]) == best:
            if len(rows) % 2:
                letters[site.chrom][place] = ord(worst)
                best, worst = worst, best
            rows.append((site.chrom, place + 1, best, worst))
    rng = np.random.default_rng(0)
    peaks = simulation.peaks.sample(150, random_state=1)
    for chrom, start, end in zip(peaks["chr"], peaks["start"], peaks["end"], strict=True):
        at = int(rng.integers(start, end))
        ref = chr(letters[chrom][at])
        rows.append((chrom, at + 1, ref, OTHER[ref]))
    fasta = folder / "genome.fa"
    fasta.write_text("".join(f">{name}\n{bases.decode()}\n" for name, bases in letters.items()))
    return fasta, write_vcf(folder / "v.vcf", rows), np.arange(len(rows)) < 150


def test_snvs_that_destroy_or_create_motifs_stand_out(planted, motif_snvs, tmp_path):
    _, folder = planted
    genome, vcf, is_motif = motif_snvs
    result = sz.run("variant-effect", folder, vcf=vcf, genome=genome, quiet=True, n_null=500, n_logos=0)
    strongest = np.asarray(result.layers["percentile"]).max(axis=0)
    assert roc_auc_score(is_motif, strongest) >= 0.9
    assert roc_auc_score(is_motif, np.abs(result.X).max(axis=0)) >= 0.9


def test_the_report_shows_effects_logos_and_motifs_of_the_top_variants(planted, motif_snvs, tmp_path):
    simulation, folder = planted
    genome, vcf, _ = motif_snvs
    result = sz.run(
        "variant-effect", folder, vcf=vcf, genome=genome, quiet=True, n_null=100, n_top=30, n_logos=2,
        motifs=str(simulation.folder / "motifs.meme"), report=tmp_path / "r.html",
        plot=tmp_path / "figures", out=tmp_path / "v.zarr",
    )  # fmt: skip
    changes, top = result.uns["motif_changes"], result.uns["top_variants"]
    assert len(top) == 30
    assert set(changes["change"]) <= {"lost", "gained"}
    assert 0.2 < (changes.groupby("variant")["change"].first() == "lost").mean() < 0.8
    assert changes["variant"].nunique() > 15
    # The base that is destroyed is important with the reference, and the importance around it is gone with the alternative.
    for number in range(2):
        before, after = (np.abs(result.uns[f"importance_{allele}"][number]).sum() for allele in ("ref", "alt"))
        assert before > 2 * after or after > 2 * before
    names = sorted(path.name for path in (tmp_path / "figures").iterdir() if path.suffix == ".png")
    assert names[0] == "effects.png"
    assert len(names) == 3
    page = (tmp_path / "r.html").read_text()
    for words in ("have a larger effect than 99% of random SNVs", "shows where the effect comes from", "Motif changes"):
        assert words in page


@pytest.mark.parametrize("null", ["none", "random"])
def test_the_report_names_effects_by_chance_only_where_there_are_any(null, package, genome, rows, tmp_path):
    options = {"vcf": write_vcf(tmp_path / "v.vcf", rows), "genome": genome, "quiet": True, "n_null": 100, "n_logos": 0}
    sz.run("variant-effect", package.folder, report=tmp_path / "r.html", null=null, **options)
    page = (tmp_path / "r.html").read_text()
    has_scale = null == "random"
    for words in ("A dot marks an effect", "A percentile is the share", *(f"{n}th percentile (logit)" for n in (50, 90, 95, 99))):
        assert (words in page) == has_scale
    assert ("They were not compared with effects by chance." in page) != has_scale


def test_memory_does_not_grow_with_the_number_of_variants(package, genome, chromosomes, tmp_path):
    code = (
        "import resource, sys, scbasset_zoo as sz\n"
        "folder, vcf, genome, out = sys.argv[1:]\n"
        "sz.run('variant-effect', folder, vcf=vcf, genome=genome, out=out, null='none', n_logos=0, quiet=True, device='cpu')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = []
    for n in (1_500, 4_500):
        bases = chromosomes["chr1"]
        places = [pos for pos in range(2_001, 15_001) if bases[pos - 1] in OTHER][:n]
        rows = [("chr1", pos, bases[pos - 1], OTHER[bases[pos - 1]]) for pos in places]
        vcf, out = write_vcf(tmp_path / f"{n}.vcf", rows), tmp_path / f"{n}.parquet"
        command = [sys.executable, "-c", code, str(package.folder), str(vcf), str(genome), str(out)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        peaks.append(int(ran.stdout) / 1024)
        assert pq.read_metadata(out).num_rows == 3 * n
    # A window takes 1.3 kB, so 3,000 more of them would take 4 MB as codes and 64 MB one-hot.
    assert peaks[1] - peaks[0] < 30, peaks


def test_variants_with_other_names_of_chromosomes(package, genome, rows, tmp_path):
    vcf = write_vcf(tmp_path / "v.vcf", rows)
    other = write_vcf(tmp_path / "o.vcf", [(chrom.removeprefix("chr"), *rest) for chrom, *rest in rows])
    one, two = (sz.run("variant-effect", package.folder, vcf=each, genome=genome, **FAST) for each in (vcf, other))
    np.testing.assert_array_equal(one.X, two.X)
    assert two.var["chrom"].tolist() == [row[0].removeprefix("chr") for row in rows]
    assert isinstance(two, ad.AnnData)


@pytest.mark.parametrize(
    ("suffix", "more"), [(".parquet", {"both_strands": True}), (".tsv", {"in_peaks": True}), (".h5ad", {"in_peaks": True})]
)
def test_variants_in_parts_have_the_effects_of_one_process(suffix, more, package, genome, chromosomes, tmp_path):
    # Two parts: a part has 1,024 variants.
    places = [at for at in range(2_000, 8_000) if chromosomes["chr1"][at] in OTHER]
    bases = [(at, chromosomes["chr1"][at]) for at in np.random.default_rng(0).permutation(places)[:1_100]]
    vcf = write_vcf(tmp_path / "v.vcf", [("chr1", at + 1, base, OTHER[base]) for at, base in bases])
    bed = tmp_path / "peaks.bed"
    bed.write_text("chr1\t2000\t5000\nchr1\t5000\t8000\n")
    options = {"vcf": vcf, "genome": genome, "peaks": bed, **FAST, **more}
    expected, merged, spread = (tmp_path / f"{name}{suffix}" for name in ("expected", "merged", "spread"))
    sz.run("variant-effect", package.folder, out=expected, **options)
    given = options | {"vcf": str(vcf), "genome": str(genome), "peaks": str(bed)}
    shards = [sz.run_shard("variant-effect", package.folder, shard=(i, 2), out=tmp_path / f"{i}.parts", **given) for i in (1, 2)]
    sz.merge(shards, out=merged, device="cpu", quiet=True)
    with sz.LocalProcesses(2) as executor:
        sz.run("variant-effect", package.folder, out=spread, executor=executor, **options)
    for path in (merged, spread):
        if suffix == ".parquet":
            assert pq.read_table(path).equals(pq.read_table(expected))
        elif suffix == ".tsv":
            one, two = ([line for line in file.read_text().splitlines() if line[0] != "#"] for file in (path, expected))
            assert len(one) > 1_000
            assert one == two
        else:
            one, two = ad.read_h5ad(path), ad.read_h5ad(expected)
            assert one.X.tobytes() == two.X.tobytes()
            pd.testing.assert_frame_equal(one.var, two.var, check_exact=True)
            assert "2 parts" in one.uns["scbasset_zoo"]["spread"]
