"""Recomputes only what a mutation changes."""
