"""In silico mutagenesis: its scores are those of a plain loop, lie in what was planted, and motifs are found by name."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import toy
from helpers.embedded import SIZE, embedded_package
from helpers.rounding import ROUNDING
from scbasset_zoo_plugins.ism.analysis import Ism
from scbasset_zoo_plugins.ism.controls import shuffled_regions
from scbasset_zoo_plugins.ism.motif_matches import MatchSearch, MotifMatches, find_matches, window_scores
from scbasset_zoo_plugins.ism.tables import table
from scbasset_zoo_plugins.motifs.motif import Motif
from scipy import stats
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.run import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.parts import Range
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("ism") / "toy")


@pytest.fixture(scope="module")
def model(package):
    return sz.open_model(package.folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("ism-genome") / "toy.fa")


def run(model, **options):
    return sz.run("ism", model, quiet=True, **{"n_controls": 0, **options})


def naive_scores(model, codes):
    """(length, 4, n_cells): each base at each position by plain ONNX Runtime, minus the position's mean."""
    edited = np.repeat(codes[None], 4 * len(codes), axis=0)
    position, base = np.divmod(np.arange(len(edited)), 4)
    edited[np.arange(len(edited)), position] = base
    raw = model.package.model_bytes()
    reference = run_plainly(raw, dna.one_hot(codes[None]))["logits"]
    changes = run_plainly(raw, dna.one_hot(edited))["logits"] - reference
    changes = changes.reshape(len(codes), 4, -1).astype(np.float64)
    return changes - changes.mean(axis=1, keepdims=True)


def test_scores_are_those_of_a_loop_over_plain_onnxruntime(model):
    codes = dna.encode(toy.random_sequences(1, seed=3)[0])
    codes[700:703] = dna.N
    expected = naive_scores(model, codes)
    sequences = [dna.decode(codes)]
    by_cell = run(model, sequences=sequences, cells=list(model.cells.index[[4, 1]]))
    np.testing.assert_allclose(by_cell["scores"][0], expected[..., [4, 1]], atol=1e-4)
    assert by_cell["cell"].to_numpy().tolist() == ["cell-4", "cell-1"]
    by_group = run(model, sequences=sequences, group_by="cell_type")
    types = model.cells["cell_type"].to_numpy()
    for name in ("B", "HSC", "T"):
        np.testing.assert_allclose(by_group["scores"][0].sel(group=name), expected[..., types == name].mean(axis=-1), atol=1e-4)
    latent = run(model, sequences=sequences)
    assert latent["scores"].dims == ("region", "position", "base", "latent")
    np.testing.assert_allclose(latent["scores"][0].to_numpy() @ model.cell_embedding.T, expected, atol=1e-4)
    for result in (by_cell, by_group, latent):
        np.testing.assert_allclose(result["scores"].sum("base"), 0, atol=1e-4)
        importance = result["importance"][0].to_numpy()
        is_base = codes < dna.N
        np.testing.assert_array_equal(importance[is_base], result["scores"][0].to_numpy()[is_base, codes[is_base]])
        assert (importance[~is_base] == 0).all()
        np.testing.assert_array_equal(result["reference"][0], codes)


def test_regions_are_windows_of_the_genome_from_bed_or_by_name(model, genome, tmp_path):
    (tmp_path / "r.bed").write_text("chr1\t5000\t5500\nchr2\t100\t700\n")
    from_bed = run(model, regions=tmp_path / "r.bed", genome=genome, group_by="cell_type")
    by_name = run(model, region_names=["chr1:5000-5500", "chr2:100-700"], genome=genome, group_by="cell_type")
    xr.testing.assert_allclose(from_bed, by_name, rtol=0, atol=ROUNDING)
    assert from_bed["region"].to_numpy().tolist() == ["chr1:5000-5500", "chr2:100-700"]
    assert from_bed["window_start"].to_numpy().tolist() == [5250 - 672, 400 - 672]
    np.testing.assert_array_equal(from_bed["reference"][0], Genome(genome).codes("chr1", 5250 - 672, 5250 + 672))


