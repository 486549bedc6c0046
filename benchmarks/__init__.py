"""Speed and memory, side by side with named peers: `make benchmark`."""
