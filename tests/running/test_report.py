"""A report is one HTML file that shows everything of a result and escapes what users and plugins wrote."""

import re
import types

import anndata as ad
import pandas as pd
import pytest
from helpers import toy
from matplotlib.figure import Figure

import scbasset_zoo as sz
from scbasset_zoo import Analysis, hookimpl, plugin_manager
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.description import Description


class MarkedOptions(Options):
    words: str = "<script>alert(1)</script>"


class Marked(Analysis):
    """Words with <marks> & more.

    A second paragraph.
    """

    name = "marked"
    Options = MarkedOptions

    def run(self, model, inputs, options, context):
        rows = pd.Index(["x&y", "z"], name="row_name")
        table = pd.DataFrame({"a<b": [1234567, 2], "c_d": [0.5, float("nan")], "blank": ["", ""]}, index=rows)
        noted = pd.DataFrame({"score": [float("nan"), 1.0], "note": ["all cells have the same batch", ""], "of": [None, "b"]})
        return ad.AnnData(obs=model.cells, uns={"a_<table>": table, "noted": noted, "empty": noted[:0]})


class Described(Analysis):
    """Regions of a genome."""

    name = "described"

    def run(self, model, inputs, options, context):
        regions = pd.DataFrame(
            {"chrom": ["chr2", "chr10"], "start": [999, 0], "end": [2000, 5], "width": [1001, 5], "p": [1e-9, 1]}
        )
        return ad.AnnData(obs=model.cells, uns={"regions": regions})

    def plot(self, result):
        return {"a_map": Figure(figsize=(4, 3)), "other": Figure(figsize=(2, 2))}

    def describe(self, result):
        return Description(
            findings=[f"There are {len(result.uns['regions'])} regions <of> interest."],
            captions={"a_map": "What the <map> shows.", "regions": "A row for each region."},
            how_to_read=["Read it & weep."],
            next_steps=["Step one.", "Step <two>."],
            key_columns={"regions": ["p", "no such column"]},
            units={"width": "bp"},
        )


class Mistaken(Described):
    name = "described-mistaken"

    def describe(self, result):
        return "text"


@pytest.fixture(autouse=True)
def plugin():
    module = types.ModuleType("test_report")
    module.register_analyses = hookimpl(lambda: [Marked, Described, Mistaken])
    plugin_manager.register(module, "test-report")
    yield
    plugin_manager.unregister("test-report")


def test_what_users_and_plugins_wrote_is_escaped(tmp_path):
    model = sz.open_model(toy.toy_package(tmp_path / "toy").folder, "cpu")
    sz.run("marked", model, report=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.startswith('<!doctype html>\n<html lang="en">')
    assert "<p>Words with &lt;marks&gt; &amp; more.</p>" in page
    assert "<p>A second paragraph.</p>" in page
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<h2>A &lt;table&gt;</h2>" in page
    assert "<th class=number>a&lt;b</th>" in page
    assert "<th>row name</th>" in page
    assert "<td>x&amp;y</td>" in page
    assert "<td class=number>1,234,567</td>" in page
    assert "<td class=number>0.500</td>" in page
    assert "<td class=number>–</td>" in page
    assert f"<tr><th>Cells</th><td>{model.n_cells:,}</td></tr>" in page


def test_a_missing_value_is_a_dash_and_its_reason_is_beside_it(tmp_path):
    model = sz.open_model(toy.toy_package(tmp_path / "toy").folder, "cpu")
    sz.run("marked", model, report=tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    cells = "\n".join(("<td class=number>–</td>", "<td>all cells have the same batch</td>", "<td>–</td>"))
    assert cells in page
    assert "blank" not in page
    assert page.count("<th>note</th>") == 2, "a table without rows keeps its head"


def page_of(name, tmp_path):
    model = sz.open_model(toy.toy_package(tmp_path / "toy").folder, "cpu")
    sz.run(name, model, out=tmp_path / "result.h5ad", report=tmp_path / "report.html", quiet=True)
    return (tmp_path / "report.html").read_text()


def test_the_words_of_an_analysis_come_in_the_order_of_a_reader(tmp_path):
    page = page_of("described", tmp_path)
    words = [
        "<h2>What was computed</h2>",
        f"<pre>sz.run(&#39;described&#39;, MODEL, out=&#39;{tmp_path / 'result.h5ad'}&#39;",
        "<h2>What was found</h2>",
        'class="verdict',
        "<p>There are 2 regions &lt;of&gt; interest.</p>",
        "<figcaption>What the &lt;map&gt; shows.</figcaption>",
        "<figcaption>Other</figcaption>",
        "<h2>Regions</h2>",
        "A row for each region.",
        "<h2>How to read it</h2>",
        "<li>Read it &amp; weep.</li>",
        "<h2>What next</h2>",
        "<li>Step &lt;two&gt;.</li>",
        "<details><summary>Model</summary>",
        "<details><summary>Provenance</summary>",
    ]
    places = [page.index(text) for text in words]
    assert places == sorted(places)


def test_key_columns_come_first_with_units_and_locations_as_in_a_genome_browser(tmp_path):
    page = page_of("described", tmp_path)
    head = re.findall(r"<th[^>]*>(.*?)</th>", page[page.index("<thead>") : page.index("</thead>")])
    assert head == ["p", "location (as in a genome browser)", "width (bp)"]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page[page.index("<tbody>") : page.index("</tbody>")])
    assert cells == ["1.00e-09", "chr2:1,000-2,000", "1,001", "1.000", "chr10:1-5", "5"]


def test_a_report_needs_no_other_file_and_nothing_is_said_about_what_is_not_described(tmp_path):
    page = page_of("marked", tmp_path)
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|https?://[^<]*\.(js|css)""", page)
    assert "How to read it" not in page
    assert "What next" not in page


def test_a_description_of_another_type_names_the_plugin(tmp_path):
    with pytest.raises(sz.PluginError, match="described-mistaken.*describe must return a Description; found str"):
        page_of("described-mistaken", tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_what_the_model_learnt_stands_before_figures_and_tables(tmp_path):
    statements = {
        "sequence": "It learnt sequence.",
        "depth": "It is no better than depth.",
        "nothing": "It is no better than chance.",
    }
    for learnt, statement in statements.items():
        verdict = {"learnt": learnt, "split": "test", "p_sequence": 0.5, "p_cells": 0.5, "p_depth": 0.5, "statement": statement}
        package = toy.toy_package(tmp_path / learnt, verdict=verdict)
        sz.run("marked", sz.open_model(package.folder, "cpu"), report=tmp_path / f"{learnt}.html")
        page = (tmp_path / f"{learnt}.html").read_text()
        assert [other for other in statements.values() if other in page] == [statement]
        first = min(position for tag in ("<img", "<table") if (position := page.find(tag)) >= 0)
        assert page.index(statement) < first
