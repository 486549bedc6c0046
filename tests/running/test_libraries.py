"""Analyses run and look the same whatever the user's home, environment and settings of matplotlib are."""

import os
import subprocess
import sys

import pytest


def run(package, folder, **variables):
    command = ("run", "embedding", package, "--group-by", "cell_type", "--plot", folder / "plots", "--out", folder / "out.h5ad")
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "scbasset_zoo", *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


@pytest.fixture(scope="module")
def expected(planted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    ran = run(planted[1], folder)
    assert ran.returncode == 0, ran.stderr
    return {path.name: path.read_bytes() for path in (folder / "plots").glob("*.png")}


@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "nonsense"},
        {"MPLBACKEND": "TkAgg", "DISPLAY": ""},
        {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"},
    ],
    ids=["no backend", "a backend for windows", "no home"],
)
def test_the_environment_does_not_change_results_or_figures(variables, planted, expected, tmp_path):
    # Settings of the user that change how figures look, and that need LaTeX.
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: red\nfont.size: 30\n")
    ran = run(planted[1], tmp_path, MATPLOTLIBRC=tmp_path / "matplotlibrc", **variables)
    assert ran.returncode == 0, ran.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "plots").glob("*.png")} == expected
    assert {path.name for path in tmp_path.iterdir()} == {"matplotlibrc", "plots", "out.h5ad"}
