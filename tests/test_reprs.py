"""Public objects are shown in a line or two, in a terminal and in a notebook."""

import pytest
from helpers import toy

import scbasset_zoo as sz


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reprs") / "toy"
    description = "<script>alert(1)</script> of " + "many words " * 50
    return sz.open_model(toy.toy_package(folder, description=description).folder, "cpu")


def test_a_repr_is_one_short_line(model):
    shown = {repr(each) for each in (model, model.package, model.card, model.mutations)} | {str(model.card)}
    assert all("\n" not in text and len(text) < 200 for text in shown), shown
    assert repr(model.card) == "Card(scbasset/toy 1.0.0, 7 cells, schema 1.4)"
    assert repr(model) == "Model(scbasset/toy 1.0.0, 7 cells, on cpu)"
    assert repr(model.mutations) == "MutationEngine(1,344 bp, on cpu)"


def test_notebooks_show_what_a_model_is_and_run_no_script_of_its_card(model):
    page = model._repr_html_()
    assert "scbasset/toy 1.0.0: 7 cells, toy1, on cpu" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page + model.package._repr_markdown_()
