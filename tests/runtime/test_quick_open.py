"""A model opens quickly: importing, opening and predicting one sequence take little processor time."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import toy

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


def processor_seconds(command):
    """Processor time of a whole process, in seconds, and its output. Unlike wall time, other work hardly lengthens it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def import_seconds(modules):
    """Processor time of a process that only imports modules: the shortest of three."""
    return min(processor_seconds([sys.executable, "-c", f"import {modules}"])[0] for _ in range(3))


def test_one_sequence_needs_no_table(folder):
    seconds, output = processor_seconds([sys.executable, "-c", CODE, folder])
    shape, modules = output.splitlines()
    assert shape == "(1, 2034)"
    assert not HEAVY.intersection(modules.split())
    # The rest is opening the session: a bound in seconds would depend on the machine.
    assert seconds < 4 * import_seconds("numpy, onnx, onnxruntime, pydantic")


def test_predicting_one_sequence_on_the_command_line_takes_little_time(folder, tmp_path):
    (tmp_path / "one.fa").write_text(">one\n" + "ACGT" * 336 + "\n")
    program = Path(sys.executable).with_name("scbasset-zoo")
    command = [program, "predict", folder, "--sequences", tmp_path / "one.fa"]
    seconds = [processor_seconds([*command, "--out", tmp_path / f"{i}.parquet"])[0] for i in range(3)]
    assert (tmp_path / "0.parquet").is_file()
    assert min(seconds) < 3.5 * import_seconds("numpy, onnx, onnxruntime, pandas, pyarrow.parquet, pydantic, typer")
