"""Everything that knows the structure of model.onnx: its contract, head, trunk and layers, and the one graph builder."""
