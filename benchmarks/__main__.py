"""Runs every benchmark, one process each; all but training need no TensorFlow."""

import subprocess
import sys

for name in ("training", "mutations"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
