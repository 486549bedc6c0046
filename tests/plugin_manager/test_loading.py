"""Plugins of any distribution are loaded; a plugin that breaks a contract is reported by name, and the others work."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import toy

import scbasset_zoo
from scbasset_zoo.package.verifying import verify_package

TESTS = Path(__file__).parents[1]
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


def test_the_list_names_each_plugin_its_distribution_what_it_registers_and_its_problems(run):
    ran = run("plugins")
    assert ran.returncode == 0, ran.stderr
    blocks = {block.split(" ")[0]: block for block in re.split(r"\n(?=\S)", ran.stdout.strip())}
    assert blocks["export"] == f"export (scbasset-zoo {scbasset_zoo.__version__})\n  importers: calico"
    *lines, problem = blocks["good"].splitlines()
    assert lines == ["good (zoo-many 1.2)", "  importers: toy", "  zoo sources: lab", "  commands: greet"]
    assert "scbasset-zoo has a command 'verify' already" in problem
    for name, problem in BROKEN.items():
        assert f"{name} (zoo-many 1.2)" in blocks[name]
        assert problem in blocks[name]
        assert ("not in use" in blocks[name]) == (name not in ("fails", "foreign"))
    for problem in OF_FOREIGN:
        assert problem in blocks["foreign"]


def test_the_list_is_also_printed_as_json(run):
    listed = json.loads(run("plugins", "--json", only="good,nonsense").stdout)
    by_name = {plugin["name"]: plugin for plugin in listed["plugins"]}
    assert by_name["good"]["distribution"] == "zoo-many 1.2"
    assert by_name["good"]["in_use"]
    assert by_name["good"]["registered"] == {"importers": ["toy"], "zoo sources": ["lab"], "commands": ["greet"]}
    assert not by_name["explodes"]["in_use"]
    assert by_name["explodes"]["problems"] == ["left out by SCBASSET_ZOO_PLUGINS"]
    assert listed["problems"] == ["SCBASSET_ZOO_PLUGINS names plugins that are not installed: nonsense."]


def test_register_importers_adds_a_command_with_the_importers_options(run, tmp_path):
    ran = run("import", "toy", "--help")
    assert ran.returncode == 0, ran.stderr
    assert "Make a toy model." in ran.stdout
    assert re.search(r"--n-cells .*How many cells\. \[required\]", ran.stdout)
    assert re.search(r"--seed .*Seed of the weights.*default: 3", ran.stdout)
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
    assert "--n-cells must be given" in ran.stderr


def test_register_commands_adds_commands_and_cannot_replace_built_in_ones(run, tmp_path):
    assert run("greet", "Ada", only="good").stdout == "hello Ada\n"
    shown = run("--help", only="good").stdout
    assert "Greet someone." in shown
    assert "Pretend that all is well." not in shown
    ran = run("verify", toy.toy_package(tmp_path / "package").folder, only="good")
    assert ran.stdout.strip().endswith("OK")


def test_register_zoo_sources_gives_names_and_locations(run):
    code = "from scbasset_zoo import plugin_manager; print(plugin_manager.zoo_sources().as_dict())"
    ran = run("-c", code)
    assert ran.stdout.strip() == "{'lab': 'https://models.example.org'}"


def test_plugins_are_not_loaded_by_commands_that_need_none(run, tmp_path):
    package = toy.toy_package(tmp_path / "package").folder
    for arguments in (["--version"], ["info", package], ["verify", package], ["predict", "--help"]):
        assert "good was loaded" not in run(*arguments).stderr
    assert "good was loaded" in run("import", "--help").stderr


def test_a_name_that_two_plugins_register_is_an_error_that_names_both_and_says_what_to_do(run):
    ran = run("import", "toy", "--help", installed=("many", "twin"), only="good,twin")
    assert ran.returncode == 1
    assert "importer 'toy'" in ran.stderr
    assert "plugin good of zoo-many 1.2 and plugin twin of zoo-twin 2.0" in ran.stderr
    assert "SCBASSET_ZOO_PLUGINS" in ran.stderr
    assert run("import", "toy", "--help", installed=("many", "twin"), only="good").returncode == 0
    assert "importer 'toy'" in run("plugins", installed=("many", "twin"), only="good,twin").stdout


def test_the_environment_variable_leaves_out_plugins_but_not_the_built_in_ones(run):
    ran = run("plugins", only="good, nonsense")
    assert "SCBASSET_ZOO_PLUGINS names plugins that are not installed: nonsense." in ran.stdout
    assert "SCBASSET_ZOO_PLUGINS names plugins that are not installed: nonsense." in run("import", "--help", only="nonsense").stderr
    assert "explodes (zoo-many 1.2): not in use\n  problem: left out by SCBASSET_ZOO_PLUGINS" in ran.stdout
    assert "good (zoo-many 1.2)\n  importers: toy" in ran.stdout
    assert "export (scbasset-zoo" in run("plugins", only="").stdout
