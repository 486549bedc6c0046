"""The built-in analyses, to come: they will enter by the same hooks as anybody's plugin."""
