"""The options of an analysis are checked before any work, and its result carries its provenance in memory and in every file."""

import json
import types
from html.parser import HTMLParser
from typing import ClassVar

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import toy
from matplotlib.figure import Figure
from pydantic import Field, field_validator

import scbasset_zoo as sz
from scbasset_zoo import Analysis, hookimpl, plugin_manager
from scbasset_zoo.extend.analysis import SUFFIXES, Options
from scbasset_zoo.runtime.output import write_anndata
from scbasset_zoo.runtime.predictions import Block


class ScaledOptions(Options):
    scale: float = Field(gt=0, description="Factor.")
    table: object = Field(None, description="Anything.")
    fail: bool = Field(False, description="Fail on the way.")

    @field_validator("scale")
    @classmethod
    def _not_three(cls, value):
        if value == 3:
            raise ValueError("three is no number; take another")
        return value


class Scaled(Analysis):
    """Logits of a base, <scaled>.

    It has two `paragraphs`.

    Attributes
    ----------
    name : str
    """

    name = "scaled"
    Options = ScaledOptions
    done: ClassVar[list[str]] = []

    def open_inputs(self, model, options):
        self.done.append("open_inputs")
        if options.scale > 100:
            raise sz.InputError("scale must be at most 100")

    def run(self, model, inputs, options, context):
        self.done.append("run")
        if options.fail:
            if context.out:
                context.out.write_text("half")
            raise RuntimeError("the power went")
        x = (model.cell_embedding * options.scale)[:, :3]
        table = pd.DataFrame({"word": ["<a>"] * 30, "value": np.arange(30) / 7}, index=[f"r{i}" for i in range(30)])
        return ad.AnnData(x, obs=model.cells.copy(), uns={"a_table": table})

    def plot(self, result):
        self.done.append("plot")
        figure = Figure(figsize=(4, 3))
        figure.subplots().plot(np.asarray(result.X[:])[:, 0])
        return {"first_column": figure}


class Streamed(Scaled):
    """Writes its file itself."""

    name = "streamed"

    def run(self, model, inputs, options, context):
        result = super().run(model, inputs, options, context)
        if context.out is None:
            return result
        blocks = [Block(slice(i, i + 1), slice(0, 3), result.X[i : i + 1]) for i in range(len(result))]
        result.uns["scbasset_zoo"] = dict(context.provenance)
        tables = ad.AnnData(obs=result.obs, var=result.var, uns=result.uns)
        write_anndata(tables, blocks, context.out)
        return tables


class Cube(Analysis):
    """More than two dimensions."""

    name = "cube"
    suffixes = SUFFIXES["Dataset"]

    def run(self, model, inputs, options, context):
        return xr.Dataset({"values": (("cell", "x", "y"), np.ones((model.n_cells, 2, 3), np.float32))})


class Needy(Cube):
    """Needs a module that is not installed."""

    name = "needy"

    def open_inputs(self, model, options):
        import a_module_that_is_not_there  # noqa: F401


class Mistaken(Cube):
    """Declares an AnnData and returns a Dataset."""

    name = "mistaken"
    suffixes = SUFFIXES["AnnData"]


@pytest.fixture(autouse=True)
def plugin():
    module = types.ModuleType("test_analyses")
    module.register_analyses = hookimpl(lambda: [Scaled, Streamed, Cube, Needy, Mistaken])
    plugin_manager.register(module, "test-analyses")
    Scaled.done.clear()
    yield
    plugin_manager.unregister("test-analyses")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("analysis") / "toy").folder


@pytest.fixture(scope="module")
def model(folder):
    return sz.open_model(folder, "cpu")


def test_a_result_carries_its_provenance(model):
    result = sz.run("scaled", model, scale=2, table=pd.DataFrame({"a": [1, 2]}))
    np.testing.assert_allclose(result.X, model.cell_embedding[:, :3] * 2)
    provenance = result.uns["scbasset_zoo"]
    assert provenance["analysis"] == "scaled"
    assert provenance["plugin"] == "this process"
    assert (provenance["model_id"], provenance["card_sha256"]) == ("scbasset/toy", model.card_sha256)
    assert json.loads(provenance["options"]) == {"scale": 2.0, "table": "DataFrame 2x1", "fail": False}
    assert provenance["scbasset_zoo_version"] == sz.__version__


@pytest.mark.parametrize("name", ["scaled", "streamed"])
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_the_file_has_the_result_that_is_returned(model, folder, tmp_path, name, suffix):
    out = tmp_path / f"new/result{suffix}"
    returned = sz.run(name, folder, device="cpu", out=out, scale=2)
    read = ad.read_h5ad(out) if suffix == ".h5ad" else ad.read_zarr(out)
    expected = sz.run("scaled", model, scale=2)
    for result in (returned, read):
        np.testing.assert_array_equal(np.asarray(result.X[:]), expected.X)
        assert result.obs_names.tolist() == model.cells.index.tolist()
        assert result.uns["scbasset_zoo"]["analysis"] == name
        pd.testing.assert_frame_equal(result.uns["a_table"], expected.uns["a_table"], check_index_type=False)
    if name == "streamed":
        assert not isinstance(returned.X, np.ndarray)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_dataset_keeps_its_dimensions_and_provenance(model, tmp_path, suffix):
    sz.run("cube", model, out=tmp_path / f"cube{suffix}")
    with (xr.open_zarr if suffix == ".zarr" else xr.open_dataset)(tmp_path / f"cube{suffix}") as read:
        assert dict(read.sizes) == {"cell": 7, "x": 2, "y": 3}
        assert json.loads(read.attrs["scbasset_zoo"])["model_id"] == "scbasset/toy"