def test_sequences_come_from_fasta(model, tmp_path):
    sequences = toy.random_sequences(2)
    (tmp_path / "s.fa").write_text(f">one of two\n{sequences[0]}\n>two\n{sequences[1]}\n")
    result = run(model, sequences=tmp_path / "s.fa", group_by="batch")
    assert result["region"].to_numpy().tolist() == ["one", "two"]
    expected = run(model, sequences=sequences, group_by="batch")["scores"]
    np.testing.assert_allclose(result["scores"], expected, rtol=0, atol=ROUNDING)


@pytest.fixture(scope="module")
def planted_options(planted):
    simulation, package = planted
    options = {"region_names": list(simulation.peaks.index[:12]), "genome": simulation.genome, "group_by": "cell_type"}
    return simulation, sz.open_model(package, "cpu"), {**options, "motifs": str(simulation.folder / "motifs.meme")}


@pytest.fixture(scope="module")
def planted_result(planted_options):
    simulation, model, options = planted_options
    return simulation, run(model, **options)


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
def test_a_file_holds_what_is_returned_in_memory(planted_options, planted_result, tmp_path, suffix):
    _, model, options = planted_options
    written = run(model, **options, out=tmp_path / f"r{suffix}")
    read = xr.open_zarr(tmp_path / "r.zarr") if suffix == ".zarr" else xr.open_dataset(tmp_path / "r.nc", engine="h5netcdf")
    names = sorted(written.load().data_vars)
    xr.testing.assert_equal(read.load()[names], written[names])
    in_memory = planted_result[1]
    assert names == sorted(in_memory.data_vars)
    xr.testing.assert_equal(read["reference"], in_memory["reference"])
    for name in ("scores", "importance"):
        np.testing.assert_allclose(read[name], in_memory[name], rtol=0, atol=ROUNDING)
    # A score that rounding moves past another one changes a p by a share of the places, and may change which matches are listed.
    matches, expected = (table(result, "match").set_index(["region", "motif", "start", "strand"]) for result in (read, in_memory))
    both = matches.index.intersection(expected.index)
    assert len(both) >= 0.99 * max(len(matches), len(expected))
    assert matches.columns.tolist() == expected.columns.tolist()
    np.testing.assert_allclose(matches.loc[both, "p"], expected.loc[both, "p"], rtol=0, atol=1e-3)
    comparisons, expected = (table(result, "comparison").set_index(["motif", "group"]) for result in (read, in_memory))
    assert sorted(comparisons.index) == sorted(expected.index)
    np.testing.assert_allclose(comparisons["median"], expected.loc[comparisons.index, "median"], rtol=0, atol=50 * ROUNDING)
    assert json.loads(read.attrs["scbasset_zoo"])["analysis"] == json.loads(written.attrs["scbasset_zoo"])["analysis"] == "ism"


def in_sites(simulation, result, region):
    """Positions of a region's window that lie in planted instances, with their factor."""
    first, sites = int(result["window_start"][region]), simulation.motif_sites
    sites = sites[sites["peak"] == str(result["region"].to_numpy()[region])]
    return [(site.tf, site.start - first, site.end - first, site.strand, site.score) for site in sites.itertuples()]


def test_importance_lies_in_planted_motifs_of_factors_that_are_active(planted_result):
    simulation, result = planted_result
    active = set(simulation.tfs.index[simulation.tfs["active"]])
    labels, importance = [], []
    for region in range(result.sizes["region"]):
        inside = np.zeros(result.sizes["position"], bool)
        for tf, start, end, _, score in in_sites(simulation, result, region):
            inside[start:end] |= tf in active and score > 0.7
        labels.append(inside)
        importance.append(np.abs(result["importance"][region]).max("group").to_numpy())
    assert roc_auc_score(np.concatenate(labels), np.concatenate(importance)) > 0.9


