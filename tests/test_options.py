"""Options are declared once: editors, `help` and checks of a function agree with its option model."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from scbasset_zoo import plugin_manager
from scbasset_zoo.errors import InputError
from scbasset_zoo.options import Options, checked_options
from scbasset_zoo.running.predicting import predict
from scbasset_zoo.runtime.model import Model
from scbasset_zoo.runtime.options import PredictKeywords, PredictOptions
from scbasset_zoo.runtime.output import write_predictions
from scbasset_zoo.simulation.options import SimulateKeywords, SimulateOptions
from scbasset_zoo.simulation.simulate import simulate
from scbasset_zoo.training.preparation import prepare
from scbasset_zoo.training.prepare_options import PrepareKeywords, PrepareOptions
from scbasset_zoo.training.train_options import TrainingKeywords, TrainingOptions
from scbasset_zoo.training.trainer import train
from scbasset_zoo.wording import command_line

# Each function with `**options`, the model that checks them, and the TypedDict that editors read.
FUNCTIONS = [
    (simulate, SimulateOptions, SimulateKeywords),
    (prepare, PrepareOptions, PrepareKeywords),
    (train, TrainingOptions, TrainingKeywords),
    (Model.predict, PredictOptions, PredictKeywords),
    (write_predictions, PredictOptions, PredictKeywords),
    (predict, PredictOptions, PredictKeywords),
]
each_function = pytest.mark.parametrize(("function", "model", "keywords"), FUNCTIONS, ids=lambda value: value.__qualname__)


@each_function
def test_editors_see_the_options_of_the_model(function, model, keywords):
    assert list(keywords.__annotations__) == list(model.model_fields)
    assert not keywords.__required_keys__


@each_function
def test_the_signature_shows_every_option_with_its_default(function, model, keywords):
    parameters = inspect.signature(function).parameters
    for name, field in model.model_fields.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        expected = inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
        assert parameters[name].default == expected
    assert not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


@each_function
def test_the_docstring_describes_every_option(function, model, keywords):
    for name, field in model.model_fields.items():
        assert field.description
        assert f"\n{name} : " in function.__doc__
        assert field.description in function.__doc__
    assert "**options" not in function.__doc__


def test_a_method_of_an_object_shows_its_options_too():
    parameters = list(inspect.signature(Model.__new__(Model).predict).parameters)
    assert parameters[:2] == ["peaks", "genome"]
    assert parameters[2:] == list(PredictOptions.model_fields)


def test_all_wrong_options_are_in_one_message():
    with pytest.raises(InputError) as caught:
        checked_options("predict", PredictOptions, {"groupby": "cell_type", "batch_size": 0})
    assert "group_by" in str(caught.value)
    assert "groupby is not an option; did you mean group_by?" in str(caught.value)
    assert "batch_size: " in str(caught.value)


def test_an_earlier_name_is_accepted_with_a_line(capsys):
    assert checked_options("train", TrainingOptions, {"bottleneck": 8}).embedding_size == 8
    assert "bottleneck is now embedding_size; the next release will not accept bottleneck." in capsys.readouterr().err
    with pytest.raises(InputError, match="bottleneck is the earlier name of embedding_size. Give one of them."):
        checked_options("train", TrainingOptions, {"bottleneck": 8, "embedding_size": 8})


def test_earlier_names_are_those_of_options_that_exist():
    models = [SimulateOptions, TrainingOptions, *(kind.Options for kind in plugin_manager.analyses().as_dict().values())]
    assert sum(bool(model.earlier_names) for model in models) == 7  # two functions and the five built-in analyses
    for model in models:
        assert set(model.earlier_names.values()) <= set(model.model_fields)
        assert not set(model.earlier_names) & set(model.model_fields)


def test_messages_name_options_as_the_caller_writes_them(tmp_path):
    options = {"min_cell_fraction": 2, "validation_chrom": "chr1"}

    def message():
        with pytest.raises(InputError) as caught:
            prepare("matrix.h5ad", genome="genome.fa", assembly="hg19", out=tmp_path / "out", **options)
        return str(caught.value)

    in_python = message()
    with command_line():
        on_command_line = message()
    assert "min_cell_fraction: " in in_python
    assert "did you mean validation_chroms?" in in_python
    assert "--" not in in_python
    assert "--min-cell-fraction: " in on_command_line
    assert "did you mean --validation-chroms?" in on_command_line
    assert "_" not in on_command_line


def test_options_that_exclude_each_other_are_named_as_the_caller_writes_them():
    with command_line(), pytest.raises(InputError, match="--test-chroms or --split-column"):
        checked_options("prepare", PrepareOptions, {"test_chroms": "chr1", "split_column": "fold"})
    with pytest.raises(InputError, match="test_chroms or split_column"):
        checked_options("prepare", PrepareOptions, {"test_chroms": "chr1", "split_column": "fold"})


class Numbers(Options):
    whole: int = 1
    real: float = 1.0
    perhaps: int | None = None
    switch: bool = False
    either: int | bool = 1


@pytest.mark.parametrize("name", ["whole", "real", "perhaps"])
@pytest.mark.parametrize("value", [True, False, np.True_, np.bool_(False), np.array(True)])
def test_truth_values_are_no_numbers(name, value):
    with pytest.raises(InputError, match=f"{name}: must be a number; found"):
        checked_options("f", Numbers, {name: value})


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.int32])
def test_whole_numbers_of_numpy_are_numbers(kind):
    options = checked_options("f", Numbers, {"whole": kind(3), "real": kind(3), "perhaps": kind(3)})
    assert (options.whole, options.real, options.perhaps) == (3, 3.0, 3)
    assert type(options.whole) is int


def test_truth_values_are_truth_values():
    options = checked_options("f", Numbers, {"switch": np.True_, "either": True})
    assert options.switch is True
    assert options.either is True


def test_a_number_of_thousands_of_digits_is_an_error_in_words():
    with pytest.raises(InputError, match="found a number of too many digits"):
        checked_options("predict", PredictOptions, {"batch_size": -(10**5000)})


def test_a_path_is_taken_where_a_file_or_a_name_is_expected():
    class Named(Options):
        source: str | None = None
        path: Path | None = None

    assert Named(source=Path("a") / "b.meme").source == str(Path("a") / "b.meme")
    assert Named(path=Path("c")).path == Path("c")
