"""Simulating, preparing and training on a million cells takes less than 16 GiB of memory."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

GIB = 2**30
CODE = """
import json, resource, sys, time
import scbasset_zoo as sz
folder, step = sys.argv[1:]
start = time.monotonic()
if step == "simulate":
    sz.simulate(folder + "/simulated", n_cells=1_000_000, n_peaks=2_000, density=0.03, quiet=True)
elif step == "prepare":
    sz.prepare(folder + "/simulated/matrix.h5ad", genome=folder + "/simulated/genome.fa", assembly="simulated",
               out=folder + "/prepared", min_peaks_per_cell=1, quiet=True)
else:
    run = sz.train(folder + "/prepared", out=folder + "/run", epochs=1, quiet=True)
    assert run.status == "finished" and 0 < run.history["loss"].iloc[0] < 1
    assert len(sz.open_prepared(folder + "/prepared").cells) > 999_900
print(json.dumps({"seconds": time.monotonic() - start, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("million")


@pytest.mark.parametrize("step", ["simulate", "prepare", "train"])
def test_a_million_cells_and_two_thousand_peaks_take_less_than_16_gib(folder, step):
    done = subprocess.run([sys.executable, "-c", CODE, str(folder), step], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    used = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{step}: {used['seconds']:.0f} s, largest memory {used['bytes'] / GIB:.2f} GiB")
    assert used["bytes"] < 16 * GIB
