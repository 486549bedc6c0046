"""The analysis `batch-correction`."""
