"""A wrong value of any option is described in plain words that name the option, never in those of the library that checks it."""

import re

import pytest

from scbasset_zoo import plugin_manager
from scbasset_zoo.errors import InputError
from scbasset_zoo.options import checked_options
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.simulation.options import SimulateOptions
from scbasset_zoo.training.prepare_options import PrepareOptions
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.wording import command_line, option

BAD_VALUES = ["nonsense", "", -(10**9), 10**12, 0.5, float("nan"), True, [], ["x", 3], {"a": 1}, object()]
LIBRARY_WORDS = re.compile(
    r"input should|unable to|pydantic|instance of|after validation|valid (integer|number|string|list|bool)", re.I
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
