"""kill -9 while a package is made: the package is whole or absent, and leftovers are hidden and do no damage."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import toy
from helpers.tiny_fits import TINY

import scbasset_zoo as sz
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.verifying import verify_package

pytestmark = pytest.mark.slow
WRITE = """
import sys
sys.path.insert(0, sys.argv[1])
from helpers import toy
for number in range(1_000):
    toy.toy_package(f"{sys.argv[2]}/package-{number}", n_cells=2_000)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    simulation = sz.simulate(folder / "simulated", n_cells=40, n_peaks=240, n_types=3, density=0.2, quiet=True)
    prepared = sz.prepare(
        simulation.matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", split="70/15/15", quiet=True
    )
    return sz.train(prepared.folder, out=folder / "run", epochs=1, **TINY).folder


def start(*command):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_when(process, folder, delay, *, writing):
    """Kill a process some time after its start, or after it begins to write."""
    while writing and process.poll() is None and not any(folder.glob(".partial-*")):
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def check(folder):
    """Check that all visible folders are whole packages; return their number, and the number of leftovers."""
    names = os.listdir(folder)
    visible = [name for name in names if not name.startswith(".")]
    for name in visible:
        assert verify_package(folder / name) == []
    assert all(name.startswith(".partial-") or name.endswith(".lock") for name in names if name not in visible)
    return len(visible), len(names) - len(visible)


def test_a_killed_export_leaves_a_whole_package_or_none(run, tmp_path):
    """18 kills: six anywhere, twelve while files are being written."""
    rng = np.random.default_rng(0)
    killed, left = 0, 0
    for number in range(18):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start(sys.executable, "-m", "scbasset_zoo.cli.main", "export", str(run), "--out", str(folder / "package"))
        writing = number >= 6
        killed += kill_when(process, folder, rng.uniform(0, 0.15 if writing else 8.0), writing=writing)
        left += check(folder)[1]
    assert killed >= 15
    assert left >= 3
    package = sz.export(run, out=folder / "package", overwrite=True)
    assert package.verify() == []


def test_a_killed_writer_leaves_whole_packages_only_and_its_leftovers_do_not_matter(tmp_path):
    rng = np.random.default_rng(1)
    tests = str(Path(__file__).parents[1])
    whole, left = 0, 0
    for number in range(15):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start(sys.executable, "-c", WRITE, tests, str(folder))
        assert kill_when(process, folder, rng.uniform(0, 1.0), writing=True)
        n_whole, n_leftovers = check(folder)
        whole, left = whole + n_whole, left + n_leftovers
    assert whole >= 1
    assert left >= 1
    again = toy.toy_package(folder / f"package-{n_whole}", overwrite=True)
    assert Package.open(again.folder).verify() == []
