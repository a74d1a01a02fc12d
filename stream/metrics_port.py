"""The port on which a process of the stream answers Prometheus."""

from prometheus_client import CollectorRegistry, start_http_server

from store.port import port_errors_explained


def serve_metrics(registry: CollectorRegistry, host: str, port: int, section: str) -> None:
    """Answer Prometheus on a port, in a thread of its own.

    Args:
        registry: Figures to answer with.
        host: Address of the port.
        port: Port.
        section: Section of the configuration that names it, for the message.

    Raises:
        PortError: The port is taken, or the address is not of this machine.
    """
    with port_errors_explained(host, port, section):
        start_http_server(port, addr=host, registry=registry)
