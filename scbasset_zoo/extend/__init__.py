"""All that a plugin author may import, beside the names of `scbasset_zoo` itself."""
