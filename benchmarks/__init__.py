"""Speed, memory and accuracy, measured beside other software: `make benchmark`."""
