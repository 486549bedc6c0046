"""A message describes what is wrong with a class that a plugin registers."""

import pytest

from scbasset_zoo import Analysis, EmbeddingMetric, Importer, IntegrationMethod
from scbasset_zoo.plugin_manager.contracts import contract_problem


class Good(Analysis):
    name = "good"

    def run(self, model, inputs, options, context):
        return None


class Renamed(Good):
    def run(self, a, b, c, d, extra=None):
        return None

    @staticmethod
    def open_inputs(*arguments):
        return None

    @classmethod
    def plot(cls, result):
        return {}


class GoodImporter(Importer):
    name = "good"

    def convert(self, source, options, **keywords):
        return None


def test_a_class_that_can_be_called_like_its_base_has_no_problem():
    assert contract_problem(Good, Analysis) == ""
    assert contract_problem(Renamed, Analysis) == ""
    assert contract_problem(GoodImporter, Importer) == ""


@pytest.mark.parametrize(
    ("base", "members", "problem"),
    [
        (Analysis, {"run": lambda self, model, options, context: None},
         "Mine.run must take (model, inputs, options, context); found (model, options, context)"),
        (Analysis, {"run": None}, "Mine.run is not a method"),
        (Analysis, {"run": Good.run, "open_inputs": lambda self, model: None},
         "Mine.open_inputs must take (model, options); found (model)"),
        (Analysis, {"run": Good.run, "plot": lambda self: {}}, "Mine.plot must take (result); found ()"),
        (Analysis, {"run": Good.run, "check": lambda self, model, options: None},
         "Mine defines check, which is never called: check and open the inputs in open_inputs(model, options)"),
        (Analysis, {}, "Mine does not define run"),
        (Analysis, {"run": Good.run, "name": ""}, "Mine has no name: set the class attribute `name`"),
        (Analysis, {"run": Good.run, "Options": dict}, "Mine.Options is not a pydantic model"),
        (Importer, {"convert": lambda self, source, options, *, out: None},
         "Mine.convert must take (source, options, *, out, about=None, overwrite=False); found (source, options, *, out)"),
        (EmbeddingMetric, {"score": lambda self: {}}, "Mine.score must take (cells); found ()"),
        (IntegrationMethod, {"integrate": lambda self, embedding, batches: embedding},
         "Mine.integrate must take (embedding, batches, *, seed); found (embedding, batches)"),
    ],
)  # fmt: skip
def test_a_class_that_breaks_its_contract_is_described(base, members, problem):
    kind = type("Mine", (base,), {"name": "mine"} | members)
    assert contract_problem(kind, base) == problem


def test_something_else_than_a_subclass_is_described():
    assert contract_problem(dict, Analysis) == "<class 'dict'> is not a subclass of scbasset_zoo.Analysis"
    assert contract_problem("a name", Importer) == "'a name' is not a subclass of scbasset_zoo.Importer"
