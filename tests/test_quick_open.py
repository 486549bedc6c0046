"""Opening a model for one sequence stays quick: what it imports and computes is bounded."""

import resource
import subprocess
import sys

import pytest
import toy

CODE = """
import sys
import scbasset_zoo as sz
model = sz.open_model(sys.argv[1])
print(model.accessibility("ACGT" * 336).shape)
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
HEAVY = {"pandas", "pyarrow", "anndata", "h5py", "zarr", "sklearn", "tensorflow", "kipoi", "scanpy", "matplotlib", "rich", "typer"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("packages") / "toy", n_cells=2_034).folder


def test_one_sequence_needs_no_table_and_little_time(folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", CODE, str(folder)], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shape, modules = done.stdout.splitlines()
    assert shape == "(1, 2034)"
    assert not HEAVY.intersection(modules.split())
    # Processor seconds, since other work on the machine stretches the clock's: 0.7 when this was written.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.5
