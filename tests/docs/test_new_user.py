"""What the README and the tutorials tell a new user to type works, in a fresh environment with the newest releases.

`make walk` runs this. The tests of the walk follow one another, as a reader does, and each needs those before it.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.shown import difference

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
MINUTES = 60
PROGRAMS = r"    (?:scbasset-zoo|pip|make|rm) "
# Of two builds of ONNX Runtime a user takes one. The build for the CPU is chosen here, which needs no GPU.
BUILD = {"[gpu]": "[cpu]"}
# What the commands of "Try it" would repeat: `make test` is all of these tests.
LEFT_OUT = ("make test",)
S3 = "s3://models/zoo"

# Prints, for each statement of a Python block, its last line and the repr of its value.
PRINT_EACH_VALUE = """
import ast, json, sys
names = {}
for node in ast.parse(sys.argv[1]).body:
    if isinstance(node, ast.Expr):
        value = eval(compile(ast.Expression(node.value), "README.md", "eval"), names)
    else:
        exec(compile(ast.Module([node], []), "README.md", "exec"), names)
        value = names.get(node.targets[0].id) if isinstance(node, ast.Assign) else None
    print(json.dumps([node.end_lineno, repr(value)]))
"""


def section(title):
    """Return the text of a section of the README."""
    return re.split(r"^## ", README.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def blocks(text):
    """Return the indented blocks, with lines that end in a backslash joined."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text.replace("\\\n", " "), flags=re.MULTILINE)
    return [block.strip("\n") for block in found if block.strip()]


def commands(text):
    """Return the commands of the indented blocks that begin with a program that the pages use."""
    return [line.strip() for block in blocks(text) if re.match(PROGRAMS, block) for line in block.split("\n")]


def shown(text):
    """Return the indented blocks that are no commands: what a program prints."""
    return [block for block in blocks(text) if not re.match(PROGRAMS, block)]


def installs():
    """Return the `pip install` commands of the README, with the build of ONNX Runtime for the CPU."""
    lines = commands(section("Install"))
    return [re.sub(r"\[gpu\]", lambda build: BUILD[build.group()], line) for line in lines]


def snippet():
    (code,) = re.findall(r"```python\n(.*?)```", section("A tour"), flags=re.DOTALL)
    return code


def values_shown(code):
    """Return the comments that show a value, by the last line of the statement."""
    lines, values = code.splitlines(), {}
    for node in ast.parse(code).body:
        _, _, comment = lines[node.end_lineno - 1][node.end_col_offset :].partition("#")
        below = []
        for line in lines[node.end_lineno :]:
            if not line.startswith("#"):
                break
            below.append(line.removeprefix("#"))
        # After a colon, a comment explains the value.
        if comment or below:
            values[node.end_lineno] = re.split(r": ", comment)[0] if comment else "\n".join(below)
    return values