def test_matches_carry_the_names_and_strands_of_planted_motifs(planted_result):
    simulation, result = planted_result
    matches = table(result, "match")
    sure = matches[(matches["q"] < 0.05) & (matches["score"] > 5)]
    planted = {
        (str(result["region"].to_numpy()[region]), tf, start, strand)
        for region in range(result.sizes["region"])
        for tf, start, _, strand, _ in in_sites(simulation, result, region)
    }
    # A palindrome matches on both strands; some matches stand in the background by chance, and act there too.
    either = {(region, tf, start) for region, tf, start, _ in planted}
    found = set(zip(sure["region"], sure["motif"], sure["start"], strict=True))
    assert len(found) >= 15
    assert len(found & either) > 0.75 * len(found)
    strands = {"SPI1", "GATA1", "KLF1", "MYB"}
    with_strand = sure[sure["motif"].isin(strands)]
    rows = zip(with_strand["region"], with_strand["motif"], with_strand["start"], with_strand["strand"], strict=True)
    of_strand = set(rows)
    assert len(of_strand & planted) > 0.75 * len(of_strand)
    of_type = simulation.type_activities
    varying = sure[sure["motif"].isin(of_type.columns[of_type.std() > 0.2])]
    right = [of_type.loc[group, tf] > 0.8 * of_type[tf].max() for group, tf in zip(varying["group"], varying["motif"], strict=True)]
    assert np.mean(right) > 0.9


def test_a_motifs_scores_by_group_are_those_at_its_strongest_match_and_tested_as_scipy_tests_them(planted_options, planted_result):
    simulation, _, options = planted_options
    result = planted_result[1]
    comparisons = table(result, "comparison").set_index(["motif", "group"])
    pwm = simulation.motifs["SPI1"]
    motif = [Motif("SPI1", "SPI1", pwm)]
    values = []
    for region in range(result.sizes["region"]):
        found = find_matches(motif, result["reference"][[region]].to_numpy(), 1e-3)
        if len(found):
            best = found.sort_values("fimo_p", kind="stable").iloc[0]
            oriented = pwm[::-1, ::-1] if best["is_reverse"] else pwm
            in_match = result["scores"][region, best["start"] : best["end"]].to_numpy()
            values.append([((oriented - 0.25)[..., None] * in_match)[..., g].sum() for g in range(in_match.shape[2])])
    values = np.array(values)
    groups = result["group"].to_numpy().tolist()
    own = groups.index("GMP")
    test = stats.mannwhitneyu(values[:, own], np.delete(values, own, axis=1).ravel())
    row = comparisons.loc[("SPI1", "GMP")]
    assert row["n"] == len(values)
    assert row["median"] == pytest.approx(np.median(values[:, own]), abs=1e-4)
    assert row["p"] == pytest.approx(test.pvalue, rel=1e-3)
    assert comparisons["q"].to_numpy() == pytest.approx(stats.false_discovery_control(comparisons["p"]), rel=1e-4)


def test_fimo_matches_are_where_a_plain_scan_finds_them():
    """All 4^6 words of a motif, scored: a match is a word whose share of words that score as high is below the threshold."""
    rng = np.random.default_rng(0)
    pwm = rng.dirichlet([0.3] * 4, size=6)
    words = np.stack(np.unravel_index(np.arange(4**6), (4,) * 6), axis=1)
    odds = np.log2((pwm + 1e-4) / 0.25)
    by_word = odds[np.arange(6), words].sum(axis=1)
    codes = rng.integers(0, 4, (3, 1344), dtype=np.int8)
    codes[1, 600:640] = dna.N
    codes[2, 50:900:7] = dna.N
    expected = set()
    for region, sequence in enumerate(codes):
        for start in range(1344 - 5):
            word_in_sequence = sequence[start : start + 6]
            for is_reverse, word in ((False, word_in_sequence), (True, dna.reverse_complement(word_in_sequence))):
                if (word_in_sequence < dna.N).all():
                    p = (by_word >= odds[np.arange(6), word].sum() - 1e-9).mean()
                    expected |= {(region, start, is_reverse)} if p < 3e-3 else set()
    found = find_matches([Motif("M", "M", pwm)], codes, 3e-3)
    got = set(zip(found["region"], found["start"], found["is_reverse"], strict=True))
    assert len(expected) > 10
    # FIMO's p-values are of scores in steps of 0.1.
    assert len(got ^ expected) <= 0.15 * len(expected)
    assert (found["end"] - found["start"] == 6).all()


