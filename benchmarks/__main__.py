"""Run the benchmarks of training and of mutations, each in its own process. They need TensorFlow."""

import subprocess
import sys

for name in ("training", "mutations"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
