"""A wrong value of any option is described in plain words that name the option, never in those of the library that checks it."""

import re
import typing

import pytest
from helpers import toy
from typer.testing import CliRunner

from scbasset_zoo import plugin_manager
from scbasset_zoo.cli.main import app
from scbasset_zoo.errors import InputError
from scbasset_zoo.options import checked_options
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.simulation.options import SimulateOptions
from scbasset_zoo.training.prepare_options import PrepareOptions
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.wording import command_line, option

BAD_VALUES = ["nonsense", "", -(10**9), 10**12, 0.5, float("nan"), True, [], ["x", 3], {"a": 1}, object()]
LIBRARY_WORDS = re.compile(
    r"input should|should (be|have|match)|unable to|pydantic|instance of|after validation|type=|"
    r"valid (integer|float|number|string|list|bool)",
    re.I,
)


def option_models():
    own = {"predict": PredictOptions, "prepare": PrepareOptions, "train": TrainingOptions, "simulate": SimulateOptions}
    registered = {
        kind.name: kind.Options
        for registry in (plugin_manager.analyses, plugin_manager.importers)
        for kind in registry().as_dict().values()
    }
    return own | registered


@pytest.mark.parametrize(("name", "model"), option_models().items())
def test_no_message_has_words_of_the_library(name, model):
    n_refused = 0
    with command_line():
        for field in model.model_fields:
            for value in BAD_VALUES:
                try:
                    checked_options(name, model, {field: value})
                except InputError as error:
                    message = next((line for line in str(error).splitlines() if option(field) in line), str(error))
                    assert not LIBRARY_WORDS.search(message), message
                    n_refused += option(field) in message
    assert n_refused > len(model.model_fields)


def commands():
    """Return the words of each command whose options come from a model, with all that it requires, and the model."""
    yield ["simulate", "out"], SimulateOptions
    yield ["prepare", "m.h5ad", "--genome", "g.fa", "--assembly", "toy", "--out", "out"], PrepareOptions
    yield ["train", "prepared", "--out", "out"], TrainingOptions
    yield ["predict", "toy", "--genome", "toy.fa", "--peaks", "toy.bed", "--out", "p.h5ad", "--device", "cpu"], PredictOptions
    for group, registry in (("run", plugin_manager.analyses), ("import", plugin_manager.importers)):
        for kind in registry().as_dict().values():
            yield [group, kind.name, "toy", "--out", "out.h5ad"], kind.Options


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    toy.toy_package(folder / "toy")
    toy.toy_genome(folder / "toy.fa")
    (folder / "toy.bed").write_text("chr1\t100\t600\n")
    return folder


@pytest.mark.parametrize(("words", "model"), commands(), ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "")
@pytest.mark.parametrize("value", ["nonsense", "-1000000000"])
def test_no_command_answers_in_words_of_the_library(words, model, value, folder, monkeypatch):
    monkeypatch.chdir(folder)
    for name in [*model.model_fields, *model.earlier_names]:
        field = model.model_fields[model.earlier_names.get(name, name)]
        kinds = {field.annotation, *typing.get_args(field.annotation)}
        if bool in kinds:
            continue
        flag = "--" + name.replace("_", "-")
        done = CliRunner().invoke(app, [*words, flag, value])
        message = f"{done.stderr} {done.exception}"
        assert done.exit_code != 0
        assert not LIBRARY_WORDS.search(message), message
        if kinds & {int, float} or typing.get_origin(field.annotation) is typing.Literal:
            assert flag in message or name in model.earlier_names, message
            assert value in message, message
    assert {path.name for path in folder.iterdir()} <= {"toy", "toy.fa", "toy.fa.fai", "toy.bed"}
