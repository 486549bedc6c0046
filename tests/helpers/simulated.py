"""Options of a small simulation."""

SMALL = {"n_cells": 300, "n_peaks": 800, "density": 0.12, "seed": 3, "quiet": True}
