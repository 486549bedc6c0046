"""What users bring: DNA, genomes, assemblies, peaks, matrices, and the windows that are cut for them."""
