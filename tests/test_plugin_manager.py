"""Plugins of any distribution enter by the hooks; one that breaks a contract is named and does not harm the others."""

import inspect
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from helpers import toy
from scbasset_zoo_export.calico import Calico

import scbasset_zoo
from scbasset_zoo import EmbeddingMetric, IntegrationMethod, hookimpl, plugin_manager
from scbasset_zoo.errors import PluginError
from scbasset_zoo.extend import hookspecs
from scbasset_zoo.extend.embedding import EmbeddedCells
from scbasset_zoo.package.verifying import verify_package

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "plugins.md"
MODULES = {
    "good": """
        import sys
        from pydantic import BaseModel, Field
        from scbasset_zoo import Importer, hookimpl
        print("good was loaded", file=sys.stderr)

        class Options(BaseModel):
            n_cells: int = Field(description="How many cells.")
            seed: int = Field(3, description="Seed of the weights.")

        class Toy(Importer):
            '''Make a toy model.'''
            name = "toy"
            Options = Options

            def convert(self, source, options, *, out, about=None, overwrite=False):
                from helpers import toy
                return toy.toy_package(out, n_cells=options.n_cells, seed=options.seed, overwrite=overwrite)

        @hookimpl
        def register_importers():
            return [Toy]

        @hookimpl
        def register_zoo_sources():
            return {"lab": "https://models.example.org"}

        @hookimpl
        def register_commands(app):
            @app.command()
            def greet(name: str):
                '''Greet someone.'''
                print(f"hello {name}")

            @app.command()
            def verify():
                '''Pretend that all is well.'''
    """,
    "explodes": "import a_module_that_is_not_there",
    "exits": "raise SystemExit('no')",
    "misspelt": "from scbasset_zoo import hookimpl\n@hookimpl\ndef register_importer(): return []",
    "unmarked": "def register_importers(): return []",
    "too_many": "from scbasset_zoo import hookimpl\n@hookimpl\ndef register_commands(app, extra): pass",
    "empty": "x = 1",
    "fails": "from scbasset_zoo import hookimpl\n@hookimpl\ndef register_importers(): return 1 / 0",
    "foreign": """
        from scbasset_zoo import Importer, hookimpl
        class NotOne: name = "x"
        class Nameless(Importer):
            def convert(self, *a, **b): pass
        class Unfinished(Importer): name = "unfinished"
        class Optionless(Importer):
            name, Options = "optionless", dict
            def convert(self, *a, **b): pass
        @hookimpl
        def register_importers(): return [NotOne, Nameless, Unfinished, Optionless]
        @hookimpl
        def register_zoo_sources(): return {"a": 1}
    """,
    "twin": """
        from good import Toy
        from scbasset_zoo import hookimpl
        @hookimpl
        def register_importers(): return [Toy]
    """,
}
BROKEN = {
    "explodes": "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
    "exits": "SystemExit: no",
    "misspelt": "unknown hook 'register_importer'",
    "unmarked": "register_importers lacks the decorator @hookimpl",
    "too_many": "Argument(s) {'extra'} are declared in the hookimpl but can not be found in the hookspec",
    "empty": "it implements none of the hooks register_analyses, register_importers",
    "fails": "register_importers failed: ZeroDivisionError: division by zero",
    "foreign": "Nameless has no name",
}
OF_FOREIGN = (
    "is not a subclass of scbasset_zoo.Importer",
    "Unfinished does not define convert",
    "Optionless.Options is not a pydantic model",
    "register_zoo_sources must return names and locations as texts; found {'a': 1}",
)


def distribution(folder, name, version, modules):
    """Source of a distribution whose modules are plugins, each by its own name."""
    folder.mkdir()
    for module in modules:
        (folder / f"{module}.py").write_text(inspect.cleandoc("\n" + MODULES[module]) + "\n")
    entries = "".join(f'{module} = "{module}"\n' for module in modules)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n[project.entry-points.scbasset_zoo]\n{entries}'
        f"[tool.hatch.build.targets.wheel]\ninclude = {[f'{module}.py' for module in modules]}\n"
    )
    return folder


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Folders into which pip installed a good plugin and broken ones, and a plugin that claims the good one's name."""
    folder = tmp_path_factory.mktemp("plugins")
    many = distribution(folder / "many", "zoo-many", "1.2", ["good", *BROKEN])
    twin = distribution(folder / "twin", "zoo-twin", "2.0", ["twin"])
    for source in (many, twin):
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "install", *options, "--target", folder / f"{source.name}-site", source]
        subprocess.run(list(map(str, command)), check=True)
    return {name: folder / f"{name}-site" for name in ("many", "twin")}


