"""From names to packages: sources of models, their indexes, the cache, pulling and publishing."""
