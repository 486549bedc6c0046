"""Standard output is for answers alone, whatever plugins, other languages and child processes print."""

import json
import os
import subprocess
import sys

import pytest

NOISE = """
import os, subprocess, sys
def make_noise(where):
    print("python", where)
    sys.stdout.write("write\\n")
    os.write(1, b"file 1\\n")
    subprocess.run(["echo", "child"])
"""
PLUGIN = (
    NOISE
    + """
import scbasset_zoo
from scbasset_zoo.extend.embedding import EmbeddingMetric
make_noise("at import")

class Loud(EmbeddingMetric):
    name = "loud"
    needs = frozenset()
    def score(self, cells):
        make_noise("at work")
        return {"loudness": 1.0}

@scbasset_zoo.hookimpl
def register_embedding_metrics():
    make_noise("in the hook")
    return [Loud]
"""
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables with which a loud plugin is installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "loud_plugin.py").write_text(PLUGIN)
    info = folder / "loud_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[scbasset_zoo]\nloud = loud_plugin\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


def run(environment, *arguments):
    command = [sys.executable, "-m", "scbasset_zoo", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True)


def test_json_is_all_that_reaches_standard_output(environment):
    ran = run(environment, "plugins", "--json")
    assert "loud" in {plugin["name"] for plugin in json.loads(ran.stdout)["plugins"]}
    for noise in ("python at import", "python in the hook", "write", "file 1", "child"):
        assert noise in ran.stderr.splitlines()


def test_the_answer_of_an_analysis_is_its_files(environment, planted, tmp_path):
    _, package = planted
    out = tmp_path / "out.h5ad"
    options = ("--group-by", "cell_type", "--no-umap")
    ran = run(environment, "run", "embedding", package, *options, "--out", out)
    assert ran.stdout.splitlines() == [f"{out}: embedding, 120 x 0"]
    assert "python at work" in ran.stderr


def test_help_is_an_answer(environment):
    assert "Usage" in run(environment, "predict", "--help").stdout


@pytest.mark.parametrize("command", [("list", "--json"), ("info", "scbasset/demo")])
def test_a_reader_that_stops_early_sees_no_traceback(environment, command):
    process = subprocess.Popen(
        [sys.executable, "-m", "scbasset_zoo", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.wait()