@pytest.fixture(scope="module")
def run(sites):
    """Function (*arguments, sites, only): run scbasset-zoo, or Python code after "-c", with installed plugins."""

    def run(*arguments, installed=("many",), only=None):
        environment = {key: value for key, value in os.environ.items() if key != "SCBASSET_ZOO_PLUGINS"}
        environment["PYTHONPATH"] = os.pathsep.join([*(str(sites[name]) for name in installed), str(TESTS)])
        environment["COLUMNS"] = "200"
        if only is not None:
            environment["SCBASSET_ZOO_PLUGINS"] = only
        program = sys.executable if arguments[0] == "-c" else Path(sys.executable).with_name("scbasset-zoo")
        return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, env=environment, check=False)

    return run


@pytest.fixture
def in_process():
    """Function (name, **functions): register a plugin of these hook implementations in this process until the test is over."""
    names = []

    def register(name, **functions):
        module = types.ModuleType(name)
        vars(module).update({hook: hookimpl(function) for hook, function in functions.items()})
        plugin_manager.register(module, name)
        names.append(name)

    yield register
    for name in names:
        plugin_manager.unregister(name)


def test_the_list_names_each_plugin_its_distribution_its_hooks_and_its_problems(run):
    ran = run("plugins")
    assert ran.returncode == 0, ran.stderr
    blocks = {block.split(" ")[0]: block for block in re.split(r"\n(?=\S)", ran.stdout.strip())}
    assert blocks["export"] == f"export (scbasset-zoo {scbasset_zoo.__version__}): register_importers"
    hooks, problem = blocks["good"].splitlines()
    assert hooks == "good (zoo-many 1.2): register_importers, register_zoo_sources, register_commands"
    assert "there is a command 'verify' already" in problem
    for name, problem in BROKEN.items():
        assert f"{name} (zoo-many 1.2): " in blocks[name]
        assert problem in blocks[name]
        assert ("not in use" in blocks[name]) == (name not in ("fails", "foreign"))
    for problem in OF_FOREIGN:
        assert problem in blocks["foreign"]


def test_register_importers_adds_a_command_with_the_importers_options(run, tmp_path):
    ran = run("import", "toy", "--help")
    assert ran.returncode == 0, ran.stderr
    assert "Make a toy model." in ran.stdout
    assert re.search(r"--n-cells .*How many cells. Required.", ran.stdout)
    assert re.search(r"--seed .*Seed of the weights.*default: .3", ran.stdout)
    ran = run("import", "toy", "source", "--n-cells", 4, "--out", tmp_path / "package")
    assert ran.returncode == 0, ran.stderr
    assert "scbasset/toy 1.0.0: 4 cells, toy1" in ran.stdout
    assert verify_package(tmp_path / "package") == []
    for name in BROKEN:
        assert f"plugin {name} of zoo-many 1.2" in ran.stderr
    assert run("import", "calico", "--help", only="").returncode == 0


def test_missing_options_of_an_importer_are_named(run, tmp_path):
    ran = run("import", "toy", "source", "--out", tmp_path / "package", only="good")
    assert ran.returncode == 1
    assert "n_cells must be given" in ran.stderr


def test_register_commands_joins_the_command_line_and_cannot_replace_ours(run, tmp_path):
    assert run("greet", "Ada", only="good").stdout == "hello Ada\n"
    shown = run("--help", only="good").stdout
    assert "Greet someone." in shown
    assert "Pretend that all is well." not in shown
    ran = run("verify", toy.toy_package(tmp_path / "package").folder, only="good")
    assert ran.stdout.strip().endswith("OK")


def test_register_zoo_sources_gives_names_and_locations(run):
    code = "from scbasset_zoo import plugin_manager; print(plugin_manager.zoo_sources())"
    ran = run("-c", code)
    assert ran.stdout.strip() == "{'lab': 'https://models.example.org'}"


