"""A report is one HTML file that shows everything of a result and escapes what users and plugins wrote."""

import types

import anndata as ad
import pandas as pd
import pytest
from helpers import toy

import scbasset_zoo as sz
from scbasset_zoo import Analysis, hookimpl, plugin_manager
from scbasset_zoo.extend.analysis import Options


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


@pytest.fixture(autouse=True)
def plugin():
    module = types.ModuleType("test_report")
    module.register_analyses = hookimpl(lambda: [Marked])
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
