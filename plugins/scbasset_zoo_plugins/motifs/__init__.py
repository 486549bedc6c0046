"""Motifs: what one is, the formats they are read from, and collections by name."""