def test_register_analyses_gives_analyses_by_name(in_process):
    from scbasset_zoo.extend.analysis import Analysis

    class Mine(Analysis):
        name = "mine"

        def run(self, model, options, context):
            return None

    in_process("mine", register_analyses=lambda: [Mine])
    assert plugin_manager.analyses()["mine"] is Mine
    assert plugin_manager.distribution_of(Mine) == "this process"


def test_register_embedding_metrics_gives_metrics_by_name(in_process):
    class Mine(EmbeddingMetric):
        name = "mine"

        def score(self, cells):
            return {"mine": 1.0}

    in_process("mine", register_embedding_metrics=lambda: [Mine])
    assert plugin_manager.embedding_metrics()["mine"] is Mine


def test_register_integration_methods_gives_methods_by_name(in_process):
    class Mine(IntegrationMethod):
        name = "mine"

        def integrate(self, embedding, batches, *, seed):
            return embedding

    in_process("mine", register_integration_methods=lambda: [Mine])
    assert plugin_manager.integration_methods()["mine"] is Mine


def test_register_motif_collections_gives_functions_by_name_that_are_not_called(in_process, capsys):
    in_process("mine", register_motif_collections=lambda: {"mine": lambda: 1 / 0})
    in_process("bad", register_motif_collections=lambda: {"bad": [[1, 0, 0, 0]]})
    assert callable(plugin_manager.motif_collections()["mine"])
    assert "bad" not in plugin_manager.motif_collections()
    assert "register_motif_collections must return functions by name" in capsys.readouterr().err


def test_plugins_are_not_loaded_by_commands_that_need_none(run, tmp_path):
    package = toy.toy_package(tmp_path / "package").folder
    for arguments in (["--version"], ["info", package], ["verify", package], ["predict", "--help"]):
        assert "good was loaded" not in run(*arguments).stderr
    assert "good was loaded" in run("import", "--help").stderr


def test_two_plugins_of_one_name_are_an_error_that_names_both_and_the_way_out(run):
    ran = run("import", "toy", "--help", installed=("many", "twin"), only="good,twin")
    assert ran.returncode == 1
    assert "importer 'toy'" in ran.stderr
    assert "plugin good of zoo-many 1.2 and plugin twin of zoo-twin 2.0" in ran.stderr
    assert "SCBASSET_ZOO_PLUGINS" in ran.stderr
    assert run("import", "toy", "--help", installed=("many", "twin"), only="good").returncode == 0
    assert "importer 'toy'" in run("plugins", installed=("many", "twin"), only="good,twin").stdout


def test_the_restriction_leaves_plugins_out_but_not_our_own(run):
    ran = run("plugins", only="good, nonsense")
    assert "SCBASSET_ZOO_PLUGINS names plugins that are not installed: nonsense." in ran.stdout
    assert "SCBASSET_ZOO_PLUGINS names plugins that are not installed: nonsense." in run("import", "--help", only="nonsense").stderr
    assert "explodes (zoo-many 1.2): not in use\n  left out by SCBASSET_ZOO_PLUGINS" in ran.stdout
    assert "good (zoo-many 1.2): register_importers" in ran.stdout
    assert "export (scbasset-zoo" in run("plugins", only="").stdout


def test_our_own_importer_comes_from_our_own_distribution():
    assert plugin_manager.importers()["calico"] is Calico
    assert plugin_manager.distribution_of(Calico) == f"scbasset-zoo {scbasset_zoo.__version__}"


def test_the_same_name_twice_in_this_process_is_refused(in_process):
    in_process("one", register_zoo_sources=lambda: {"a": "/a"})
    with pytest.raises(PluginError, match="plugin one of this process has the same name"):
        in_process("one", register_zoo_sources=lambda: {"b": "/b"})
    in_process("two", register_zoo_sources=lambda: {"a": "/b"})
    in_process("three", register_zoo_sources=lambda: {"c": "/c"})
    found = plugin_manager.zoo_sources()
    assert "c" in list(found)
    assert "a" not in list(found)
    with pytest.raises(PluginError, match="source 'a': plugin one of this process and plugin two of this process"):
        found["a"]


