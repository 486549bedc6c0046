"""Everything that makes model.onnx and a card: the exporter of training runs, and importers."""
