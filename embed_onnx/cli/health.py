"""``embed-onnx health``: for health checks of containers."""

import rich_click as click


@click.command()
@click.option("--ready", is_flag=True, help="Ask whether every model can embed, not only whether it lives.")
@click.option("--timeout", type=float, default=4.0, show_default=True, help="Seconds to wait for an answer.")
def health(ready: bool, timeout: float) -> None:
    """Ask the server that runs here how it is, at whatever address it listens; exit code 0 says well.

    It is for health checks of containers. Of several servers, all must be well.
    """
    from embed_onnx.http import health

    health.check("/ready" if ready else "/health", seconds=timeout)
