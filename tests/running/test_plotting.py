"""`sz.plot` draws the figures that `run` writes, from a result in memory or in its file, and notebooks show them."""

import pickle
import re
import types

import anndata as ad
import numpy as np
import pytest
import xarray as xr
from helpers import toy
from matplotlib import rc_context
from matplotlib.figure import Figure

import scbasset_zoo as sz
from scbasset_zoo import Analysis, InputError, PluginError, hookimpl, plugin_manager
from scbasset_zoo.extend.analysis import SUFFIXES

PNG = b"\x89PNG"


class Drawn(Analysis):
    """Draws two figures."""

    name = "drawn"

    def run(self, model, inputs, options, context):
        return ad.AnnData(np.arange(2.0 * model.n_cells).reshape(-1, 2), obs=model.cells.copy())

    def plot(self, result):
        figures = {"first": Figure(figsize=(4, 3)), "a <second>": Figure(figsize=(2, 2))}
        for column, figure in enumerate(figures.values()):
            figure.subplots().plot(np.asarray(result.X[:])[:, column])
        return figures


class Cube(Drawn):
    name = "drawn-cube"
    suffixes = SUFFIXES["Dataset"]

    def run(self, model, inputs, options, context):
        return xr.Dataset({"values": (("cell", "x"), np.ones((model.n_cells, 2)))})

    def plot(self, result):
        return {"mean": Figure()} if float(result["values"].mean()) == 1 else {}


class Mistaken(Drawn):
    name = "drawn-mistaken"

    def plot(self, result):
        return [Figure()]


@pytest.fixture(autouse=True)
def plugin():
    module = types.ModuleType("test_plotting")
    module.register_analyses = hookimpl(lambda: [Drawn, Cube, Mistaken])
    plugin_manager.register(module, "test-plotting")
    yield
    plugin_manager.unregister("test-plotting")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sz.open_model(toy.toy_package(tmp_path_factory.mktemp("plotting") / "toy").folder, "cpu")


@pytest.mark.parametrize(
    ("name", "suffix"), [("drawn", ".h5ad"), ("drawn", ".zarr"), ("drawn-cube", ".nc"), ("drawn-cube", ".zarr")]
)
def test_a_result_and_its_file_have_the_figures_that_run_writes(model, tmp_path, name, suffix):
    out = tmp_path / f"result{suffix}"
    result = sz.run(name, model, out=out, plot=tmp_path / "figures", quiet=True)
    names = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    for given in (result, out, str(out)):
        figures = sz.plot(given)
        assert set(figures) == names
        assert all(isinstance(figure, Figure) for figure in figures.values())


def test_a_notebook_shows_all_figures_or_one(model):
    figures = sz.plot(sz.run("drawn", model, quiet=True))
    assert repr(figures) == "Figures: first, a <second>"
    page = figures._repr_html_()
    assert page.count("data:image/png;base64,") == 2
    assert "a &lt;second&gt;" in page
    assert "<second>" not in page
    width = int(re.search(r'width="(\d+)"', page).group(1))
    assert 330 < width <= 384, "4 inches, less the margin"
    assert figures["first"]._repr_png_().startswith(PNG)
    assert pickle.loads(pickle.dumps(figures["first"]))._repr_png_().startswith(PNG)


def test_figures_do_not_depend_on_the_users_settings(model):
    figures = sz.plot(sz.run("drawn", model, quiet=True))
    plain = figures["first"]._repr_png_()
    with rc_context({"savefig.facecolor": "black", "text.usetex": True}):
        assert figures["first"]._repr_png_() == plain


def test_what_no_analysis_made_is_refused(tmp_path, model):
    predicted = ad.AnnData(np.ones((2, 2)), uns={"scbasset_zoo": {"model_id": "m"}})
    for other in (predicted, ad.AnnData(np.ones((2, 2))), xr.Dataset(), xr.Dataset(attrs={"scbasset_zoo": "text"}), 5):
        with pytest.raises(InputError, match="does not say which analysis made it"):
            sz.plot(other)
    (tmp_path / "text.h5ad").write_text("text")
    with pytest.raises(InputError, match="text.h5ad"):
        sz.plot(tmp_path / "text.h5ad")
    with pytest.raises(InputError, match="There is no"):
        sz.plot(tmp_path / "none.h5ad")
    result = sz.run("drawn", model, quiet=True)
    result.uns["scbasset_zoo"]["analysis"] = "drown"
    with pytest.raises(InputError, match="drawn"):
        sz.plot(result)


def test_a_plot_that_breaks_its_contract_names_the_plugin(model):
    with pytest.raises(PluginError, match="drawn-mistaken.*plot must return figures by name; found list"):
        sz.plot(sz.run("drawn-mistaken", model, quiet=True))
