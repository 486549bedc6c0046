"""Time training of scvi-tools' SCBASSET.

It needs PyTorch, so it runs in an environment of its own, which has none of this project's code:

    python3.11 -m venv scvi && scvi/bin/pip install scvi-tools

The arguments are a folder with `sequences.npy` (int8, peaks x 1,344, bases A C G T as 0 to 3) and `labels.npy` (bool, peaks x
cells), and the batch size. For each line on standard input the program trains one epoch and prints its seconds. An epoch is timed
between the callbacks at its start and its end, so that the set-up of the trainer is left out.
"""

import logging
import sys
import time
import warnings
from pathlib import Path

import anndata as ad
import lightning
import numpy as np
import scvi
from scipy import sparse


class EpochTimes(lightning.pytorch.callbacks.Callback):
    """Keeps the seconds of each training epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_epoch_start(self, trainer, module):
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer, module):
        self.seconds.append(time.perf_counter() - self._start)


def main():
    folder, batch_size = Path(sys.argv[1]), int(sys.argv[2])
    # Lightning prints; standard output is for the results alone.
    results, sys.stdout = sys.stdout, sys.stderr
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    codes, labels = (np.load(folder / f"{name}.npy") for name in ("sequences", "labels"))
    # scvi-tools has peaks in rows for this model.
    regions = ad.AnnData(sparse.csr_matrix(labels, dtype=np.float32), obsm={"dna_code": codes.astype(np.int64)})
    scvi.settings.verbosity = logging.ERROR
    scvi.external.SCBASSET.setup_anndata(regions, dna_code_key="dna_code")
    model = scvi.external.SCBASSET(regions)
    times = EpochTimes()
    for _ in sys.stdin:
        model.train(
            max_epochs=1, train_size=1.0, batch_size=batch_size, early_stopping=False, accelerator="cpu", callbacks=[times],
            enable_progress_bar=False, enable_model_summary=False, logger=False, enable_checkpointing=False,
        )  # fmt: skip
        print(times.seconds[-1], file=results, flush=True)


if __name__ == "__main__":
    main()
