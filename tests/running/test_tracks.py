"""Tracks of predict, ism and denoise hold the numbers of their results; the genome browser of a report needs no network."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from helpers import toy
from helpers.bigwig import read_bigwig

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError
from scbasset_zoo.files import sha256
from scbasset_zoo.running import genome_browser

GROUPS = ["B", "HSC", "T"]
# The windows of these regions do not overlap.
REGIONS = ["chr2:6000-6500", "chr1:5000-5501", "chr1:0-500"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("tracks") / "toy").folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("tracks-genome") / "toy.fa")


@pytest.fixture(scope="module")
def ism(model, genome, tmp_path_factory):
    """A run of ism with everything that it writes."""
    folder = tmp_path_factory.mktemp("tracks-ism")
    written = {"out": folder / "ism.zarr", "report": folder / "ism.html", "bigwig": folder / "tracks", "igv": True}
    options = {"region_names": REGIONS, "genome": genome, "group_by": "cell_type", "n_controls": 0}
    return folder, sz.run("ism", model, quiet=True, **written, **options)


@pytest.mark.parametrize("suffix", ["h5ad", "parquet"])
def test_predicted_tracks_are_the_rows_of_the_result(model, genome, tmp_path, suffix):
    var = ["chr2:100-600", "chr1:900-1100", "chr1:100-200"]
    sz.predict(model, var, genome, out=tmp_path / f"p.{suffix}", bigwig=tmp_path / "tracks", group_by="cell_type")
    expected = model.predict(var, genome, group_by="cell_type")
    for group in GROUPS:
        sizes, intervals = read_bigwig(tmp_path / "tracks" / f"{group}.bw")
        assert sizes == toy.CHROMOSOME_SIZES
        values = expected[group].X.ravel()
        assert [each[:3] for each in intervals] == [("chr1", 100, 200), ("chr1", 900, 1100), ("chr2", 100, 600)]
        np.testing.assert_array_equal(np.array([each[3] for each in intervals], np.float32), values[[2, 1, 0]])


def test_ism_tracks_are_the_importance_of_each_base(ism):
    folder, result = ism
    assert sorted(path.name for path in (folder / "tracks").iterdir()) == ["B.bw", "HSC.bw", "T.bw", "tracks.tsv"]
    for number, group in enumerate(GROUPS):
        intervals = read_bigwig(folder / "tracks" / f"{group}.bw")[1]
        at = {(chrom, start): value for chrom, start, _, value in intervals}
        assert len(at) == 2 * toy.LENGTH + toy.LENGTH // 2 + 250, "the window of the last region begins before the chromosome"
        for region in range(len(REGIONS)):
            start, chrom = int(result["window_start"][region]), str(result["chrom"].to_numpy()[region])
            bases = range(max(0, -start), toy.LENGTH)
            expected = result["importance"][region, max(0, -start) :, number].to_numpy()
            np.testing.assert_array_equal(np.array([at[chrom, start + i] for i in bases], np.float32), expected)


def test_denoised_tracks_are_means_over_the_cells_of_a_group(model, genome, tmp_path):
    options = {"genome": genome, "peaks": toy.toy_peaks().iloc[[7, 3]], "group_by": "cell_type", "output": "accessibility"}
    sz.run("denoise", model, quiet=True, out=tmp_path / "d.zarr", bigwig=tmp_path / "tracks", **options)
    result = sz.run("denoise", model, quiet=True, **options)
    for group in GROUPS:
        values = result.X[(model.cells["cell_type"] == group).to_numpy()].astype(np.float64).mean(axis=0)
        found = [each[3] for each in read_bigwig(tmp_path / "tracks" / f"{group}.bw")[1]]
        np.testing.assert_allclose(found, values[[1, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ism", {"sequences": toy.random_sequences(1), "group_by": "cell_type"}, "sequences have no coordinates"),
        ("ism", {"region_names": REGIONS, "genome": True}, "Tracks need group_by or cells"),
        ("denoise", {"genome": True}, "Tracks need group_by"),
        ("embedding", {"n_neighbours": 3}, "embedding has no tracks along the genome: leave bigwig and igv out"),
    ],
)
def test_what_has_no_tracks_is_refused_before_any_work(model, genome, tmp_path, name, options, message):
    options = {key: genome if value is True else value for key, value in options.items()}
    with pytest.raises(InputError, match=message):
        sz.run(name, model, bigwig=tmp_path / "tracks", quiet=True, **options)
    assert not list(tmp_path.iterdir())


def test_predictions_without_tracks_are_refused_before_any_work(model, genome, tmp_path):
    with pytest.raises(InputError, match="bigwig takes output='accessibility'"):
        sz.predict(model, REGIONS, genome, out=tmp_path / "p.h5ad", bigwig=tmp_path / "tracks", output="peak_embedding")
    with pytest.raises(InputError, match="bigwig needs out"):
        sz.predict(model, REGIONS, genome, bigwig=tmp_path / "tracks")
    with pytest.raises(InputError, match=r"bigwig='.*' lies in out='.*'"):
        sz.predict(model, REGIONS, genome, out=tmp_path / "p.zarr", bigwig=tmp_path / "p.zarr" / "tracks")
    assert not list(tmp_path.iterdir())


def test_a_genome_browser_needs_a_report(model, tmp_path):
    with pytest.raises(InputError, match="igv=True is a part of the report: give report"):
        sz.run("embedding", model, igv=True)


def test_the_copy_of_igv_is_the_released_file():
    folder = genome_browser.DATA
    assert sha256(folder / "igv.min.js") in (folder / "README.md").read_text()
    script = (folder / "igv.min.js").read_text().lower()
    assert "</script" not in script, "it would end the script of the page"
    assert "<!--" not in script


def test_a_report_has_the_sequence_and_the_values_of_the_regions(ism, genome):
    folder, result = ism
    page = (folder / "ism.html").read_text()
    data = json.loads(re.search(r'id="igv-data">(.*?)</script>', page).group(1))
    assert data["names"] == GROUPS
    assert [(piece["chr"], piece["start"]) for piece in data["pieces"]] == [("chr1", 0), ("chr1", 4578), ("chr2", 5578)]
    expected = result["importance"][1].to_numpy().T
    np.testing.assert_allclose(data["pieces"][1]["values"], expected, rtol=1e-3, atol=1e-12)
    assert 'data-locus="chr1:4,579-5,922"' in page
    assert "Permission is hereby granted" in page, "the licence goes with every copy"
    assert "connect-src data: blob:" in page


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_shows_the_browser_and_asks_the_network_for_nothing(ism, tmp_path):
    """The page forbids requests. Without that line it does not try any either; a page that does is noticed."""
    page = (ism[0] / "ism.html").read_text()
    unguarded, n_lines = re.subn(r"<meta http-equiv=.Content-Security-Policy.*\n", "", page)
    assert n_lines == 1
    for name, text in {"page": page, "unguarded": unguarded}.items():
        shown, urls = visit(tmp_path / f"{name}.html", text)
        assert 'aria-busy="false"' in shown, "igv.js has not loaded"
        assert 'id="igv-error" class="verdict warning" hidden=""' in shown
        assert not urls
    assert visit(tmp_path / "asking.html", '<img src="http://genome.example.org/">')[1] == {"http://genome.example.org/"}


def visit(page, text):
    """Write a page; return it as Chromium shows it, and the addresses that the page requested. No network is reached."""
    page.write_text(text)
    log = page.with_suffix(".json")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", f"--user-data-dir={page.parent / 'user'}", "--proxy-server=127.0.0.1:9"]
    command += ["--virtual-time-budget=20000", f"--log-net-log={log}", "--dump-dom", f"file://{page}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    parameters = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    # What Chromium itself requests, such as the time, has no origin.
    of_pages = [each for each in parameters if each.get("initiator", "not an origin") != "not an origin"]
    return shown, {each["url"] for each in of_pages if each.get("url", "").startswith(("http:", "https:"))}
