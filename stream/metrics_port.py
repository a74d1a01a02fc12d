"""The port on which a process of the stream answers Prometheus."""

from prometheus_client import CollectorRegistry, start_http_server

from stream.errors import StreamError


def serve_metrics(registry: CollectorRegistry, host: str, port: int, section: str) -> None:
    """Answer Prometheus on a port, in a thread of its own.

    Args:
        registry: Figures to answer with.
        host: Address of the port.
        port: Port.
        section: Section of the configuration that names it, for the message.

    Raises:
        StreamError: The port is taken, or the address is not of this machine.
    """
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        problem = f"cannot be opened: {error.strerror or error}"
        remedy = f"set another metrics_port in [{section}], or 0 for none"
        raise StreamError(f"{host}:{port}", problem, remedy) from error