@pytest.mark.parametrize("probabilities", [(0.94, 0.02, 0.02, 0.02), (0.47, 0.03, 0.47, 0.03)])
def test_the_best_match_has_the_p_of_the_best_words_among_all_words(probabilities):
    pwm = np.vstack([np.roll(np.eye(4), step, axis=1)[0] * 0.92 + 0.02 for step in (0, 1, 2, 3, 1, 2)] + [probabilities])
    words = np.stack(np.unravel_index(np.arange(4**7), (4,) * 7), axis=1)
    scores = np.log(pwm)[np.arange(7), words].sum(axis=1)
    codes = np.full((1, 30), dna.ALPHABET.index("T"), dtype=np.int8)
    codes[0, 10:17] = pwm.argmax(axis=1)
    found = find_matches([Motif("M", "M", pwm)], codes, 1e-3)
    (p,) = found.loc[(found["start"] == 10) & ~found["is_reverse"].astype(bool), "fimo_p"]
    assert p == pytest.approx((scores >= scores.max() - 1e-9).mean())


def test_long_motifs_match_no_run_of_n():
    """FIMO scores an N 0, which is more than almost any sequence has of a motif of 25 sure bases."""
    pwm = np.eye(4)[np.random.default_rng(0).integers(0, 4, 25)] * 0.9 + 0.025
    codes = np.random.default_rng(1).integers(0, 4, (1, 1344), dtype=np.int8)
    codes[0, 100:125], codes[0, 1044:] = pwm.argmax(axis=1), dna.N
    found = find_matches([Motif("M", "M", pwm)], codes, 1e-3)
    assert found["end"].max() <= 1044
    assert 100 in found["start"].to_numpy()


@pytest.mark.parametrize("measure", ["dot", "pearson"])
def test_window_scores_are_those_of_a_loop(measure):
    rng = np.random.default_rng(0)
    pwms = rng.dirichlet([0.5] * 4, size=(2, 7))
    scores = rng.normal(size=(30, 4, 3)).astype(np.float32)
    scores -= scores.mean(axis=1, keepdims=True)
    found = window_scores(pwms, scores, measure)
    assert found.shape == (2, 24, 3)
    for kind in range(2):
        for start in (0, 11, 23):
            for column in range(3):
                a, b = pwms[kind].ravel(), scores[start : start + 7, :, column].ravel()
                expected = a @ b if measure == "dot" else np.corrcoef(a, b)[0, 1]
                assert found[kind, start, column] == pytest.approx(expected, abs=1e-5)


MOTIF = np.full((8, 4), 0.05)
MOTIF[np.arange(8), [0, 1, 2, 3, 3, 1, 0, 2]] = 0.85


def matches_in(scores, codes, **changes):
    search = MatchSearch(
        [Motif("M", "M", MOTIF)], **{"measure": "dot", "fimo_p": 0.01, "n_shuffles": 5, "list_p": 1, "seed": 0, **changes}
    )
    matches = MotifMatches(search, ["g"])
    matches.add([str(i) for i in range(len(codes))], range(len(codes)), codes, list(scores))
    return matches.matches()


def test_matches_in_noise_have_uniform_p_and_no_discoveries():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (30, 1344), dtype=np.int8)
    scores = rng.normal(size=(30, 1344, 4, 1)).astype(np.float32)
    scores -= scores.mean(axis=2, keepdims=True)
    matches, found, p, q = matches_in(scores, codes)
    assert len(matches) > 300
    assert stats.kstest(p.ravel(), "uniform").pvalue > 0.01
    assert (q < 0.05).sum() <= 1
    assert found.shape == p.shape == q.shape == (len(matches), 1)


def test_listing_fewer_matches_changes_no_p_and_no_q_up_to_the_limit():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (5, 1344), dtype=np.int8)
    scores = rng.normal(size=(5, 1344, 4, 1)).astype(np.float32)
    scores[np.arange(5)[:, None], np.arange(0, 1344), codes] += (np.arange(1344) % 200 < 100)[:, None] * np.float32(3)
    all_matches, _, p, q = matches_in(scores, codes)
    some, _, p_some, q_some = matches_in(scores, codes, list_p=0.2)
    np.testing.assert_allclose(q[:, 0], stats.false_discovery_control(p[:, 0].astype(np.float64)), rtol=1e-5)
    kept = p[:, 0] <= 0.2
    assert 0 < len(some) < len(all_matches)
    np.testing.assert_array_equal(p_some, p[kept])
    exact = q[kept] <= 0.2
    assert 0 < exact.sum() < len(exact)
    np.testing.assert_allclose(q_some[exact], q[kept][exact], rtol=1e-5)
    assert (q_some[~exact] > 0.2).all()


