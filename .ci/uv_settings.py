"""Print pip's settings of indexes, certificates and proxies as environment variables of uv.

uv reads none of pip's own: a mirror that pip is configured to use, in pip.conf or
in the environment, would be passed by. What is set for uv itself stays.
"""

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

_SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
}
_SEPARATORS = {"find-links": ","}
_TRUE = ("1", "true", "yes", "on")
_SCOPES = ("global", "install", ":env:")  # a later one counts


def main() -> None:
    """Print the lines that a shell evaluates."""
    for name, value in uv_settings(pip_settings()).items():
        if name not in os.environ:
            print(f"export {name}={shlex.quote(value)}")


def pip_settings() -> dict[str, str]:
    """Return the settings that `pip install` would use."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    scopes: dict[str, dict[str, str]] = {scope: {} for scope in _SCOPES}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.rpartition(".")
        if scope in scopes:
            scopes[scope][name] = ast.literal_eval(value)
    return {name: value for scope in scopes.values() for name, value in scope.items()}


def uv_settings(pip: dict[str, str]) -> dict[str, str]:
    """Return the environment of uv that means the same.

    Args:
        pip: Settings of pip by name.
    """
    found = {
        variable: _SEPARATORS.get(name, " ").join(pip[name].split())
        for name, variable in _VARIABLES.items()
        if name in pip
    }
    if pip.get("no-index") in _TRUE:
        found["UV_OFFLINE"] = "true"  # local find-links remain
    if "extra-index-url" in pip:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's own: the hashes decide
    if "cert" not in pip and _SYSTEM_CERTIFICATES.exists():
        found["UV_SYSTEM_CERTS"] = "true"
    return found


if __name__ == "__main__":
    main()
