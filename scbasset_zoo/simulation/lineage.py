"""The simulated blood lineage: its cell types, its transcription factors (TFs) and their motifs."""

from __future__ import annotations

# Consensus sequence of the motif of each TF (IUPAC letters), from the literature.
CONSENSUS = {
    # open peaks in every cell
    "CTCF": "CCASYAGGGGGCRCT",
    "NFYA": "RRCCAATCAG",
    "NRF1": "YGCGCATGCGC",
    # open the peaks of some cell types
    "HOXA9": "TGATTTATGGC",
    "MYB": "YAACTGCCA",
    "RUNX1": "TTTGTGGTTW",
    "GATA1": "AGATAAGRMA",
    "KLF1": "CCMCACCCTR",
    "SPI1": "AAAGAGGAAGTG",
    "CEBPA": "RTTGCGCAAY",
    "IRF8": "CGAAACTGAAACT",
    "FOS": "RATGACTCAT",
    "EBF1": "ATTCCCNNGGGAAT",
    "PAX5": "GRGCGTGACC",
    "TCF7": "CCTTTGATST",
    "TBX21": "TTTCACACCTR",
    "MEF2C": "CTATTTATAG",
    # differs between batches: heat shock response, a stress of handling
    "HSF1": "GAANNTTCNNGAA",
    # TFs of other tissues: their motifs are planted but have no effect
    "HNF1A": "GTTAATNATTAAC",
    "HNF4A": "GRGGTCAAAGTCCA",
    "ESR1": "AGGTCANNNTGACCT",
    "MYOD1": "RACAGCTGTY",
    "SOX2": "CCATTGTTCT",
    "FOXA1": "TGTTTACTTWG",
}
BATCH_TF = "HSF1"  # the TF whose activity differs between batches

# Each cell type: its parent type, and how its TF activities differ from the parent's (logits per unit of motif strength).
# Parents come before their daughters.
LINEAGE: dict[str, tuple[str | None, dict[str, float]]] = {
    "HSC": (None, {"CTCF": 1.2, "NFYA": 0.75, "NRF1": 0.9, "HOXA9": 2.3, "MYB": 1.05, "RUNX1": 1.25}),
    "MPP": ("HSC", {"HOXA9": -0.85, "MYB": 0.85, "MEF2C": 0.65}),
    "CMP": ("MPP", {"HOXA9": -0.85, "MEF2C": -0.65, "GATA1": 0.65, "CEBPA": 0.85, "SPI1": 0.65}),
    "GMP": ("CMP", {"HOXA9": -0.65, "GATA1": -0.65, "CEBPA": 1.45, "SPI1": 1.45, "IRF8": 1.05, "FOS": 0.65}),
    "MEP": ("CMP", {"HOXA9": -0.65, "CEBPA": -0.85, "SPI1": -0.65, "RUNX1": -0.65, "GATA1": 1.9, "KLF1": 2.1}),
    "CLP": ("MPP", {"HOXA9": -1.05, "EBF1": 1.9, "TCF7": 1.7, "IRF8": 0.85, "MEF2C": 0.4}),
    "Monocyte": ("GMP", {"MYB": -1.9, "SPI1": 0.65, "FOS": 1.7, "IRF8": 0.4}),
    "Erythroid": ("MEP", {"MYB": -1.05, "RUNX1": -0.65, "GATA1": 0.65, "KLF1": 0.85}),
    "B cell": ("CLP", {"MYB": -1.45, "TCF7": -1.7, "EBF1": 0.65, "PAX5": 2.3, "MEF2C": 0.85}),
    "T cell": ("CLP", {"EBF1": -1.9, "IRF8": -0.85, "MEF2C": -1.05, "TCF7": 1.05, "RUNX1": 0.65}),
    "NK cell": ("CLP", {"EBF1": -1.9, "TCF7": -1.05, "MEF2C": -1.05, "MYB": -1.45, "TBX21": 2.5, "RUNX1": 0.85}),
    "pDC": ("CLP", {"EBF1": -1.7, "TCF7": -1.45, "IRF8": 1.9, "SPI1": 1.05, "RUNX1": 0.65}),
    "Megakaryocyte": ("MEP", {"KLF1": -2.1, "RUNX1": 1.7, "MEF2C": 1.05, "FOS": 0.65}),
    "cDC": ("GMP", {"CEBPA": -1.9, "MYB": -1.45, "IRF8": 1.45, "MEF2C": 1.05}),
    "Neutrophil": ("GMP", {"IRF8": -1.05, "MYB": -1.9, "CEBPA": 0.85, "SPI1": 0.4}),
    "Basophil": ("GMP", {"IRF8": -1.05, "SPI1": -1.05, "GATA1": 2.1, "CEBPA": -0.65}),
}
