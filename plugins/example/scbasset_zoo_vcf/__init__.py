"""Effects of variants on accessibility: a plugin of scbasset_zoo."""
