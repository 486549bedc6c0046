"""A report shows the command or the call that made it, without options that have their defaults."""

import shlex
from pathlib import Path

import pytest
from pydantic import Field

from scbasset_zoo import Analysis
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.running.command import command_of
from scbasset_zoo.wording import command_line


class ManyOptions(Options):
    count: int
    names: list[str] = Field(default_factory=lambda: ["a"])
    pair: tuple[int, int] = (1, 2)
    table: Path | None = None
    folder: Path = Path("here")
    turned: bool = False
    umap: bool = True


class Many(Analysis):
    name = "many"
    Options = ManyOptions

    def run(self, model, inputs, options, context):
        raise NotImplementedError


def written(options, **destinations):
    return command_of(Many(), ManyOptions(**options).model_dump(mode="json"), destinations)


def test_defaults_are_left_out_and_required_options_are_not():
    assert written({"count": 3}, out=None) == "sz.run('many', MODEL, count=3)"
    with command_line():
        assert written({"count": 3}, out=None) == "scbasset-zoo run many MODEL --count 3"


def test_a_call_is_python_and_a_command_is_split_as_a_shell_does():
    options = {"count": 3, "names": ["T cell", "it's", "CD4, naive"], "table": Path("a b.h5ad"), "turned": True, "umap": False}
    call = written(options, out=Path("out.h5ad"))
    called = eval(call, {"sz": type("sz", (), {"run": staticmethod(lambda *_, **given: given)}), "MODEL": None})  # noqa: S307
    assert called == options | {"table": "a b.h5ad", "out": "out.h5ad"}
    with command_line():
        words = shlex.split(written(options, out=Path("$HOME.h5ad")))
    assert words[:4] == ["scbasset-zoo", "run", "many", "MODEL"]
    assert words[4:] == [
        *[
            "--count",
            "3",
            "--names",
            "T cell",
            "--names",
            "it's",
            "--names",
            '"CD4, naive"',
            "--table",
            "a b.h5ad",
            "--turned",
            "--no-umap",
        ],
        *["--out", "$HOME.h5ad"],
    ]


@pytest.mark.parametrize("name", ["pair", "folder", "table"])
def test_paths_and_tuples_are_compared_with_their_defaults(name):
    assert name not in written({"count": 1})


def test_several_models_have_a_placeholder_each():
    options = {"count": 3}
    given = ManyOptions(**options).model_dump(mode="json")
    assert command_of(Many(), given, {}, 2) == "sz.run('many', [MODEL_1, MODEL_2], count=3)"
    with command_line():
        assert command_of(Many(), given, {}, 3) == "scbasset-zoo run many MODEL_1 MODEL_2 MODEL_3 --count 3"
