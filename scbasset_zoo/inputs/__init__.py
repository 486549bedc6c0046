"""Reads what users bring: sequences, genomes, assemblies, peaks, matrices; cuts windows around peaks."""
