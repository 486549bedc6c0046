"""A simulated experiment with a known answer."""
