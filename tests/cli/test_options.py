"""Options of a command are made from the fields of a pydantic model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from scbasset_zoo.cli.options import earlier_names, from_model
from scbasset_zoo.errors import InputError
from scbasset_zoo.options import Options


class ExampleOptions(Options):
    genome: Path | str = Field(description="FASTA of the assembly.")
    kind: Literal["one", "two"] | None = Field(None, description="Which.")
    numbers: Sequence[int] | None = Field(None, description="Some numbers.")
    flag: bool = Field(True, description="On or off.")
    cells: Sequence[str | int] | None = Field(None, description="Which cells.")
    array: Any = Field(None, description="Not for the command line.")


def run(*arguments):
    """Run a command with these options; the result and the options that the command was called with."""
    received = {}

    @earlier_names({"fasta": "genome"})
    @from_model(ExampleOptions, without=("array",))
    def command(out: Annotated[Path, typer.Option(help="File.")] = Path("out"), **options: Any) -> None:
        """Do something."""
        received.update(options)

    app = typer.Typer(rich_markup_mode=None)
    app.command()(command)
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200", "TERM": "dumb"}), received


def test_only_options_that_are_given_reach_the_command():
    done, received = run()
    assert done.exit_code == 0, done.output
    assert received == {}
    done, received = run("--genome", "a.fa", "--kind", "two", "--numbers", 1, "--numbers", 2, "--no-flag")
    assert done.exit_code == 0, done.output
    assert received == {"genome": Path("a.fa"), "kind": "two", "numbers": [1, 2], "flag": False}


def test_the_help_shows_descriptions_defaults_and_choices_but_no_earlier_names():
    shown = run("--help")[0].stdout
    for words in ("Do something.", "FASTA of the assembly. [required]", "one|two", "--no-flag", "[default: true]"):
        assert words in shown
    assert "--fasta" not in shown
    assert "--array" not in shown


def test_an_earlier_name_is_accepted_in_place_of_the_new_one():
    done, received = run("--fasta", "a.fa")
    assert received == {"genome": Path("a.fa")}
    assert "fasta is now genome; the next release will not accept fasta." in done.stderr
    done, received = run("--fasta", "a.fa", "--genome", "b.fa")
    assert received == {}
    with pytest.raises(InputError, match="fasta is the earlier name of genome. Give one of them."):
        raise done.exception


def test_cells_are_repeated_separated_by_commas_or_in_a_file(tmp_path):
    (tmp_path / "some.txt").write_text("c\nd\n")
    for arguments in (
        ["--cells", "a,b", "--cells", tmp_path / "some.txt"],
        ["--cells", "a", "--cells", "b", "--cells", "c, d,"],
    ):
        done, received = run(*arguments)
        assert done.exit_code == 0, done.output
        assert received == {"cells": ["a", "b", "c", "d"]}


def test_a_choice_that_does_not_exist_is_a_usage_error():
    done, _ = run("--kind", "three")
    assert done.exit_code == 2
    assert "'three'" in done.stderr
