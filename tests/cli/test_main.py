"""The command line: messages name flags, also in tests and with `python -m`."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from scbasset_zoo.cli.main import app
from scbasset_zoo.version import __version__
from scbasset_zoo.wording import option


def test_messages_of_a_command_name_flags_and_other_messages_name_keywords(tmp_path):
    done = CliRunner().invoke(app, ["train", "data", "--out", str(tmp_path / "run"), "--batch-size", "0"])
    assert "--batch-size: " in str(done.exception)
    assert option("batch_size") == "batch_size"


def test_the_package_can_be_run_as_a_module():
    ran = subprocess.run([sys.executable, "-m", "scbasset_zoo", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == __version__


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", [["info", "scbasset/demo"], ["run", "motif-insertion", "--help"]])
def test_letters_that_the_terminal_lacks_are_replaced(encoding, command):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    ran = subprocess.run([sys.executable, "-m", "scbasset_zoo", *command], capture_output=True, env=environment, check=True)
    assert ran.stdout.decode(encoding)
