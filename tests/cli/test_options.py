"""Options of a command are made from the fields of a pydantic model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from scbasset_zoo.cli.options import Threads, earlier_names, from_model
from scbasset_zoo.errors import InputError
from scbasset_zoo.options import Options


class ExampleOptions(Options):
    earlier_names = {"label": "column", "names": "groups"}

    genome: Path | str = Field(description="FASTA of the assembly.")
    kind: Literal["one", "two"] | None = Field(None, description="Which.")
    numbers: Sequence[int] | None = Field(None, description="Some numbers.")
    flag: bool = Field(True, description="On or off.")
    cells: Sequence[str | int] | None = Field(None, description="Which cells.")
    groups: list[str] | None = Field(None, description="Which groups.")
    models: list[Any] | None = Field(None, description="Names or open models.")
    column: str | None = Field(None, description="A column.")
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
    shown = " ".join(run("--help")[0].stdout.split())
    for words in ("Do something.", "FASTA of the assembly. [required]", "one|two", "--no-flag", "[default: true]"):
        assert words in shown
    for absent in ("--fasta", "--label", "--names", "--array"):
        assert absent not in shown
    assert "Some numbers. Repeat the option for several." in shown
    assert "Which groups. Separate several by commas, or repeat the option." in shown
    assert "Which cells. Separate several by commas, repeat the option, or give a file with one on each line." in shown


def test_an_earlier_name_is_accepted_in_place_of_the_new_one():
    done, received = run("--fasta", "a.fa")
    assert received == {"genome": Path("a.fa")}
    assert "fasta is now genome; the next release will not accept fasta." in done.stderr
    done, received = run("--fasta", "a.fa", "--genome", "b.fa")
    assert received == {}
    with pytest.raises(InputError, match="fasta is the earlier name of genome. Give one of them."):
        raise done.exception


def test_a_model_of_options_has_its_earlier_names_too():
    done, received = run("--label", "cell_type", "--names", "A,B", "--names", "C")
    assert received == {"column": "cell_type", "groups": ["A", "B", "C"]}
    for line in ("label is now column; the next release will not accept label.", "names is now groups;"):
        assert line in done.stderr
    with pytest.raises(InputError, match="label is the earlier name of column. Give one of them."):
        raise run("--label", "a", "--column", "b")[0].exception


def test_cells_are_repeated_separated_by_commas_or_in_a_file(tmp_path):
    (tmp_path / "some.txt").write_text("c\nd\n")
    for arguments in (
        ["--cells", "a,b", "--cells", tmp_path / "some.txt"],
        ["--cells", "a", "--cells", "b", "--cells", "c, d,"],
    ):
        done, received = run(*arguments)
        assert done.exit_code == 0, done.output
        assert received == {"cells": ["a", "b", "c", "d"]}


@pytest.mark.parametrize("name", ["groups", "models"])
def test_other_names_are_repeated_or_separated_by_commas_and_never_a_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("HSC").write_text("another name\n")
    done, received = run(f"--{name}", 'HSC, "T cell, naive"', f"--{name}", "chr1:1,000-2,000,B")
    assert done.exit_code == 0, done.output
    assert received == {name: ["HSC", "T cell, naive", "chr1:1,000-2,000", "B"]}


@pytest.mark.parametrize("name", ["cells", "groups", "models"])
def test_a_list_without_a_name_is_refused(name, tmp_path):
    (tmp_path / "empty").write_text("\n")
    for text in ("", " , ", *([tmp_path / "empty"] if name == "cells" else [])):
        with pytest.raises(InputError, match=f"{name} is given without a name"):
            raise run(f"--{name}", text)[0].exception


def test_a_text_that_is_no_number_is_a_usage_error_in_plain_words():
    class Numbers(Options):
        whole: int = 1
        real: float | None = None

    @from_model(Numbers)
    def command(threads: Threads = None, **options: Any) -> None:
        received.update(options)

    app = typer.Typer(rich_markup_mode=None)
    app.command()(command)
    received: dict[str, Any] = {}
    assert CliRunner().invoke(app, ["--whole", "-3", "--real", "1e-3"]).exit_code == 0
    assert received == {"whole": -3, "real": 1e-3}
    for arguments, message in (
        (["--whole", "many"], "Invalid value for '--whole': must be a whole number; found 'many'."),
        (["--whole", "1.5"], "Invalid value for '--whole': must be a whole number; found '1.5'."),
        (["--real", "a,5"], "Invalid value for '--real': must be a number; found 'a,5'."),
        (["--threads", "all"], "Invalid value for '--threads': must be a whole number; found 'all'."),
        (["--threads", "0"], "Invalid value for '--threads': must be a whole number from 1 to 4096; found 0."),
    ):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2
        assert message in done.stderr


def test_a_choice_that_does_not_exist_is_a_usage_error():
    done, _ = run("--kind", "three")
    assert done.exit_code == 2
    assert "'three'" in done.stderr
