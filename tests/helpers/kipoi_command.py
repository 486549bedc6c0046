"""Run the kipoi command in a home folder of its own, and the files of the bundled example."""

import json
import os
import subprocess
import sys
from pathlib import Path

from scbasset_zoo.zoo.bundled import bundled_folder

BIN = Path(sys.executable).parent
GROUP = bundled_folder() / "scbasset"
# The genome is a piece of the model's, so it has to be forced.
EXAMPLE = {
    "intervals_file": str(GROUP / "example/intervals.bed"),
    "fasta_file": str(GROUP / "example/genome.fa"),
    "force": True,
}
DESCRIPTION = 'Random # weights of "a toy" with {{ braces }}: a, b.'


def run(home, *command, fails=False):
    """Run a command with `home` as the home folder, check that it succeeds or fails, and return its output."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "SCBASSET_"))}
    env |= {"HOME": str(home), "SCBASSET_ZOO_CACHE": str(home / "cache")}
    done = subprocess.run([BIN / command[0], *command[1:]], env=env, cwd=home, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stdout[-2_000:] + done.stderr[-4_000:]
    return done.stdout + done.stderr


def predict(home, model, *options, data=EXAMPLE, **kwargs):
    """Run `kipoi predict` with the default source and return its output."""
    return run(home, "kipoi", "predict", model, "--dataloader_args", json.dumps(data), *options, **kwargs)
