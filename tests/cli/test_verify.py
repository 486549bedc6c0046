"""The commands verify and info on the command line."""

import json

from typer import Typer
from typer.testing import CliRunner

from scbasset_zoo.cli.info import info
from scbasset_zoo.cli.verify import verify


def command(function, *arguments):
    app = Typer()
    app.command()(function)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_verify_on_the_command_line(original, folder):
    done = command(verify, original)
    assert (done.exit_code, done.stdout) == (0, f"{original}: OK\n")
    assert json.loads(command(verify, original, "--json").stdout) == {"ok": True, "findings": []}
    (folder / "README.md").write_text("other")
    done = command(verify, folder)
    assert done.exit_code == 1
    assert "1 finding" in done.stdout
    assert "README.md: has 5 bytes" in done.stdout
    done = command(verify, folder, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"][0]["file"] == "README.md"


def test_info_shows_the_card(original):
    done = command(info, original)
    assert done.exit_code == 0
    for text in ("scbasset/toy", "CC0-1.0", "Predicts nothing."):
        assert text in done.stdout