def test_figures_and_report_are_written(model, tmp_path):
    sz.run("scaled", model, scale=2, plot=tmp_path / "figures", report=tmp_path / "report.html")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["first_column.pdf", "first_column.png"]
    page = Page()
    page.feed((tmp_path / "report.html").read_text())
    assert not page.open
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert len(page.sources) == 1
    text = " ".join(page.text)
    for words in ("scaled: scbasset/toy 1.0.0", "Logits of a base, <scaled>.", "It has two paragraphs.", "A table", "<a>", "0.143"):
        assert words in text
    for words in (
        "and 10 more rows",
        "Random weights with the structure of scBasset.",
        "card_sha256",
        model.card_sha256,
        "CC0-1.0",
    ):
        assert words in text
    assert "----" not in text
    assert "r19" in text
    assert "r20" not in text


class Page(HTMLParser):
    """Text and image sources of a page, and the elements that it left open."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.sources += [given[name] for name in ("src", "href") if name in given]
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def test_all_unusable_options_are_named_before_the_model_is_opened():
    with pytest.raises(sz.InputError) as caught:
        sz.run("scaled", "no/such/model", scale=-1, colour="red", fail="perhaps")
    for words in ("Options of scaled", "scale: ", "more than 0; found -1", "colour is not an option", "fail: ", "'perhaps'"):
        assert words in str(caught.value)
    with pytest.raises(sz.InputError, match="scale must be given"):
        sz.run("scaled", "no/such/model")
    with pytest.raises(sz.InputError, match="scale: three is no number"):
        sz.run("scaled", "no/such/model", scale=3)
    assert Scaled.done == []


def test_an_unknown_analysis_is_an_error_with_a_suggestion_and_the_names_of_all(model):
    with pytest.raises(sz.InputError, match=r"no analysis 'scalde'. Did you mean 'scaled'\? Installed are .*denoise.*scaled"):
        sz.run("scalde", model)


def test_a_run_that_cannot_be_done_or_written_is_refused_before_any_work(model, tmp_path):
    (tmp_path / "there.h5ad").write_text("precious")
    for options, message in (
        ({"scale": 101}, "at most 100"),
        ({"scale": 1, "out": tmp_path / "x.nc"}, r"the result of scaled is written as .h5ad or .zarr"),
        ({"scale": 1, "out": tmp_path / "there.h5ad"}, "already exists"),
        ({"scale": 1, "plot": tmp_path / "there.h5ad"}, "already exists"),
        ({"scale": 1, "report": tmp_path / "there.h5ad"}, "already exists"),
    ):
        with pytest.raises(sz.InputError, match=message):
            sz.run("scaled", model, **options)
    assert "run" not in Scaled.done
    assert [path.name for path in tmp_path.iterdir()] == ["there.h5ad"]
    assert (tmp_path / "there.h5ad").read_text() == "precious"
    sz.run("scaled", model, scale=1, out=tmp_path / "there.h5ad", overwrite=True)
    assert ad.read_h5ad(tmp_path / "there.h5ad").n_obs == 7


def test_a_run_that_fails_leaves_no_files_and_keeps_earlier_ones(model, tmp_path):
    sz.run("scaled", model, scale=1, out=tmp_path / "r.h5ad")
    before = (tmp_path / "r.h5ad").read_bytes()
    with pytest.raises(RuntimeError, match="the power went"):
        sz.run("scaled", model, scale=1, fail=True, out=tmp_path / "r.h5ad", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["r.h5ad"]
    assert (tmp_path / "r.h5ad").read_bytes() == before


def test_a_result_of_another_kind_than_declared_names_the_plugin(model, tmp_path):
    with pytest.raises(
        sz.PluginError, match=r"mistaken of this process returned Dataset, which cannot be written as .h5ad or .zarr"
    ):
        sz.run("mistaken", model, out=tmp_path / "m.zarr")
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_names_the_analysis_and_its_plugin(model, tmp_path):
    with pytest.raises(RuntimeError) as raised:
        sz.run("scaled", model, scale=2, fail=True, quiet=True)
    assert raised.value.__notes__ == ["in the analysis scaled of this process"]

    class Unplotted(Scaled):
        name = "unplotted"
        plot = lambda self, result: None  # noqa: E731

    plugin = types.ModuleType("unplotted")
    plugin.register_analyses = hookimpl(lambda: [Unplotted])
    plugin_manager.register(plugin, "unplotted")
    try:
        with pytest.raises(sz.PluginError, match="unplotted of this process: plot must return figures by name; found NoneType"):
            sz.run("unplotted", model, scale=2, quiet=True, plot=tmp_path / "plot")
    finally:
        plugin_manager.unregister("unplotted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "places",
    [
        {"out": "a.h5ad", "report": "a.h5ad"},
        {"out": "new/a.h5ad", "plot": "new"},
        {"out": "new/a.h5ad", "plot": "new/../new"},
        {"report": "new/plots/a.html", "plot": "new"},
    ],
)
def test_outputs_that_would_replace_each_other_are_refused(model, tmp_path, places):
    with pytest.raises(sz.InputError, match="which would replace it. Choose separate places"):
        sz.run("scaled", model, scale=2, quiet=True, overwrite=True, **{name: tmp_path / place for name, place in places.items()})
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_is_missing_is_named(model):
    with pytest.raises(sz.PluginError, match=r"needy needs a_module_that_is_not_there, .* pip install '\.\[analyses\]'"):
        sz.run("needy", model)
