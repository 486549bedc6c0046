"""DNA for plugins: integer codes, one-hot arrays, genomes, and windows of sequence."""

from scbasset_zoo.inputs.dna import ALPHABET, Codes, N, as_codes, decode, encode, one_hot, reverse_complement
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.shuffle import shuffle
from scbasset_zoo.inputs.windows import Windows, fasta_windows, sequence_windows

__all__ = [
    "ALPHABET",
    "Codes",
    "Genome",
    "N",
    "Windows",
    "as_codes",
    "decode",
    "encode",
    "fasta_windows",
    "one_hot",
    "reverse_complement",
    "sequence_windows",
    "shuffle",
]
