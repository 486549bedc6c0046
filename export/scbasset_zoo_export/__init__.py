"""Everything that ends in model.onnx and a card."""
