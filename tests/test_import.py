"""Importing the package is quick and brings nothing heavy; its lazy names all lead somewhere."""

import json
import subprocess
import sys
from statistics import median

import pytest

import scbasset_zoo

HEAVY = ("tensorflow", "keras", "kipoi", "scanpy", "matplotlib", "onnxruntime", "onnx", "sklearn")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


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


@pytest.mark.parametrize("name", sorted(set(scbasset_zoo.__all__) - {"__version__", "kipoi"}))
def test_public_names_are_callables_or_errors(name):
    code = (
        "import scbasset_zoo\n"
        f"value = scbasset_zoo.{name}\n"
        f"again = scbasset_zoo.{name}\n"
        "assert value is again and callable(value), value\n"
    )
    python(code)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = scbasset_zoo.nonsense
