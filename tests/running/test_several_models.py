"""An analysis of several models: mean and deviation over what it gives with each, or a refusal before any work."""

import json
import types
from typing import ClassVar

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import toy
from helpers.several import several_packages
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo import Analysis, hookimpl, plugin_manager
from scbasset_zoo.cli.run import app
from scbasset_zoo.extend.blocks import Block, write_anndata
from scbasset_zoo.extend.several_models import combine_anndata, combine_tables

TOLERANCE = {"rtol": 0, "atol": 1e-5}


class Alone(Analysis):
    """Takes one model."""

    name = "alone"
    done: ClassVar[list[str]] = []

    def open_inputs(self, model, options):
        self.done.append("open_inputs")

    def run(self, model, inputs, options, context):
        x = model.logits(toy.random_sequences(3))
        result = ad.AnnData(x.T, obs=model.cells.copy(), layers={"twice": 2 * x.T}, obsm={"latent": model.cell_embedding})
        result.uns["levels"] = pd.DataFrame({"word": ["a", "b"], "level": x[:2, 0]}, index=["r", "s"])
        result.uns["setting"] = "same"
        return result


class Together(Alone):
    """Takes several models."""

    name = "together"

    def combiner(self, options):
        return combine_anndata


class TogetherInFile(Together):
    """Writes its file itself."""

    name = "together-in-file"

    def run(self, model, inputs, options, context):
        result = super().run(model, inputs, options, context)
        del result.layers["twice"]
        if context.out is None:
            return result
        values, result.X = result.X, None
        result.uns["scbasset_zoo"] = dict(context.provenance)
        write_anndata(result, [Block(slice(i, i + 1), slice(0, 3), values[i : i + 1]) for i in range(len(values))], context.out)
        return result


