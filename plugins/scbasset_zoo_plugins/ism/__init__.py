"""The analysis `ism`: in silico saturation mutagenesis, and the motifs that explain it."""
