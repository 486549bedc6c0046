"""What plugins of this process register is returned by name; a plugin that fails is reported and does not stop the others."""

import types

import pytest
from scbasset_zoo_export.calico import Calico

import scbasset_zoo
from scbasset_zoo import EmbeddingMetric, IntegrationMethod, hookimpl, plugin_manager
from scbasset_zoo.errors import PluginError


@pytest.fixture
def in_process():
    """Function (name, **functions): register a plugin of these hook implementations in this process until the test is over."""
    names = []

    def register(name, **functions):
        module = types.ModuleType(name)
        vars(module).update({hook: hookimpl(function) for hook, function in functions.items()})
        plugin_manager.register(module, name)
        names.append(name)

    yield register
    for name in names:
        plugin_manager.unregister(name)


def test_register_analyses_gives_analyses_by_name(in_process):
    from scbasset_zoo.extend.analysis import Analysis

    class Mine(Analysis):
        name = "mine"

        def run(self, model, inputs, options, context):
            return None

    in_process("mine", register_analyses=lambda: [Mine])
    assert plugin_manager.analyses().get("mine") is Mine
    assert plugin_manager.distribution_of(Mine) == "this process"


def test_register_embedding_metrics_gives_metrics_by_name(in_process):
    class Mine(EmbeddingMetric):
        name = "mine"

        def score(self, cells):
            return {"mine": 1.0}

    in_process("mine", register_embedding_metrics=lambda: [Mine])
    assert plugin_manager.embedding_metrics().get("mine") is Mine


def test_register_integration_methods_gives_methods_by_name(in_process):
    class Mine(IntegrationMethod):
        name = "mine"

        def integrate(self, embedding, batches, *, seed):
            return embedding

    in_process("mine", register_integration_methods=lambda: [Mine])
    assert plugin_manager.integration_methods().get("mine") is Mine


def test_register_motif_collections_gives_functions_by_name_that_are_not_called(in_process, capsys):
    in_process("mine", register_motif_collections=lambda: {"mine": lambda: 1 / 0})
    in_process("bad", register_motif_collections=lambda: {"bad": [[1, 0, 0, 0]]})
    assert callable(plugin_manager.motif_collections().get("mine"))
    assert "bad" not in plugin_manager.motif_collections().names()
    assert "register_motif_collections must return functions by name" in capsys.readouterr().err


def test_the_built_in_importer_belongs_to_the_distribution_of_the_project():
    assert plugin_manager.importers().get("calico") is Calico
    assert plugin_manager.distribution_of(Calico) == f"scbasset-zoo {scbasset_zoo.__version__}"


def test_the_same_name_twice_in_this_process_is_refused(in_process):
    in_process("one", register_zoo_sources=lambda: {"a": "/a"})
    with pytest.raises(PluginError, match="plugin one of this process has the same name"):
        in_process("one", register_zoo_sources=lambda: {"b": "/b"})
    in_process("two", register_zoo_sources=lambda: {"a": "/b"})
    in_process("three", register_zoo_sources=lambda: {"c": "/c"})
    sources = plugin_manager.zoo_sources()
    assert "c" in sources.names()
    assert "a" not in sources.names()
    with pytest.raises(PluginError, match="zoo source 'a': plugin one of this process and plugin two of this process"):
        sources.get("a")


def test_a_name_that_two_plugins_register_is_an_error_when_it_is_used_and_the_other_names_work(in_process, capsys):
    class Depth(scbasset_zoo.Analysis):
        name = "depth"

        def run(self, model, inputs, options, context):
            return None

    in_process("one", register_analyses=lambda: [Depth])
    in_process("two", register_analyses=lambda: [type("Again", (Depth,), {})])
    analyses = plugin_manager.analyses()
    assert "embedding" in analyses.names()
    assert "depth" not in analyses.names()
    both = "the analysis 'depth': plugin one of this process and plugin two of this process"
    for use in (lambda: analyses.get("depth"), lambda: scbasset_zoo.run("depth", "no model")):
        with pytest.raises(PluginError, match=both):
            use()
    assert any(both in problem for problem in plugin_manager.check())
    assert capsys.readouterr().err.count(both) == 1


def test_the_names_that_a_plugin_registers_are_listed_with_it(in_process):
    class Mine(EmbeddingMetric):
        name = "mine"

        def score(self, cells):
            return {"mine": 1.0}

    in_process("good", register_embedding_metrics=lambda: [Mine], register_zoo_sources=lambda: {"a": "/a", "b": "/b"})
    listed = {plugin.name: plugin for plugin in plugin_manager.plugins()}
    assert listed["good"].registered == {"embedding metrics": ("mine",), "zoo sources": ("a", "b")}
    assert "ism" in listed["analyses"].registered["analyses"]


def test_a_class_that_breaks_the_contract_is_reported_and_the_others_work(in_process):
    class Old(scbasset_zoo.Analysis):
        name = "old"

        def run(self, model, options, context):
            return None

    class Good(Old):
        name = "good"

        def run(self, model, inputs, options, context):
            return None

    in_process("mine", register_analyses=lambda: [Old, Good])
    assert plugin_manager.analyses().get("good") is Good
    assert "old" not in plugin_manager.analyses().names()
    problems = next(plugin.problems for plugin in plugin_manager.plugins() if plugin.name == "mine")
    assert problems == ("register_analyses: Old.run must take (model, inputs, options, context); found (model, options, context)",)


def test_a_collection_that_fails_is_named_with_its_plugin(in_process):
    in_process("broken", register_motif_collections=lambda: {"broken": lambda: 1 / 0})
    read = plugin_manager.motif_collections().get("broken")
    with pytest.raises(PluginError, match="motif collection 'broken' of plugin broken of this process failed: ZeroDivisionError"):
        read()


def test_a_refused_plugin_leaves_nothing_behind():
    before = plugin_manager.plugins(), plugin_manager.importers().as_dict()
    wrong = types.ModuleType("wrong")
    wrong.register_importers = hookimpl(lambda extra: [])
    with pytest.raises(PluginError, match="extra"):
        plugin_manager.register(wrong, "wrong")
    assert (plugin_manager.plugins(), plugin_manager.importers().as_dict()) == before


@pytest.mark.parametrize("hook", plugin_manager.HOOKS)
def test_a_hook_that_fails_is_a_problem_of_its_plugin_and_of_no_other(in_process, capsys, hook):
    in_process("bad", **{hook: lambda: 1 / 0})
    in_process("good", **{hook: lambda: None})
    assert plugin_manager.check() == []
    problems = {plugin.name: plugin.problems for plugin in plugin_manager.plugins()}
    assert problems["bad"] == (f"{hook} failed: ZeroDivisionError: division by zero",)
    assert problems["good"] == problems["export"] == ()
    message = f"plugin bad of this process: {hook} failed: ZeroDivisionError: division by zero; it is left out."
    assert capsys.readouterr().err.count(message) == 1


def test_sources_come_in_the_order_of_the_plugins(in_process):
    for name in "cab":
        in_process(name, register_zoo_sources=lambda name=name: {name: "/"})
    assert plugin_manager.zoo_sources().names() == list("cab")
