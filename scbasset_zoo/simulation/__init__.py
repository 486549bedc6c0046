"""Simulates an experiment with a known answer."""
