"""A whole model.onnx in plain ONNX Runtime, and windows cut by a loop: what predictions are compared with."""

import numpy as np
import onnxruntime

from helpers import toy
from scbasset_zoo.inputs import dna


def whole_network(folder, sequences):
    """Every output of model.onnx by plain ONNX Runtime, one-hot encoded by a loop."""
    x = np.zeros((len(sequences), toy.LENGTH, 4), dtype=np.float32)
    for i, sequence in enumerate(sequences):
        for j, base in enumerate(sequence):
            x[i, j] = 0.25 if base == "N" else [base == letter for letter in "ACGT"]
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = ["accessibility", "logits", "peak_embedding"]
    return dict(zip(names, session.run(names, {"sequence": x}), strict=True))


def naive_windows(genome, peaks):
    """Windows cut from the FASTA's text, one at a time."""
    chromosomes = {}
    for record in genome.read_text().split(">")[1:]:
        name, *lines = record.splitlines()
        chromosomes[name] = "".join(lines)
    windows = []
    for chrom, start, end in peaks[["chrom", "start", "end"]].itertuples(index=False):
        first = (start + end) // 2 - toy.LENGTH // 2
        text = chromosomes[chrom]
        windows.append("".join(text[i] if 0 <= i < len(text) else "N" for i in range(first, first + toy.LENGTH)))
    return windows


def with_batches(model, sequences):
    """Logits with the batch path, (n, n_cells), by plain ONNX Runtime."""
    session = onnxruntime.InferenceSession(str(model.package.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(["batch_logits"], {"sequence": dna.one_hot(dna.as_codes(sequences))})[0]