def test_a_match_where_the_scores_are_zero_has_no_correlation_and_counts_in_no_test():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (2, 1344), dtype=np.int8)
    scores = rng.normal(size=(2, 1344, 4, 1)).astype(np.float32)
    scores -= scores.mean(axis=2, keepdims=True)
    scores[0] = 0
    listed, _, p, q = matches_in(scores, codes, measure="pearson")
    assert set(listed["region"]) == {"1"}
    np.testing.assert_allclose(q, stats.false_discovery_control(p[:, 0].astype(np.float64))[:, None], rtol=1e-5)

    two_groups = np.concatenate([scores, np.stack([scores[1], scores[1]])], axis=3)
    search = MatchSearch([Motif("M", "M", MOTIF)], measure="pearson", fimo_p=0.01, n_shuffles=5, list_p=1, seed=0)
    matches = MotifMatches(search, ["silent", "heard"])
    matches.add(["0", "1"], range(2), codes, list(two_groups))
    listed, found, p, q = matches.matches()
    is_silent = (listed["region"] == "0").to_numpy()
    assert is_silent.any()
    for values in (found, p, q):
        assert (np.isnan(values[:, 0]) == is_silent).all()
        assert np.isfinite(values[:, 1]).all()
    assert matches.by_group().set_index("group")["n"].to_dict() == {"silent": 1, "heard": 2}


def test_regions_without_matches_make_empty_tables(model, tmp_path):
    (tmp_path / "m.meme").write_text("MEME version 4\n\nMOTIF M\nletter-probability matrix:\n" + "1 0 0 0\n" * 20)
    options = {"sequences": toy.random_sequences(1), "group_by": "cell_type", "motifs": str(tmp_path / "m.meme"), "fimo_p": 1e-9}
    result = run(model, **options, out=tmp_path / "r.zarr")
    kinds = {name: "".join(values.dtype.kind for _, values in table(result, name).items()) for name in ("match", "comparison")}
    assert len(table(result, "match")) == len(table(result, "comparison")) == 0
    assert {name: kind.replace("U", "O") for name, kind in kinds.items()} == {"match": "OOOiiOfOfff", "comparison": "OOOifffff"}
    assert list(Ism().tables(result)) == ["motif_matches", "motif_scores_by_group"]
    assert sz.read_matches(tmp_path / "r.zarr").equals(sz.read_matches(result))
    with pytest.raises(sz.InputError, match="has no motif matches"):
        sz.read_matches(run(model, sequences=toy.random_sequences(1)))
    assert len(Ism().plot(result)) == 1


def test_figures_show_a_logo_for_each_group_with_matches_marked(planted_options, tmp_path):
    simulation, model, options = planted_options
    run(model, **{**options, "region_names": options["region_names"][:2]}, out=tmp_path / "r.zarr")
    result = xr.open_zarr(tmp_path / "r.zarr")
    figures = Ism().plot(result)
    assert len(figures) == 2
    figure = next(iter(figures.values()))
    figure.draw_without_rendering()
    *logos, marks = figure.axes
    assert [ax.get_ylabel() for ax in logos] == list(simulation.cells["cell_type"].cat.categories)
    written = [text.get_text() for text in marks.texts]
    assert written
    assert {text.split()[0] for text in written} <= set(simulation.motifs)
    assert marks.get_xlabel().startswith("position on chrS1")
    assert Ism().plot(run(model, region_names=options["region_names"][:1], genome=options["genome"])) == {}


@pytest.fixture(scope="module")
def compared(planted_options):
    """Regions with planted motifs, compared with shuffled regions."""
    _, model, options = planted_options
    return model, options, run(model, **options, n_controls=4, seed=3)


