"""A plain nginx for a test, with a given `http` block."""

import contextlib
import http.client
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.serve.server import skip_without_nginx, wait_until


@contextlib.contextmanager
def running_nginx(folder: Path, port: int, http_block: str) -> Iterator[http.client.HTTPConnection]:
    """Start nginx and yield a connection to it; skip without nginx.

    Args:
        folder: Directory of its files.
        port: Port on the loopback address that the block listens on.
        http_block: Directives of the `http` block.
    """
    skip_without_nginx()
    (folder / "nginx.conf").write_text(f"""
        daemon off; pid {folder}/pid; error_log stderr; worker_processes 1; events {{ }}
        http {{
            access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            {http_block}
        }}""")
    process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        wait_until(lambda: _is_accepted(connection))
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait()


def _is_accepted(connection: http.client.HTTPConnection) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        connection.connect()
        return True
    return False
