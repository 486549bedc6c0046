"""Motifs: the class `Motif`, readers of file formats (listed in `loading`), and JASPAR's collections."""
