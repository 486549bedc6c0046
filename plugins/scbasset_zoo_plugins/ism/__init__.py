"""The analysis `ism`."""
