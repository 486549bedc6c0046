"""Plugins of other distributions run on the command line, installed by pip with the project's wheel into a new environment."""

import ast
import importlib
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import anndata as ad
import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import toy
from onnx import numpy_helper

import scbasset_zoo as sz
from scbasset_zoo import plugin_manager
from scbasset_zoo.inputs import dna

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugins.md"
BEFORE = 672


@pytest.fixture(scope="module")
def page_plugin(tmp_path_factory):
    """The distribution that docs/plugins.md makes, as it says."""
    folder = tmp_path_factory.mktemp("page") / "my-plugin"
    folder.mkdir()
    text = PAGE.read_text()
    (folder / "pyproject.toml").write_text(re.search(r"```toml\n(\[build-system\].*?)```", text, re.DOTALL)[1])
    section = text.partition("### register_analyses\n")[2].partition("\n### ")[0]
    (folder / "my_plugin.py").write_text(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1])
    return folder


@pytest.fixture(scope="module")
def command(tmp_path_factory, page_plugin):
    """Function (*arguments): run scbasset-zoo in an environment of the wheels, with the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    sources = [ROOT, ROOT / "plugins" / "example", page_plugin]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder / "wheels", *sources]
    subprocess.run(list(map(str, [*pip, *build])), check=True)
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert len(wheels) == 3
    subprocess.run(list(map(str, [*pip, "--python", python, "install", "--no-deps", "--no-index", *wheels])), check=True)
    own = next((folder / "env" / "lib").glob("python*/site-packages"))
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SCBASSET_ZOO_PLUGINS")}
    where = subprocess.run(
        [python, "-c", "import scbasset_zoo; print(scbasset_zoo.__file__)"],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert where.stdout.startswith(str(own)), where.stdout

    def run(*arguments):
        program = python.with_name("scbasset-zoo")
        line = list(map(str, [program, *arguments]))
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, env=environment | {"COLUMNS": "200"})

    return run


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("model") / "toy", n_cells=9)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


@pytest.fixture(scope="module")
def chromosomes(genome):
    parts = genome.read_text().split(">")[1:]
    return {part.split("\n")[0]: "".join(part.split("\n")[1:]) for part in parts}


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """BED of two regions; the windows of the first reach beyond the start of the chromosome."""
    path = tmp_path_factory.mktemp("regions") / "r.bed"
    path.write_text("chr1\t40\t700\nchr2\t4000\t4500\n")
    return path


def logits(package, sequences):
    session = onnxruntime.InferenceSession(str(package.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"sequence": dna.one_hot(dna.as_codes(sequences))})[0]


def test_tiles_are_mean_logits_of_plain_onnxruntime(command, package, genome, chromosomes, regions, tmp_path):
    out = tmp_path / "tiles.h5ad"
    options = ["--regions", regions, "--genome", genome, "--step", 200, "--out", out, "--device", "cpu"]
    ran = command("run", "tiles", package.folder, *options, "--plot", tmp_path / "figures", "--report", tmp_path / "r.html")
    assert ran.returncode == 0, ran.stderr
    assert f"{out}: tiles, 3 x 7" in ran.stdout
    result = ad.read_h5ad(out)
    tiles = [("chr1", 40, 240), ("chr1", 240, 440), ("chr1", 440, 640), ("chr1", 640, 700)]
    tiles += [("chr2", 4_000, 4_200), ("chr2", 4_200, 4_400), ("chr2", 4_400, 4_500)]
    assert list(zip(result.var["chrom"], result.var["start"], result.var["end"], strict=True)) == tiles
    windows = []
    for chrom, start, end in tiles:
        whole = "N" * 2_000 + chromosomes[chrom] + "N" * 2_000
        windows.append(whole[2_000 + (start + end) // 2 - BEFORE :][:1344])
    expected = logits(package, windows)
    cell_type = toy.toy_cells(9)["cell_type"]
    for name, of_group in cell_type.groupby(cell_type, observed=True).groups.items():
        of_cells = expected[:, cell_type.index.get_indexer(of_group)]
        np.testing.assert_allclose(result[name].X[0], of_cells.mean(axis=1), atol=1e-4)
    assert result.uns["scbasset_zoo"]["plugin"] == "scbasset-zoo-tiles 0.1.0"
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["tiles.pdf", "tiles.png"]
    page = (tmp_path / "r.html").read_text()
    assert "tiles: scbasset/toy 1.0.0" in page
    assert "The most open tile is chr" in page


def test_tiles_of_several_models_are_mean_and_deviation_over_models(package, genome, regions, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "plugins" / "example"))
    plugin = importlib.import_module("scbasset_zoo_tiles.plugin")
    other = toy.toy_package(tmp_path / "other", n_cells=9, seed=1, cells=toy.toy_cells(9).iloc[::-1])
    options = {"regions": regions, "genome": genome, "device": "cpu", "quiet": True}
    plugin_manager.register(plugin, "tiles-of-several")
    try:
        result = sz.run("tiles", [package.folder, other.folder], **options)
        each = [sz.run("tiles", folder, **options) for folder in (package.folder, other.folder)]
    finally:
        plugin_manager.unregister("tiles-of-several")
    values = np.stack([of_model[result.obs_names].X for of_model in each]).astype(float)
    np.testing.assert_allclose(result.X, values.mean(axis=0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.layers["std"], values.std(axis=0, ddof=1), rtol=0, atol=1e-5)


def test_regions_that_the_genome_lacks_are_refused_on_the_command_line(command, package, genome, tmp_path):
    bed = tmp_path / "r.bed"
    bed.write_text("chr7\t10\t500\n")
    ran = command("run", "tiles", package.folder, "--regions", bed, "--genome", genome, "--out", tmp_path / "t.h5ad")
    assert ran.returncode == 1
    assert "no chromosome chr7" in ran.stderr
    assert not (tmp_path / "t.h5ad").exists()


def test_the_plugin_imports_only_the_public_interface_and_libraries():
    folder = ROOT / "plugins" / "example" / "scbasset_zoo_tiles"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, path
                modules = [node.module]
            for module in modules:
                is_internal = module.startswith("scbasset_zoo.") and not module.startswith("scbasset_zoo.extend.")
                assert not is_internal, f"{path.name} imports {module}, which is not public"
                assert module.partition(".")[0] not in ("scbasset_zoo_plugins", "scbasset_zoo_export"), path


def test_the_template_of_the_page_runs_as_the_page_says(command, package, tmp_path):
    listed = command("plugins").stdout
    assert "my-plugin (my-plugin 0.1.0)\n  analyses: depth" in listed
    assert "tiles (scbasset-zoo-tiles 0.1.0)\n  analyses: tiles" in listed
    assert "--scale" in command("run", "depth", "--help").stdout
    line = re.search(r"scbasset-zoo run depth MODEL (.*)", PAGE.read_text())[1].split()
    ran = command("run", "depth", package.folder, *line, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    folder = Path(ran.args[0]).parents[2]
    result = ad.read_h5ad(folder / "depth.h5ad")
    head = onnx.load(package.folder / "model.onnx").graph.initializer
    intercept = next(numpy_helper.to_array(values) for values in head if values.name == "cell_intercept")
    np.testing.assert_allclose(result.obs["depth"], intercept * 2, rtol=1e-6)
    assert result.uns["scbasset_zoo"]["plugin"] == "my-plugin 0.1.0"
    assert (folder / "depth" / "depth.png").stat().st_size > 1_000
    report = (folder / "depth.html").read_text()
    assert "depth: scbasset/toy 1.0.0" in report
    assert "Depth of groups" in report
