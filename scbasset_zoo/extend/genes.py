"""Genes for plugins: the transcription start sites of a GTF."""

from scbasset_zoo.inputs.start_sites import read_start_sites

__all__ = ["read_start_sites"]
