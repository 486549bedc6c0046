"""Running a packaged model: ONNX in, numbers out."""
