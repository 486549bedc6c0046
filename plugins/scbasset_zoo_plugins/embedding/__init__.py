"""The analysis `embedding`."""
