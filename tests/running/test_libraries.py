"""Analyses run and look the same whatever the user's home, environment and settings of matplotlib are."""

import os
import subprocess
import sys

import pytest
from helpers import toy

ISM = ("ism", "--sequences", "one.fa", "--group-by", "cell_type", "--n-controls", "0", "--out", "out.nc")
EMBEDDING = ("embedding", "--group-by", "cell_type", "--out", "out.h5ad")


def plots(package, folder, analysis, **variables):
    """Run an analysis in an empty folder, and return its plots by file name."""
    (folder / "one.fa").write_text(f">one\n{toy.random_sequences(1)[0]}\n")
    name, *options = analysis
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    command = [sys.executable, "-m", "scbasset_zoo", "run", name, str(package), *options, "--plot", "plots"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in folder.iterdir()} - {"matplotlibrc"} == {"one.fa", "plots", options[-1]}
    return {path.name: path.read_bytes() for path in (folder / "plots").glob("*.png")}


@pytest.fixture(scope="module")
def package(planted):
    return planted[1]


@pytest.fixture
def settings(tmp_path):
    """Settings of the user that change how figures look, and that need LaTeX."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: red\nfont.size: 30\n")
    return tmp_path / "matplotlibrc"


NO_HOME = {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}


@pytest.fixture(scope="module")
def expected(package, tmp_path_factory):
    return plots(package, tmp_path_factory.mktemp("plain"), ISM)


@pytest.mark.parametrize(
    "variables",
    [{"MPLBACKEND": "nonsense"}, {"MPLBACKEND": "TkAgg", "DISPLAY": "", **NO_HOME}],
    ids=["no backend", "a backend for windows, and no home"],
)
def test_the_environment_does_not_change_figures(variables, package, expected, settings, tmp_path):
    assert len(expected) == 1
    assert plots(package, tmp_path, ISM, MATPLOTLIBRC=settings, **variables) == expected


def test_umap_needs_no_home_for_the_cache_of_numba(package, settings, tmp_path):
    found = plots(package, tmp_path, EMBEDDING, MATPLOTLIBRC=settings, MPLBACKEND="nonsense", **NO_HOME)
    assert set(found) == {"umap_labels.png", "umap_clusters.png", "umap_depth.png"}
