"""Run the benchmarks of training, predictions and mutations, each in its own process. They need TensorFlow."""

import subprocess
import sys

for name in ("training", "training_many_cells", "prediction", "mutations"):
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
