"""A path that cannot be a path is an InputError, wherever it is given."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import toy
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError, ScbassetZooError
from scbasset_zoo.files import rewritten
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.matrix import open_matrix
from scbasset_zoo.inputs.windows import peak_windows
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.sealing import seal_package
from scbasset_zoo.package.verifying import verify_package
from scbasset_zoo.training.run_folder import open_run
from scbasset_zoo.user_folders import cache_folder
from scbasset_zoo.zoo import sources
from scbasset_zoo.zoo.indexing import build_index
from scbasset_zoo.zoo.models import find_package

IMPOSSIBLE = {"long": "a" * 300, "deep": "a/" * 3_000, "null": "a\0b", "half a letter": "\ud800"}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("any") / "toy").folder


@pytest.fixture
def calls(package, tmp_path, monkeypatch):
    """Functions of a path that a user gives, by name."""
    monkeypatch.chdir(tmp_path)
    return {
        "find": find_package,
        "find a Path": lambda path: find_package(Path(path)),
        "pull": sz.pull,
        "open": Package.open,
        "verify": verify_package,
        "seal": seal_package,
        "index": build_index,
        "publish": lambda path: sz.publish(path, tmp_path / "source"),
        "publish to": lambda path: sz.publish(package, Path(path)),
        "genome": Genome,
        "peaks": lambda path: peak_windows(path, path, 1344, assembly="toy", chromosome_sizes={}),
        "matrix": open_matrix,
        "prepared": sz.open_prepared,
        "run": open_run,
        "simulate": lambda path: sz.simulate(path),
        "write": lambda path: rewritten(path).__enter__(),
    }


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_impossible_paths_are_input_errors(calls, kind, tmp_path):
    for name, call in calls.items():
        error = None
        try:
            call(IMPOSSIBLE[kind])
        except Exception as raised:  # noqa: BLE001  the kind of error is what is tested
            error = raised
        assert isinstance(error, ScbassetZooError), (name, error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["info", "verify", "pull", "index", "seal"])
@pytest.mark.parametrize("path", [IMPOSSIBLE["long"], IMPOSSIBLE["deep"], "https://[", "https://host:99999999/x"])
def test_the_command_line_names_the_path_in_one_message(command, path, configure):
    configure()
    done = CliRunner().invoke(app, [command, path])
    assert isinstance(done.exception, ScbassetZooError), done.exception


@pytest.mark.parametrize("text", ["~nosuch/zoo", "a" * 300])
def test_variables_and_locations_that_are_no_paths(configure, tmp_path, monkeypatch, text):
    configure(mine=text)
    with pytest.raises(InputError, match="no such home|too long"):
        sz.list_models()
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", text)
    with pytest.raises(InputError, match="SCBASSET_ZOO_CACHE.*no such home|too long"):
        cache_folder()
    monkeypatch.setenv("SCBASSET_ZOO_CONFIG", text)
    with pytest.raises(InputError, match="SCBASSET_ZOO_CONFIG.*no such home|too long"):
        sources.sources()


@pytest.mark.parametrize("name", ["x." + "a" * 240, "b" * 250 + ".txt", "é" * 120 + ".h5ad"])
def test_long_names_that_are_possible_are_written(tmp_path, name):
    with rewritten(tmp_path / name) as partial:
        partial.write_text("1")
    assert [path.name for path in tmp_path.iterdir()] == [name]
