"""All that knows the structure of model.onnx: its contract, head, trunk, layers and the one graph builder."""
