"""Every hook and every public module is documented, and the examples of the documentation work."""

import inspect
import re
import types
from pathlib import Path

import numpy as np
import pytest
from helpers import toy

import scbasset_zoo
from scbasset_zoo import plugin_manager
from scbasset_zoo.extend import hookspecs
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo.package.verifying import verify_package

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "plugins.md"


@pytest.mark.parametrize("hook", plugin_manager.HOOKS)
def test_every_hook_has_a_test_and_is_documented_with_its_exact_signature(hook):
    tests = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert f"def test_{hook}_" in tests, f"no test is named test_{hook}_..."
    function = getattr(hookspecs, hook)
    section = PAGE.read_text().partition(f"### {hook}\n")[2].partition("\n### ")[0]
    signature = str(inspect.signature(function)).replace("'", "")
    assert f"`{hook}{signature}`\n\n{function.__doc__}\n" in section
    assert "```python" in section


def test_hooks_are_all_the_functions_of_the_page_of_hooks():
    functions = [name for name, member in vars(hookspecs).items() if inspect.isfunction(member)]
    assert list(plugin_manager.HOOKS) == functions


def test_the_examples_of_the_page_are_a_plugin_that_works(tmp_path):
    module = types.ModuleType("page")
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)), module.__dict__)
    plugin_manager.register(module, "page")
    try:
        assert plugin_manager.check() == []
        page = next(plugin for plugin in plugin_manager.plugins() if plugin.name == "page")
        assert set(page.hooks) == set(plugin_manager.HOOKS)
        assert page.problems == ()
        assert plugin_manager.zoo_sources().get("my-lab") == "https://models.example.org/scbasset"
        assert "greet" in plugin_manager.commands().names()
        assert list(plugin_manager.motif_collections().get("my-motifs")()) == ["M1 GATA1"]
        cells = EmbeddedCells(np.array([[0, 0], [3, 4], [3, 4]]))
        assert plugin_manager.embedding_metrics().get("spread")().score(cells) == {"spread": pytest.approx((25 / 3) ** 0.5)}
        moved = (
            plugin_manager.integration_methods()
            .get("centred")()
            .integrate(np.array([[1.0], [3], [9]]), np.array(["a", "a", "b"]), seed=0)
        )
        assert moved.tolist() == [[-1], [1], [0]]
        model = toy.toy_package(tmp_path / "toy", gauge=False).folder / "model.onnx"
        importer = plugin_manager.importers().get("onnx")
        package = importer().convert(model, importer.Options(n_cells=7), out=tmp_path / "out", about=toy.toy_card(cells={}))
        assert verify_package(package.folder) == []
        opened = scbasset_zoo.open_model(package.folder, "cpu")
        analysis = plugin_manager.analyses().get("depth")
        result = analysis().run(opened, None, analysis.Options(scale=2), None)
        assert result.obs["depth"].tolist() == (opened.cell_intercept * 2).tolist()
    finally:
        plugin_manager.unregister("page")


def test_the_page_lists_every_public_module():
    section = PAGE.read_text().partition("## The public plugin interface\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(scbasset_zoo[\w.]*)`", section, re.MULTILINE)
    modules = {f"scbasset_zoo.extend.{path.stem}" for path in Path(scbasset_zoo.extend.__file__).parent.glob("[!_]*.py")}
    assert sorted(listed) == sorted({"scbasset_zoo"} | modules)
