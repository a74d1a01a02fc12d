"""How the server starts, and the errors of a start."""

import contextlib
import re
import shutil
import socket
import subprocess

import pytest

from tests.serve.server import command, environment, skip_without_nginx, wait_until
from tests.snapshots import make_snapshot


@pytest.fixture
def refused(tmp_path):
    """Run a server that is expected to end by itself."""

    def run(*options, config=None, **environ):
        if config is not None:
            (tmp_path / "marquee.toml").write_text(config)
        return subprocess.run(
            command(*options, store=tmp_path / "store"),
            cwd=tmp_path,
            env=environment(**environ),
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def is_one_line(text):
    """Whether it is a message of one line, and so not a traceback."""
    return text.count("\n") == 1 and text.endswith("\n")


def test_a_taken_port_is_an_error(refused):
    """Exit status 1; the message names the address and the remedy."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        ended = refused("--bare", "--port", str(port))

    assert ended.returncode == 1
    assert is_one_line(ended.stderr)
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "choose another with --host and --port" in ended.stderr


@pytest.mark.parametrize("port", ["65536", "-1"])
def test_a_port_out_of_range_is_an_error(refused, port):
    """Exit status 1; the message names the range."""
    ended = refused("--bare", "--port", port)

    assert ended.returncode == 1
    assert is_one_line(ended.stderr)
    assert f"port must lie between 0 and 65535, not {port}" in ended.stderr


@pytest.mark.parametrize(
    "host",
    [
        "no.such.host.invalid",
        "a..b",
        "192.0.2.1",
        pytest.param("ü" * 70, id="no name"),
    ],
)
def test_a_foreign_host_is_an_error(refused, host):
    """Exit status 1; the message names it, without a traceback."""
    ended = refused("--bare", "--host", host)

    assert ended.returncode == 1
    assert is_one_line(ended.stderr)
    assert f"{host}:0" in ended.stderr


def test_the_server_needs_nginx_or_bare(refused):
    """Hostile clients must not reach bjoern; the message names the options."""
    ended = refused(MARQUEE_SERVE_NGINX="/nowhere/nginx")

    assert ended.returncode == 1
    assert "nginx" in ended.stderr
    assert "--bare" in ended.stderr


def test_an_unknown_option_is_wrong_usage(refused):
    """Exit status 2."""
    assert refused("--bare", "--prot", "1").returncode == 2


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("[serve]\nprot = 1\n", "prot"),
        ('[serve]\nport = "8080"\n', "port"),
        ("[serve]\nport = 70000\n", "70000"),
        ("[serve]\nworkers = -1\n", "workers"),
        ('[serve]\nemergency_list = ["a b"]\n', "a b"),
        ("[server]\nport = 1\n", "server"),
        ("[serve\n", "TOML"),
    ],
)
def test_a_wrong_configuration_is_an_error(refused, config, named):
    """Exit status 1; the message names the file and the problem."""
    ended = refused("--bare", config=config)

    assert ended.returncode == 1
    assert is_one_line(ended.stderr)
    assert "marquee.toml" in ended.stderr
    assert named in ended.stderr


def test_an_unknown_variable_is_an_error(refused):
    """A typo in the environment is found like one in the file."""
    ended = refused("--bare", MARQUEE_SERVE_PROT="1")

    assert ended.returncode == 1
    assert "MARQUEE_SERVE_PROT" in ended.stderr


@pytest.mark.parametrize(
    "names", [[f"film+{n}" for n in range(21)], ["alien", "alien"]], ids=["21 items", "one twice"]
)
def test_an_invalid_emergency_list_is_an_error(refused, names):
    """It has up to 20 items, none twice, like every list."""
    quoted = ", ".join(f'"{name}"' for name in names)

    # The host is refused too, so that a server which takes the list ends as well.
    ended = refused("--bare", "--host", "192.0.2.1", config=f"[serve]\nemergency_list = [{quoted}]")

    assert ended.returncode == 1
    assert "emergency_list" in ended.stderr


def test_the_log_names_the_address_and_that_it_is_bare(serve):
    """In its first line."""
    server = serve("--workers", "3")

    first = server.log.read_text().splitlines()[0]
    assert re.search(rf"serving on http://127\.0\.0\.1:{server.port}, 3 workers, bare", first)


def test_the_option_workers_sets_their_number(serve):
    """`--workers 3` starts three."""
    server = serve("--workers", "3")

    assert len(server.wait_for_workers()) == 3


def test_an_option_overrides_the_configuration(serve, tmp_path):
    """`--workers` overrides the 3 of the file."""
    (tmp_path / "marquee.toml").write_text("[serve]\nworkers = 3\n")

    server = serve("--workers", "1")

    assert len(server.wait_for_workers()) == 1


def test_the_store_of_the_configuration_is_served(serve, store, tmp_path):
    """`[store] path` names it."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    (tmp_path / "marquee.toml").write_text(f'[store]\npath = "{store}"\n')

    server = serve("--workers", "1")

    wait_until(lambda: server.get("/recommend/ann").body == b"alien")


WATCHING_NGINX = r"""#!/bin/bash
address=$(grep -oE "listen 127[0-9.:]+" "${@: -3:1}" | tr : / | cut -d" " -f2)
if (exec 3<>/dev/tcp/$address) 2>/dev/null; then echo open; else echo closed; fi >> seen
exec %s "$@"
"""


@pytest.fixture
def watching_nginx(tmp_path):
    """An nginx that first notes whether the port is open when it is started."""
    skip_without_nginx()
    program = tmp_path / "nginx"
    program.write_text(
        WATCHING_NGINX % shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    )
    program.chmod(0o755)
    return str(program)


def test_a_configuration_that_nginx_refuses_never_opens_the_port(refused, tmp_path, watching_nginx):
    """The server ends with nginx's message, and no client has waited for it."""
    (tmp_path / "a folder").mkdir()
    ended = refused(config=f'[serve]\nnginx = "{watching_nginx}"\naccess_log = "a folder"\n')

    assert ended.returncode == 1
    assert "cannot serve: nginx: " in ended.stderr
    assert "Is a directory" in ended.stderr
    assert (tmp_path / "seen").read_text() == "closed\n"


def test_a_sound_configuration_opens_it_after_the_check(serve, tmp_path, watching_nginx):
    """The counterpart."""
    server = serve("--workers", "1", nginx=True, MARQUEE_SERVE_NGINX=watching_nginx)
    wait_until(lambda: server.get("/healthz").status == 200)

    assert (tmp_path / "seen").read_text() == "closed\nopen\n"


@pytest.mark.parametrize("key", ["host", "nginx", "access_log"])
@pytest.mark.parametrize("bad", ['\\"', "$", "@", ";", "{", "}", "\\n", "\\u0007", "\\\\"])
def test_texts_that_would_change_nginx_conf_are_errors(refused, key, bad):
    """Exit status 1; the message names the key."""
    ended = refused("--bare", config=f'[serve]\n{key} = "a{bad}b"\n')

    assert ended.returncode == 1
    assert is_one_line(ended.stderr)
    assert f"{key} must not contain" in ended.stderr
