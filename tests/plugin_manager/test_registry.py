"""A registry returns what plugins register by name, and refuses names that are registered twice."""

import pytest

from scbasset_zoo.errors import InputError, PluginError
from scbasset_zoo.plugin_manager.plugin import Plugin
from scbasset_zoo.plugin_manager.registry import Entry, Registry

ONE, TWO, THREE = (Plugin(name, f"zoo-{name} 1.0") for name in ("one", "two", "three"))


def test_names_are_in_the_order_of_the_plugins():
    registry = Registry("analysis", [Entry(TWO, "b", 2), Entry(ONE, "a", 1)])
    assert registry.names() == ["b", "a"]
    assert registry.as_dict() == {"b": 2, "a": 1}
    assert registry.get("a") == 1
    assert registry.clashes == {}


def test_a_name_of_several_plugins_belongs_to_none_of_them():
    registry = Registry("analysis", [Entry(ONE, "a", 1), Entry(TWO, "a", 2), Entry(THREE, "a", 3), Entry(TWO, "b", 4)])
    assert registry.names() == ["b"]
    assert registry.as_dict() == {"b": 4}
    message = (
        "Several plugins register the analysis 'a': plugin one of zoo-one 1.0 and plugin two of zoo-two 1.0 and plugin three of "
        "zoo-three 1.0. Uninstall all but one, or choose with SCBASSET_ZOO_PLUGINS=NAME,NAME."
    )
    for _ in range(2):
        with pytest.raises(PluginError) as raised:
            registry.get("a")
        assert str(raised.value) == message == registry.clashes["a"]


def test_a_plugin_that_registers_a_name_twice_is_named():
    registry = Registry("importer", [Entry(ONE, "a", 1), Entry(ONE, "a", 2)])
    with pytest.raises(PluginError, match="^plugin one of zoo-one 1.0 registers the importer 'a' twice.$"):
        registry.get("a")


def test_an_unknown_name_is_an_error_that_suggests_a_similar_one_and_lists_all():
    registry = Registry("analysis", [Entry(ONE, "embedding", 1), Entry(ONE, "denoise", 2)])
    with pytest.raises(InputError) as raised:
        registry.get("embeding")
    expected = "There is no analysis 'embeding'. Did you mean 'embedding'? Installed are denoise, embedding."
    assert str(raised.value) == expected
    with pytest.raises(InputError, match="^There is no zoo source 'x'. Installed are none.$"):
        Registry("zoo source", []).get("x")
