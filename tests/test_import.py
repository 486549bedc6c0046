"""Importing the package is quick and brings nothing heavy; its lazy names all lead somewhere."""

import json
import subprocess
import sys
from statistics import median

import pytest

import scbasset_zoo

HEAVY = ("tensorflow", "keras", "kipoi", "scanpy", "matplotlib", "onnxruntime", "onnx", "sklearn")


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


def test_importing_brings_nothing_heavy():
    loaded = json.loads(python("import sys, json, scbasset_zoo; print(json.dumps(sorted(sys.modules)))"))
    assert not set(HEAVY) & set(loaded)


def test_importing_takes_less_time_than_importing_numpy():
    code = (
        "from time import perf_counter as clock\nstart = clock()\nimport numpy\nmiddle = clock()\nimport scbasset_zoo\n"
        "print((clock() - middle) / (middle - start))"
    )
    assert median(float(python(code)) for _ in range(3)) < 1


def test_the_help_of_the_command_line_needs_nothing_heavy():
    code = (
        "import sys\nfrom scbasset_zoo.cli.main import app\nfrom typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['train', '--help']).exit_code == 0\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert python(code).strip() == "[]"


NAMES = sorted(set(scbasset_zoo.__all__) - {"__version__", "kipoi"})
# Each name is read first in a process of its own, which has imported other libraries only, because this is what takes time.
READ_NAMES = """
import os, sys
import anndata, numpy, onnx, onnxruntime, pandas, pydantic, scipy.sparse
import scbasset_zoo

def read(name):
    value = getattr(scbasset_zoo, name)
    assert value is getattr(scbasset_zoo, name) and callable(value), value

assert not [module for module in sys.modules if module.startswith("scbasset_zoo.") and module != "scbasset_zoo.version"]
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        try:
            read(name)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print(name, flush=True)
"""


def test_public_names_are_callables_or_errors():
    assert python(READ_NAMES, *NAMES).splitlines() == NAMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scbasset_zoo.nonsense
