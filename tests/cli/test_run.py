"""`scbasset-zoo run` has a command for each analysis, with its options, and writes the result of `scbasset_zoo.run`."""

import re
import types
from pathlib import Path
from typing import Literal

import anndata as ad
import numpy as np
import pytest
import xarray as xr
from helpers import toy
from pydantic import Field
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo import Analysis, hookimpl, plugin_manager
from scbasset_zoo.cli.main import app
from scbasset_zoo.extend.analysis import Options


class ManyOptions(Options):
    count: int = Field(ge=1, description="How many.")
    scale: float = Field(1.5, description="Factor.")
    kind: Literal["this", "that"] = Field("this", description="Which.")
    turned: bool = Field(False, description="Upside down.")
    names: list[str] = Field(["a"], description="Some names.")
    table: Path | None = Field(None, description="A file.")


class Many(Analysis):
    """Options of every type.

    They come back.
    """

    name = "many"
    Options = ManyOptions

    def run(self, model, inputs, options, context):
        return ad.AnnData(np.ones((model.n_cells, 2)), obs=model.cells.copy(), uns={"got": repr(options), "on": model.device.name})


class Clashing(Many):
    """An option that the command has itself."""

    name = "clashing"

    class Options(Options):
        out: int = Field(0, description="Not a file.")


@pytest.fixture(autouse=True)
def plugin():
    module = types.ModuleType("test_cli_analyses")
    module.register_analyses = hookimpl(lambda: [Many, Clashing])
    plugin_manager.register(module, "test-cli-analyses")
    yield
    plugin_manager.unregister("test-cli-analyses")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("run") / "toy").folder


def command(*arguments):
    return CliRunner().invoke(app, ["run", *map(str, arguments)], env={"COLUMNS": "200", "TERM": "dumb"})


def test_the_group_lists_every_analysis():
    done = command("--help")
    assert done.exit_code == 0, done.output
    assert re.search(r"many\s+Options of every type", done.stdout)
    assert re.search(r"denoise\s+Accessibility without the depth", done.stdout)


def test_options_come_from_the_analysis():
    done = command("many", "--help")
    assert done.exit_code == 0, done.output
    for pattern in (
        r"They come back",
        r"--count .*How many.*[Rr]equired",
        r"--scale .*Factor.*default: .*1\.5",
        r"--kind +[\[<]this\|that[\]>]",
        r"--turned / --no-turned",
        r"--names ",
        r"--out .*required",
        r"--plot",
        r"--report",
        r"--device",
    ):
        assert re.search(pattern, " ".join(done.stdout.split())), (pattern, done.stdout)


def test_options_that_are_given_reach_the_analysis_and_others_keep_their_defaults(folder, tmp_path):
    out = tmp_path / "r.h5ad"
    given = ["--count", 3, "--kind", "that", "--turned", "--names", "b", "--names", "c", "--table", "t.csv", "--device", "cpu"]
    done = command("many", folder, "--out", out, *given, "--report", tmp_path / "r.html")
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"{out}: many, 7 x 2" in done.stdout
    assert str(tmp_path / "r.html") in done.stdout
    expected = ManyOptions(count=3, kind="that", turned=True, names=["b", "c"], table=Path("t.csv"))
    assert ad.read_h5ad(out).uns["got"] == repr(expected)
    assert ad.read_h5ad(out).uns["on"] == "cpu"
    done = command("many", folder, "--out", out, "--count", 1, "--overwrite")
    assert ad.read_h5ad(out).uns["got"] == repr(ManyOptions(count=1))


def test_mistakes_are_one_message(folder, tmp_path):
    out = ["--out", tmp_path / "r.h5ad"]
    for arguments, message in (
        ([folder, *out], "--count must be given"),
        ([folder, *out, "--count", 0], "--count: .*must be at least 1; found 0"),
        ([tmp_path / "nowhere", *out, "--count", 1], "nowhere"),
        ([folder, "--out", tmp_path / "r.csv", "--count", 1], r"written as .h5ad or .zarr"),
    ):
        done = command("many", *arguments)
        assert isinstance(done.exception, sz.ScbassetZooError), (arguments, done.output)
        assert re.search(message, str(done.exception))
    assert list(tmp_path.iterdir()) == []
    assert command("many", folder, *out, "--count", "some").exit_code == 2
    done = command("many", folder, *out, "--count", 1, "--kind", "other")
    assert done.exit_code == 2
    assert re.search("--kind.*'other'", done.stderr)
    assert command("no-such-analysis", folder).exit_code == 2


def test_an_analysis_whose_options_fit_no_command_line_leaves_the_others(folder):
    done = command("clashing", "--help")
    assert done.exit_code == 2
    assert "The options of clashing cannot be put on the command line" in done.stderr
    assert command("--help").exit_code == 0


@pytest.mark.parametrize(
    ("analysis", "earlier", "name"),
    [
        ("embedding", "--label", "--group-by"),
        ("denoise", "--label", "--group-by"),
        ("batch-correction", "--label", "--group-by"),
        ("batch-correction", "--batch", "--batch-key"),
        ("motif-insertion", "--names", "--motif-names"),
        ("motif-insertion", "--umap", "--umap-from"),
        ("ism", "--names", "--region-names"),
    ],
)
def test_the_options_of_version_0_1_still_work_and_are_not_shown(analysis, earlier, name, tmp_path):
    done = command(analysis, tmp_path / "nowhere", "--out", tmp_path / "r.h5ad", earlier, "x")
    assert f"{earlier} is now {name}; the next release will not accept {earlier}." in done.stderr
    assert isinstance(done.exception, sz.ScbassetZooError)
    assert name in command(analysis, "--help").stdout
    assert f"{earlier} " not in command(analysis, "--help").stdout


def test_names_are_given_alike_in_analyses(folder, tmp_path):
    genome = toy.toy_genome(tmp_path / "toy.fa")
    (tmp_path / "cells.txt").write_text("cell-2\n")
    names = ["--region-names", "chr1:5,000-5,500,chr2:500-900", "--cells", "cell-0,cell-1", "--cells", tmp_path / "cells.txt"]
    done = command("ism", folder, "--genome", genome, *names, "--out", tmp_path / "r.nc", "--device", "cpu", "--n-controls", 0)
    assert done.exit_code == 0, (done.output, done.exception)
    with xr.open_dataset(tmp_path / "r.nc", engine="h5netcdf") as result:
        assert list(result["cell"].to_numpy()) == ["cell-0", "cell-1", "cell-2"]
        assert result.sizes["region"] == 2
