"""Opening a port of metrics: an error names the setting to change."""

import contextlib
from collections.abc import Iterator

from store.errors import PortError


@contextlib.contextmanager
def port_errors_explained(host: str, port: int, section: str) -> Iterator[None]:
    """Open a port of metrics within this; what fails is raised as an error for people.

    Args:
        host: Address of the port.
        port: Port.
        section: Section of the configuration that names it as `metrics_port`.

    Raises:
        PortError: The port is taken, or the address is not of this machine.
    """
    try:
        yield
    except OSError as error:
        problem = f"cannot be opened: {error.strerror or error}"
        remedy = f"set another metrics_port in [{section}], or 0 for none"
        raise PortError(f"{host}:{port}", problem, remedy) from error