def test_a_name_that_two_plugins_register_is_an_error_where_it_is_asked_for_and_harms_no_other(in_process):
    class Depth(scbasset_zoo.Analysis):
        name = "depth"
        run = None

    in_process("one", register_analyses=lambda: [Depth])
    in_process("two", register_analyses=lambda: [type("Again", (Depth,), {})])
    found = plugin_manager.analyses()
    assert "embedding" in list(found)
    assert "depth" not in list(found)
    both = "the analysis 'depth': plugin one of this process and plugin two of this process"
    for ask in (lambda: found["depth"], lambda: found.get("depth"), lambda: scbasset_zoo.run("depth", "no model")):
        with pytest.raises(PluginError, match=both):
            ask()
    assert any(both in clash for clash in plugin_manager.check())


def test_a_collection_that_fails_is_named_with_its_plugin(in_process):
    in_process("broken", register_motif_collections=lambda: {"broken": lambda: 1 / 0})
    read = plugin_manager.motif_collections()["broken"]
    with pytest.raises(PluginError, match="motif collection 'broken' of plugin broken of this process failed: ZeroDivisionError"):
        read()


def test_a_refused_plugin_leaves_nothing_behind():
    before = plugin_manager.plugins(), plugin_manager.importers()
    wrong = types.ModuleType("wrong")
    wrong.register_importers = hookimpl(lambda extra: [])
    with pytest.raises(PluginError, match="extra"):
        plugin_manager.register(wrong, "wrong")
    assert (plugin_manager.plugins(), plugin_manager.importers()) == before


@pytest.mark.parametrize("hook", plugin_manager.HOOKS)
def test_a_hook_that_fails_is_a_problem_of_its_plugin_and_of_no_other(in_process, capsys, hook):
    in_process("bad", **{hook: lambda: 1 / 0})
    in_process("good", **{hook: lambda: None})
    assert plugin_manager.check() == []
    problems = {plugin.name: plugin.problems for plugin in plugin_manager.plugins()}
    assert problems["bad"] == (f"{hook} failed: ZeroDivisionError: division by zero",)
    assert problems["good"] == problems["export"] == ()
    said = f"plugin bad of this process: {hook} failed: ZeroDivisionError: division by zero; it is left out."
    assert capsys.readouterr().err.count(said) == 1


def test_sources_come_in_the_order_of_the_plugins(in_process):
    for name in "cab":
        in_process(name, register_zoo_sources=lambda name=name: {name: "/"})
    assert list(plugin_manager.zoo_sources()) == list("cab")


@pytest.mark.parametrize("hook", plugin_manager.HOOKS)
def test_every_hook_has_a_test_and_is_documented_with_its_exact_signature(hook):
    tests = "".join(path.read_text() for path in TESTS.glob("test_*.py"))
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
        assert plugin_manager.zoo_sources()["my-lab"] == "https://models.example.org/scbasset"
        assert "greet" in plugin_manager.commands()
        assert list(plugin_manager.motif_collections()["my-motifs"]()) == ["M1 GATA1"]
        cells = EmbeddedCells(np.array([[0, 0], [3, 4], [3, 4]]))
        assert plugin_manager.embedding_metrics()["spread"]().score(cells) == {"spread": pytest.approx((25 / 3) ** 0.5)}
        moved = plugin_manager.integration_methods()["centred"]().integrate(
            np.array([[1.0], [3], [9]]), np.array(["a", "a", "b"]), seed=0
        )
        assert moved.tolist() == [[-1], [1], [0]]
        model = toy.toy_package(tmp_path / "toy").folder / "model.onnx"
        importer = plugin_manager.importers()["onnx"]
        package = importer().convert(model, importer.Options(n_cells=7), out=tmp_path / "out", about=toy.toy_card(cells={}))
        assert verify_package(package.folder) == []
        opened = scbasset_zoo.open_model(package.folder, "cpu")
        analysis = plugin_manager.analyses()["depth"]
        result = analysis().run(opened, None, analysis.Options(scale=2), None)
        assert result.obs["depth"].tolist() == (opened.cell_intercept * 2).tolist()
    finally:
        plugin_manager.unregister("page")
