"""What the README tells a new user to type works as printed, in a fresh environment with the newest releases."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MINUTES = 60
# Of two builds of ONNX Runtime a user takes one.
LEFT_OUT = ("[gpu]", "[remote]")


def section(title):
    """Return the text of a section of the README."""
    return re.split(r"^## ", README.split(f"\n## {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def commands(text):
    """Return the commands of the indented blocks that begin with a program of ours, with lines that end in a backslash joined."""
    joined = text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if re.match(r"    (scbasset-zoo|pip|make) ", line)]


def without_comment(command):
    return shlex.join(shlex.split(command, comments=True))


def installs():
    """Return the `pip install` commands of the README, with the build of ONNX Runtime for the CPU."""
    lines = [without_comment(line) for line in commands(section("Install")) if line.startswith("pip install")]
    return ["pip install '.[cpu]'", *(line for line in lines if not any(extra in line for extra in LEFT_OUT))]


def snippets():
    return re.findall(r"```python\n(.*?)```", section("A tour"), flags=re.DOTALL)


def test_the_readme_has_what_a_new_user_types():
    assert [line.split()[1] for line in commands(section("A tour"))][:3] == ["simulate", "prepare", "train"]
    assert len(installs()) >= 3
    assert len(snippets()) == 1


@pytest.mark.slow
def test_the_readme_works_as_printed_in_a_fresh_environment(tmp_path):
    clone, environment = tmp_path / "clone", tmp_path / "environment"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_CONSTRAINT")}
    variables |= {
        "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(environment),
    }

    def run(command, **options):
        done = subprocess.run(
            command, cwd=clone, env=variables, capture_output=True, text=True, timeout=60 * MINUTES, check=False, **options
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    for command in [*installs(), *commands(section("A tour"))]:
        run(command, shell=True, executable="/bin/bash")
    code = snippets()[0]
    printed = run([environment / "bin/python", "-c", f"{code}\nprint(repr(model))\nprint(by_type.shape)"])
    assert "scbasset/demo 1.0.0, 400 cells" in printed
    for file in re.findall(r"(?:--out|--report) (demo/\S+)", section("A tour")):
        assert (clone / file).exists(), file
