"""The analysis `motif-insertion`."""
