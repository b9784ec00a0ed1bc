"""``python -m embed_onnx`` is ``embed-onnx``."""

from embed_onnx.system import signals


def main() -> None:
    """Run a command, with its signals handled before anything that takes time to import."""
    signals.handle()
    from embed_onnx.cli import main as cli  # noqa: PLC0415 - after the handlers

    cli.main()


if __name__ == "__main__":
    main()