def test_the_unit_of_effects_is_the_spread_of_importance_in_shuffled_regions(compared):
    model, options, result = compared
    codes = shuffled_regions(model.peak_windows(options["region_names"], options["genome"]), Range("shuffled regions", 0, 4), 3)
    counts = lambda codes: np.bincount(codes[:-1].astype(int) * 5 + codes[1:], minlength=25).tolist()  # noqa: E731
    assert [counts(a) for a in codes] == [counts(a) for a in result["reference"].to_numpy()[:4]]
    assert (codes != result["reference"].to_numpy()[:4]).mean() > 0.3
    shuffled = run(model, sequences=codes, group_by="cell_type")["importance"].to_numpy().astype(float)
    np.testing.assert_allclose(result["random_spread"], np.sqrt((shuffled**2).mean(axis=(0, 1))), rtol=1e-4)
    importance = result["importance"].to_numpy()
    np.testing.assert_array_equal(result["largest_importance"], np.abs(importance).max(axis=1))
    sums = lambda values: np.abs([values[:, i : i + 10].sum(axis=1) for i in range(1335)]).max(axis=0)  # noqa: E731
    regions, controls = sums(importance), sums(shuffled)
    for column in range(6):
        of_samples = partial(stats.mannwhitneyu, regions[:, column], controls[:, column], alternative="greater")
        # Rounding may make or break ties, and with ties SciPy takes the asymptotic p.
        expected = [of_samples(method=method).pvalue for method in ("exact", "asymptotic")]
        assert np.abs(result["random_p"].to_numpy()[column] - expected).min() < 2e-3


def test_regions_with_planted_motifs_exceed_shuffled_regions(compared):
    _, _, result = compared
    assert float(result["random_p_overall"]) < 0.05
    described = Ism().describe(result)
    assert described.findings[0].startswith("The strongest 10 bp of the regions have larger effects than those of shuffled regions")
    effects = Ism().tables(result)["effects"]
    assert effects["group"].tolist() == result["group"].to_numpy().tolist()
    np.testing.assert_allclose(effects["times_spread"], effects["largest"] / effects["spread"])
    few = result.isel(region=slice(0, 2))  # each takes seconds to draw
    assert described.captions.keys() >= Ism().plot(few).keys() | Ism().tables(result).keys()


def test_matches_have_scores_in_units_of_the_spread_and_a_place_on_the_genome(compared):
    _, _, result = compared
    matches, on_genome = table(result, "match"), Ism().tables(result)["motif_matches"]
    spread = dict(zip(result["group"].to_numpy(), result["random_spread"].to_numpy(), strict=True))
    np.testing.assert_allclose(matches["relative_score"], matches["score"] / matches["group"].map(spread), rtol=1e-5)
    first = dict(zip(result["region"].to_numpy(), result["window_start"].to_numpy(), strict=True))
    assert (on_genome["start"] == matches["start"] + matches["region"].map(first)).all()
    assert (on_genome["end"] - on_genome["start"] == matches["end"] - matches["start"]).all()
    assert on_genome["chrom"].unique().tolist() == ["chrS1"]


def test_effects_of_random_weights_are_within_the_spread_of_random_positions(model, tmp_path, capsys):
    options = {"sequences": toy.random_sequences(3, seed=5), "group_by": "cell_type", "n_controls": 6}
    result = run(model, **options, out=tmp_path / "r.zarr", report=tmp_path / "r.html")
    sentence = "The effects are within the spread of random positions"
    assert sentence in capsys.readouterr().err
    read = xr.open_zarr(tmp_path / "r.zarr")
    assert float(read["random_p_overall"]) == float(result["random_p_overall"]) > 0.05
    assert Ism().describe(read).findings[0].startswith(sentence)
    assert sentence in (tmp_path / "r.html").read_text()
    assert (
        "not compared"
        in Ism().describe(run(model, **{**options, "n_controls": 0, "sequences": options["sequences"][:1]})).findings[0]
    )
    latent = run(model, sequences=options["sequences"][:1], n_controls=6)
    assert "random_spread" not in latent
    assert "latent" in Ism().describe(latent).findings[0]


@pytest.mark.parametrize("p", [0.0008, 0.5])
@pytest.mark.parametrize("learnt", ["", "nothing", "depth", "sequence"])
def test_the_comparison_with_shuffled_regions_defers_to_the_verdict(compared, learnt, p):
    _, _, result = compared
    result = result.assign(random_p_overall=p).assign_attrs(model_learnt=learnt)
    described = Ism().describe(result)
    sentence = described.findings[0]
    defers = sentence.startswith(f"The comparison with shuffled regions (p {p:.2g}) is no evidence, because")
    assert defers == (learnt in ("nothing", "depth"))
    assert ("larger effects" in sentence) == (not defers)
    assert any(step.startswith("Train the model on") for step in described.next_steps) == defers


