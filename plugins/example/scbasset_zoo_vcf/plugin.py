"""What scbasset_zoo calls; the analysis is imported when it is asked for."""

from __future__ import annotations

from scbasset_zoo import Analysis, hookimpl


@hookimpl
def register_analyses() -> list[type[Analysis]]:
    """Variant effects."""
    from scbasset_zoo_vcf.variant_effect import VariantEffect

    return [VariantEffect]
