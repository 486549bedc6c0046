"""The hooks that scbasset_zoo calls. They import an analysis when they are called, so that loading the plugin stays quick."""

from __future__ import annotations

from scbasset_zoo import Analysis, hookimpl


@hookimpl
def register_analyses() -> list[type[Analysis]]:
    """Return the analysis of variant effects."""
    from scbasset_zoo_vcf.variant_effect import VariantEffect

    return [VariantEffect]