def test_the_result_has_what_the_model_learnt(tmp_path):
    verdict = {"learnt": "depth", "split": "test", "p_sequence": 0.5, "p_cells": 0.001, "p_depth": 0.5, "statement": "Depth."}
    model = sz.open_model(toy.toy_package(tmp_path / "toy", verdict=verdict).folder, "cpu")
    options = {"sequences": toy.random_sequences(1), "group_by": "cell_type", "n_controls": 2}
    assert run(model, **options).attrs["model_learnt"] == "depth"
    for suffix in (".nc", ".zarr"):
        run(model, **options, out=tmp_path / f"r{suffix}")
        read = xr.open_zarr(tmp_path / "r.zarr") if suffix == ".zarr" else xr.open_dataset(tmp_path / "r.nc")
        assert "is no evidence" in Ism().describe(read).findings[0]


def test_a_group_without_effects_has_no_unit_and_is_not_tested(tmp_path):
    cells = pd.DataFrame({"cell_type": ["a", "a", "b"]}, index=["1", "2", "3"])
    embedding = np.array([[0.0] * SIZE, [0.0] * SIZE, [1.0] * SIZE])
    silent = sz.open_model(embedded_package(tmp_path / "silent", embedding, cells).folder, "cpu")
    result = run(silent, sequences=toy.random_sequences(1), group_by="cell_type", n_controls=2)
    assert result["random_spread"].to_numpy()[0] == 0
    assert result["random_p"].to_numpy()[0] == 1
    assert np.isnan(Ism().tables(result)["effects"]["times_spread"].to_numpy()).tolist() == [True, False]
    assert "nan" not in " ".join(Ism().describe(result).findings)
    assert len(Ism().plot(result)) == 1


def bad_options(folder, genome):
    (folder / "empty.bed").write_text("")
    (folder / "outside.bed").write_text("chr1\t19000\t25000\n")
    (folder / "short.fa").write_text(">s\nACGT\n")
    (folder / "wide.meme").write_text("MEME version 4\n\nMOTIF W\nletter-probability matrix:\n" + "1 0 0 0\n" * 1345)
    sequences, good = {"sequences": toy.random_sequences(1)}, {"region_names": ["chr1:100-600"], "genome": genome}
    return [
        ({}, "give one of regions, region_names and sequences"),
        ({**good, **sequences}, "give one of regions"),
        ({"region_names": ["chr1:100-600"]}, "regions need genome"),
        ({"regions": folder / "empty.bed", "genome": genome}, "empty.bed has no intervals"),
        ({"regions": pd.DataFrame({"chrom": [], "start": [], "end": []}), "genome": genome}, "no regions"),
        ({"region_names": [], "genome": genome}, "no regions"),
        ({"sequences": []}, "no sequences"),
        ({"regions": folder / "outside.bed", "genome": genome}, "beyond the chromosome's end"),
        ({"region_names": ["chr9:1-500"], "genome": genome}, "no chromosome chr9"),
        ({"sequences": folder / "short.fa"}, "has 4 bp; the model takes 1,344"),
        ({"sequences": ["ACGT"]}, "4 bp; expected 1,344"),
        ({**good, "group_by": "treatment"}, "no column 'treatment'"),
        ({**good, "group_by": "empty"}, "1 of 7 cells have no empty"),
        ({**good, "group_by": "single"}, "all 7 cells have the single '1.5'"),
        ({**good, "cells": ["cell-9"]}, "no cell cell-9"),
        ({**good, "cells": ["cell-1"], "group_by": "cell_type"}, "group_by or cells, not both"),
        ({**good, "motifs": "jaspar-vertebrates"}, "motifs needs group_by or cells"),
        ({**good, "group_by": "cell_type", "motif_names": ["SPI1"]}, "motif_names needs motifs"),
        ({**good, "group_by": "cell_type", "motifs": "jaspar-vertebrates", "motif_names": []}, "no motif is chosen"),
        ({**good, "group_by": "cell_type", "motifs": str(folder / "wide.meme")}, "1,345 bp wide"),
        ({**good, "group_by": "cell_type", "motifs": str(folder / "short.fa")}, "not a MEME file"),
        ({**good, "group_by": "cell_type", "motifs": "x", "fimo_p": 0}, "fimo_p"),
    ]


