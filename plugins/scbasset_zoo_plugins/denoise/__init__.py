"""The analysis `denoise`."""