@pytest.fixture(autouse=True)
def plugin():
    module = types.ModuleType("test_several")
    module.register_analyses = hookimpl(lambda: [Alone, Together, TogetherInFile])
    plugin_manager.register(module, "test-several")
    Alone.done.clear()
    yield
    plugin_manager.unregister("test-several")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return several_packages(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def logits(folders):
    """(n_models, cells, sequences), the cells as the first model has them."""
    models = [sz.open_model(folder, "cpu") for folder in folders]
    cells = models[0].cells.index.to_numpy()
    return np.stack([model.logits(toy.random_sequences(3), cells).T for model in models]).astype(np.float64)


@pytest.mark.parametrize("suffix", [None, ".h5ad", ".zarr"])
@pytest.mark.parametrize("name", ["together", "together-in-file"])
def test_the_result_is_mean_and_deviation_over_models(folders, logits, tmp_path, name, suffix):
    out = None if suffix is None else tmp_path / f"result{suffix}"
    result = sz.run(name, folders, device="cpu", out=out, quiet=True)
    read = {".h5ad": ad.read_h5ad, ".zarr": ad.read_zarr}[suffix](out) if out else result
    np.testing.assert_allclose(np.asarray(result.X[:]), logits.mean(axis=0), **TOLERANCE)
    np.testing.assert_allclose(np.asarray(read.X[:]), logits.mean(axis=0), **TOLERANCE)
    np.testing.assert_allclose(read.layers["std"], logits.std(axis=0, ddof=1), **TOLERANCE)
    if name == "together":
        np.testing.assert_allclose(read.layers["twice"], 2 * logits.mean(axis=0), **TOLERANCE)
        np.testing.assert_allclose(read.layers["twice_std"], 2 * logits.std(axis=0, ddof=1), **TOLERANCE)
    np.testing.assert_allclose(read.uns["levels"]["level"], logits[:, 0, :2].mean(axis=0), **TOLERANCE)
    np.testing.assert_allclose(read.uns["levels_std"]["level"], logits[:, 0, :2].std(axis=0, ddof=1), **TOLERANCE)
    assert read.uns["levels"]["word"].tolist() == ["a", "b"]
    assert read.uns["setting"] == "same"
    assert "latent" not in read.obsm
    assert read.uns["scbasset_zoo"]["model_id"] == "toy/usual, toy/reversed, toy/other-space"
    if out:
        assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_an_analysis_of_one_model_refuses_several_before_any_work(folders, tmp_path):
    with pytest.raises(sz.InputError, match="The analysis alone takes one model"):
        sz.run("alone", [folders[0], "no/such/model"], out=tmp_path / "r.h5ad")
    with pytest.raises(sz.InputError, match="The analysis embedding takes one model"):
        sz.run("embedding", sz.open_models(folders, "cpu"))
    assert Alone.done == []
    assert not list(tmp_path.iterdir())


def test_one_model_in_a_list_is_run_as_it_is_alone(folders):
    for given in (folders[:1], sz.open_models(folders[:1], "cpu")):
        result = sz.run("alone", given, device="cpu")
        assert list(result.layers) == ["twice"]
        assert result.uns["scbasset_zoo"]["model_id"] == "toy/usual"


def test_the_command_takes_several_models_and_the_report_names_them(folders, tmp_path, logits):
    outputs = ["--out", tmp_path / "r.h5ad", "--report", tmp_path / "r.html", "--device", "cpu"]
    done = CliRunner().invoke(app, [str(argument) for argument in ["together", *folders, *outputs]])
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(ad.read_h5ad(tmp_path / "r.h5ad").X, logits.mean(axis=0), **TOLERANCE)
    page = (tmp_path / "r.html").read_text()
    for words in ("toy/usual 1.0.0, toy/reversed 1.0.0, toy/other-space 1.0.0", "MODEL_1", "MODEL_3", "mean over 3 models"):
        assert words in page


def test_only_common_cells_are_kept_if_asked(folders, tmp_path):
    fewer = toy.toy_package(tmp_path / "fewer", cells=toy.toy_cells(9).iloc[2:], id="toy/fewer").folder
    with pytest.raises(sz.InputError, match="2 only in toy/usual"):
        sz.run("together", [folders[0], fewer], device="cpu")
    assert Alone.done == []
    result = sz.run("together", [folders[0], fewer], device="cpu", common_cells=True)
    assert result.obs_names.tolist() == [f"cell-{i}" for i in range(2, 7)]


def test_tables_are_combined_by_their_index():
    one = pd.DataFrame({"x": [1.0, 2.0], "n": [1, 2], "flag": [True, False]}, index=["a", "b"])
    other = pd.DataFrame({"x": [4.0, 5.0], "n": [2, 1], "flag": [False, False]}, index=["b", "a"])
    mean, std = combine_tables([one, other])
    pd.testing.assert_frame_equal(mean, pd.DataFrame({"x": [3.0, 3.0], "n": [1, 2]}, index=["a", "b"]))
    np.testing.assert_allclose(std["x"], [np.std([1, 5], ddof=1), np.std([2, 4], ddof=1)])


MEME = "MEME version 4\n\nALPHABET= ACGT\n" + "".join(
    f"\nMOTIF M{number} F{number}\nletter-probability matrix: alength= 4 w= 6\n" + row * 6
    for number, row in enumerate(("0.9 0.1 0 0\n", "0.1 0.1 0.8 0\n", "0 0.2 0.2 0.6\n"))
)


@pytest.fixture(scope="module")
def insertion(folders, tmp_path_factory):
    folder = tmp_path_factory.mktemp("insertion")
    (folder / "m.meme").write_text(MEME)
    genome = toy.toy_genome(folder / "toy.fa")
    return {"motifs": folder / "m.meme", "genome": genome, "n_backgrounds": 5, "n_shuffles": 5, "quiet": True, "device": "cpu"}


@pytest.mark.parametrize("scale", [{}, {"scale": "probability", "space": "published"}])
def test_motif_scores_are_combined_cell_by_cell(folders, insertion, scale):
    result = sz.run("motif-insertion", folders, **insertion, **scale)
    each = [sz.run("motif-insertion", folder, **insertion, **scale) for folder in folders]
    for layer, std in (("score", "score_std"), (None, "std")):
        values = np.stack([(r[result.obs_names].layers[layer] if layer else r[result.obs_names].X) for r in each]).astype(float)
        np.testing.assert_allclose(result.layers[layer] if layer else result.X, values.mean(axis=0), **TOLERANCE)
        np.testing.assert_allclose(result.layers[std], values.std(axis=0, ddof=1), **TOLERANCE)
    np.testing.assert_allclose(result.var["mean_std"], np.std([r.var["mean"] for r in each], axis=0, ddof=1), **TOLERANCE)
    assert result.var["q"].tolist() == np.max([r.var["q"] for r in each], axis=0).tolist()
    assert result.var["responds"].tolist() == np.all([r.var["responds"] for r in each], axis=0).tolist()
    effects = [r.uns["group_effects"].loc[result.var_names].iloc[:, 1:].to_numpy() for r in each]
    for name, expected in (("group_effects", np.mean(effects, 0)), ("group_effects_std", np.std(effects, 0, ddof=1))):
        got = result.uns[name].loc[result.var_names].select_dtypes("number").to_numpy()
        np.testing.assert_allclose(got, expected, **TOLERANCE)
    assert "latent" not in result.varm
    assert "umap" not in sz.plot(result)


@pytest.mark.parametrize("more", [{"contrast": "cell_type:B:T"}, {"scale": "probability"}])
def test_motif_insertion_refuses_what_takes_one_model(folders, insertion, more):
    with pytest.raises(sz.InputError, match=r"contrast takes one model|needs space, canonical or published"):
        sz.run("motif-insertion", folders, **insertion, **more)


@pytest.mark.parametrize("columns", [{"group_by": "cell_type"}, {"cells": ["cell-5", "cell-0"]}])
@pytest.mark.parametrize("suffix", [None, ".nc", ".zarr"])
def test_ism_scores_are_combined_region_by_region(folders, insertion, tmp_path, columns, suffix):
    options = {"region_names": ["chr1:5000-5500", "chr2:1000-1400"], "genome": insertion["genome"], "n_controls": 3, **columns}
    options |= {"quiet": True, "device": "cpu", "motifs": str(insertion["motifs"]), "fimo_p": 0.01}
    out = None if suffix is None else tmp_path / f"ism{suffix}"
    result = sz.run("ism", folders, out=out, **options)
    each = [sz.run("ism", folder, **options) for folder in folders]
    for name in ("scores", "importance"):
        values = np.stack([r[name].to_numpy() for r in each]).astype(float)
        np.testing.assert_allclose(result[name], values.mean(axis=0), **TOLERANCE)
        np.testing.assert_allclose(result[f"{name}_std"], values.std(axis=0, ddof=1), **TOLERANCE)
    np.testing.assert_allclose(result["largest_importance"], np.abs(result["importance"]).max("position"), **TOLERANCE)
    np.testing.assert_allclose(result["random_p"], np.max([r["random_p"] for r in each], axis=0))
    assert result.attrs["n_models"] == 3
    assert json.loads(result.attrs["scbasset_zoo"])["model_id"].count("toy/") == 3
    assert {"match_score", "match_p"} <= set(result.data_vars)
    assert list(sz.plot(result))
    if out:
        assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert isinstance(result, xr.Dataset)


def test_latent_scores_of_several_models_are_refused(folders, insertion):
    with pytest.raises(sz.InputError, match="Several models need group_by or cells: latent scores"):
        sz.run("ism", folders, sequences=toy.random_sequences(1), device="cpu")
