"""Checks that a registered class does what its hook requires."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from scbasset_zoo.extend.analysis import Analysis
from scbasset_zoo.extend.embedding import EmbeddingMetric, IntegrationMethod
from scbasset_zoo.extend.importer import Importer

# The class that each hook requires its classes to derive from.
BASES: dict[str, type] = {
    "register_analyses": Analysis,
    "register_importers": Importer,
    "register_embedding_metrics": EmbeddingMetric,
    "register_integration_methods": IntegrationMethod,
}


def contract_problem(kind: Any, base: type) -> str:
    """Return what is wrong with a class that a plugin registers; an empty string if nothing is.

    Parameters
    ----------
    kind : object
        What the plugin returned. It should be a subclass of `base`.
    base : type
        Analysis, Importer, EmbeddingMetric or IntegrationMethod.
    """
    if not _is_subclass(kind, base):
        return f"{kind!r} is not a subclass of scbasset_zoo.{base.__name__}"
    name = kind.__name__
    if not isinstance(getattr(kind, "name", None), str) or not kind.name:
        return f"{name} has no name: set the class attribute `name`"
    if not _is_subclass(getattr(kind, "Options", BaseModel), BaseModel):
        return f"{name}.Options is not a pydantic model"
    if inspect.isabstract(kind):
        return f"{name} does not define {', '.join(sorted(kind.__abstractmethods__))}"
    if base is Analysis and hasattr(kind, "check"):
        return f"{name} defines check, which is never called: check and open the inputs in open_inputs(model, options)"
    methods = [method for method, member in vars(base).items() if inspect.isfunction(member) and not method.startswith("_")]
    problems = (_signature_problem(kind, method, getattr(base, method)) for method in methods)
    return next(filter(None, problems), "")


def _signature_problem(kind: type, method: str, required: Callable[..., Any]) -> str:
    """Return what is wrong with a method that is not callable like the one of the base class; an empty string if nothing is."""
    implementation = getattr(kind, method)
    if not callable(implementation):
        return f"{kind.__name__}.{method} is not a method"
    # A static method or class method is called without the instance.
    on_instance = inspect.isfunction(inspect.getattr_static(kind, method))
    expected, signature = _parameters(required, drop_first=True), _parameters(implementation, drop_first=on_instance)
    by_name = [name for name, parameter in expected.parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    by_position = [name for name in expected.parameters if name not in by_name]
    try:
        signature.bind(*by_position, **dict.fromkeys(by_name))
    except TypeError:
        return f"{kind.__name__}.{method} must take {expected}; found {signature}"
    return ""


def _parameters(function: Callable[..., Any], *, drop_first: bool) -> inspect.Signature:
    """Return the signature of a function without annotations, and without `self` if the first parameter is dropped."""
    parameters = list(inspect.signature(function).parameters.values())
    if drop_first and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        parameters = parameters[1:]
    return inspect.Signature([parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters])


def _is_subclass(kind: Any, base: type) -> bool:
    return inspect.isclass(kind) and issubclass(kind, base)
