"""The fixtures of helpers.zoo_fixtures, for all tests of this folder."""

from helpers.zoo_fixtures import configure, impostor, lab, packages, published, recipe, web

__all__ = ["configure", "impostor", "lab", "packages", "published", "recipe", "web"]
