"""``python -m embed_onnx`` is ``embed-onnx``."""

from embed_onnx.cli import main

main()
