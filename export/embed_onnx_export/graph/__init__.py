"""ONNX graphs: exported, rewritten, quantised."""