def test_what_cannot_be_done_is_refused_before_any_work(genome, tmp_path, monkeypatch):
    cells = toy.toy_cells()
    cells["empty"] = [None, *"abcdef"]
    cells["single"] = np.float32(1.5)
    model = sz.open_model(toy.toy_package(tmp_path / "toy", cells=cells).folder, "cpu")
    monkeypatch.setattr(type(model.mutations), "saturation_mutagenesis_blocks", lambda *_, **__: pytest.fail("work was begun"))
    for number, (options, message) in enumerate(bad_options(tmp_path, genome)):
        with pytest.raises(InputError, match=message):
            run(model, **options, out=tmp_path / f"{number}.zarr")
    with pytest.raises(InputError, match=".nc or .zarr"):
        run(model, sequences=toy.random_sequences(1), out=tmp_path / "r.h5ad")
    assert not list(tmp_path.glob("*.zarr"))


def test_a_result_larger_than_memory_is_refused_unless_streamed(model, monkeypatch, tmp_path):
    monkeypatch.setattr("scbasset_zoo.runtime.memory.available_memory", lambda: 50_000)
    options = {"sequences": toy.random_sequences(1), "group_by": "cell_type"}
    with pytest.raises(InputError, match="Give out=FILE.zarr"):
        run(model, **options)
    assert run(model, **options, out=tmp_path / "r.zarr").sizes["region"] == 1


def test_it_runs_from_the_command_line(package, genome, tmp_path):
    arguments = ["--region-names=chr1:5000-5500", f"--genome={genome}", "--group-by=cell_type", f"--out={tmp_path}/r.nc"]
    done = CliRunner().invoke(app, ["ism", str(package.folder), *arguments])
    assert done.exit_code == 0, done.output
    assert xr.open_dataset(tmp_path / "r.nc", engine="h5netcdf").sizes["group"] == 3


def test_it_runs_on_real_regions_with_all_motifs_of_cisbp(blood_model, hg19_fasta, shared_data, tmp_path):
    (tmp_path / "r.bed").write_text("chr20\t30000000\t30000500\nchr22\t20000000\t20000500\n")
    motifs = str(shared_data / "motifs" / "cisbp_1.02_homo_sapiens.meme")
    options = {"regions": tmp_path / "r.bed", "genome": hg19_fasta, "group_by": "cell_type", "motifs": motifs}
    result = run(blood_model, **options, out=tmp_path / "r.zarr", report=tmp_path / "r.html")
    assert result["scores"].shape == (2, 1344, 4, blood_model.cells["cell_type"].nunique())
    assert table(result, "comparison")["motif"].nunique() > 300
    assert "motif scores by group" in (tmp_path / "r.html").read_text().lower()


LARGE = """
import json, resource, sys
import numpy as np, pandas as pd
sys.path.insert(0, sys.argv[1])
import scbasset_zoo as sz, toy
folder, n_cells, n_regions = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
types = np.array(["a", "b", "c"])[np.arange(n_cells) % 3]
cells = pd.DataFrame({"cell_type": pd.Categorical(types)}, index=np.arange(n_cells).astype(str))
toy.toy_package(folder + "/toy", n_cells=n_cells, cells=cells)
model = sz.open_model(folder + "/toy", device="cpu")
options = {"group_by": "cell_type"} if n_cells > 10 else {}
sz.run("ism", model, sequences=toy.random_sequences(n_regions), quiet=True, out=folder + "/r.zarr", **options)
print(json.dumps({"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def most_memory(folder, n_cells, n_regions):
    folder.mkdir()
    tests = str(Path(__file__).parents[1])
    arguments = [tests, str(folder), str(n_cells), str(n_regions)]
    done = subprocess.run([sys.executable, "-c", LARGE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])["bytes"]


@pytest.mark.slow
def test_grouped_scores_of_a_million_cells_take_less_than_8_gib(tmp_path):
    used = most_memory(tmp_path / "million", 1_000_000, 20)
    print(f"\n{used / 2**30:.2f} GiB at the most")
    assert used < 8 * 2**30


@pytest.mark.slow
def test_memory_does_not_grow_with_regions(tmp_path):
    few, many = most_memory(tmp_path / "few", 7, 128), most_memory(tmp_path / "many", 7, 1024)
    print(f"\n128 regions: {few / 2**30:.2f} GiB, 1,024: {many / 2**30:.2f} GiB")
    assert many < few + 0.2 * 2**30