def cells(text):
    """Return the code cells of a tutorial, without the hidden ones."""
    found = re.findall(r"^```\{code-cell\} python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [cell for cell in found if "remove-cell" not in cell]


class NewUser:
    """Somebody with a clone of the repository, a new virtual environment and an empty home."""

    def __init__(self, folder):
        self.clone, self.environment = folder / "clone", folder / "environment"
        self.home, self.tutorials = folder / "home", folder / "tutorials"
        self.home.mkdir()
        self.tutorials.mkdir()
        subprocess.run(["git", "clone", "--quiet", ROOT, self.clone], check=True)
        subprocess.run([sys.executable, "-m", "venv", self.environment], check=True)
        ours = ("PYTHONPATH", "PIP_CONSTRAINT", "MAKEFLAGS", "MAKELEVEL")
        ours += tuple(name for name in os.environ if name.startswith(("SCBASSET_ZOO", "PYTEST")))
        self.variables = {name: value for name, value in os.environ.items() if name not in ours} | {
            "PATH": f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.environment),
        }

    def type(self, command, folder=None, **variables):
        """Run what the user types, and return what is printed as an answer; messages go to another stream."""
        home = {} if "pip install" in str(command) else {"HOME": str(self.home)}
        done = subprocess.run(
            command,
            shell=isinstance(command, str),
            executable="/bin/bash" if isinstance(command, str) else None,
            cwd=folder or self.clone,
            env=self.variables | home | variables,
            capture_output=True,
            text=True,
            timeout=60 * MINUTES,
            check=False,
        )
        print(f"$ {command}\n{done.stdout}\n{done.stderr}")
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A new user who has typed the commands of "Install"."""
    user = NewUser(tmp_path_factory.mktemp("walk"))
    for command in installs():
        user.type(command)
    return user


def test_the_pages_have_what_a_new_user_types():
    assert [line.split()[1] for line in commands(section("Try it"))] == ["demo", "test"]
    assert [line.split("'")[1] for line in installs()] == [".[cpu]", ".[analyses]", ".[train]", ".[remote]"]
    assert [line.split()[1] for line in commands(section("A tour")) if line.startswith("scbasset-zoo")][:3] == [
        "simulate", "prepare", "train",
    ]  # fmt: skip
    assert [block.split()[:3] for block in shown(section("A tour"))] == [
        ["Results,", "compared", "with"],
        ["The", "model", "learnt"],
    ]
    assert len(values_shown(snippet())) == 3
    assert [len(cells(page.read_text())) > 3 for page in TUTORIALS] == [True, True, True]


def test_a_difference_between_what_is_shown_and_printed_is_named():
    text = "3 of 400 cells: 0.672 (66%), chrS1:451-951"
    assert difference(text, "before\n3 of 400\ncells: 0.65 (70%), chrS1:451-951 after") is None
    assert "not printed" in difference(text, "3 of 401 cells: 0.672 (66%), chrS1:451-951")
    assert "not printed" in difference(text, "3 of 400 cells: 0.672 (66%), chrS1:451-952")
    assert "0.672 is shown, and 0.5 was printed" in difference(text, "3 of 400 cells: 0.5 (66%), chrS1:451-951")
    assert "66 is shown, and 80 was printed" in difference(text, "3 of 400 cells: 0.672 (80%), chrS1:451-951")
    assert "not printed" in difference("(1, 4)", "(1, 4)\n(1, 5)", whole=True)


@pytest.mark.slow
def test_make_demo_ends_as_shown(user):
    # make finds the environment of this user in place of one of its own, which would have the pinned releases.
    (user.clone / ".venv").symlink_to(user.environment)
    (user.environment / "trains").touch()
    results, verdict = shown(section("A tour"))
    for command in commands(section("Try it")):
        if not command.startswith(LEFT_OUT):
            printed = user.type(command)
    assert difference(results, printed) is None
    assert difference(verdict, printed) is None


@pytest.mark.slow
def test_the_tour_prints_what_is_shown_and_writes_its_files(user):
    _, verdict = shown(section("A tour"))
    printed = {command.split()[1]: user.type(command) for command in commands(section("A tour"))}
    assert difference(verdict, printed["export"]) is None
    assert difference(verdict, user.type("scbasset-zoo info demo/model")) is None
    assert "The model learnt sequence" in printed["train"]
    for file in re.findall(r"(?:--out|--report) (demo/\S+)", section("A tour")):
        assert (user.clone / file).exists(), file


@pytest.mark.slow
def test_the_python_of_the_tour_gives_the_values_in_its_comments(user):
    printed = user.type([user.environment / "bin/python", "-c", PRINT_EACH_VALUE, snippet()])
    values = dict(json.loads(line) for line in printed.splitlines() if line.startswith("["))
    problems = [difference(value, values[line], whole=True) for line, value in values_shown(snippet()).items()]
    assert problems == [None] * len(problems)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs(user, page):
    """The commands before the first cell, the cells in Jupyter, and the commands after the last cell, with the files between."""
    text = page.read_text()
    before, *_, after = re.split(r"^```\{code-cell\}(?:.*\n)*?^```$", text, flags=re.MULTILINE)
    for command in commands(before):
        user.type(command, user.tutorials)
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {"cell_type": "code", "source": cell, "metadata": {}, "outputs": [], "execution_count": None}
            for cell in cells(text)
        ],
    }  # fmt: skip
    (user.tutorials / f"{page.stem}.ipynb").write_text(json.dumps(notebook))
    user.type(f"jupyter nbconvert --to notebook --execute --inplace {page.stem}.ipynb", user.tutorials)
    for project in re.findall(r"^```toml\n(.*?)^```$", after, flags=re.MULTILINE | re.DOTALL):
        (user.tutorials / "pyproject.toml").write_text(project)
    for command in commands(after):
        user.type(command, user.tutorials)


@pytest.mark.slow
def test_a_model_is_published_to_s3_and_opened_there(user):
    """`[remote]`, with an S3 server on localhost. There is no such server for hf://."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        variables = {
            "AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port()),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=variables["AWS_ENDPOINT_URL"], **keys).create_bucket(Bucket="models")
        user.type(f"scbasset-zoo publish demo/model {S3}", **variables)
        assert "scbasset/demo" in user.type(f"scbasset-zoo info {S3}/scbasset/demo/1.0.0", **variables)
    finally:
        server.stop()


@pytest.mark.slow
def test_the_kipoi_command_lists_the_zoo(user):
    """`[kipoi]` comes last, because it takes an older release of attrs."""
    user.type("pip install '.[kipoi]'")
    user.type("scbasset-zoo kipoi register --as-default")
    assert "scbasset/demo" in user.type("kipoi ls scbasset")
