"""Routes to machines that share the shards: the configuration of an nginx in front of them.

    client ─► nginx: split_clients $user_id ─► upstream of the shard ─► a machine that serves it
                                                        └─ lost: another one that does

The shard is that of `store.shards`, so the machine has the user's list. The machines that
serve a shard take turns in coming first, shard by shard; the others are its backups.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from serve.errors import ServeError
from store.shards import MAX_SHARDS, nginx_shares

_HOST: Final = r"(?:[\w.-]+|\[[0-9a-fA-F:]+\])"
_MACHINE: Final = re.compile(rf"({_HOST}:\d{{1,5}})=(all|\d{{1,2}}(?:,\d{{1,2}})*)")
_LISTEN: Final = re.compile(rf"(?:{_HOST}:)?\d{{1,5}}")
_TEMPLATE: Final = """\
# The routes of `python -m serve routes`, for nginx's `http` block, such as in conf.d/.

# The id as it was sent, or decoded where it has a percent sign.
map $uri $marquee_decoded_id {{
    "~^/recommend/(?<marquee_decoded>.+)$" $marquee_decoded;
    default "";
}}
map $request_uri $marquee_user_id {{
    "~^/recommend/(?<marquee_sent>[^/?%]+)(?:\\?|$)" $marquee_sent;
    default $marquee_decoded_id;
}}
split_clients $marquee_user_id $marquee_shard {{
{shares}
}}
map $marquee_user_id $marquee_upstream {{
    "" marquee_machines;
    default $marquee_shard;
}}

{upstreams}
server {{
    listen {listen};

    # What names no user, or in the body, goes to a machine with all shards, if there is one.
    location ~ ^/(?:recommend/|similar/|(?:recommendations|predict|healthz|readyz)$) {{
        proxy_pass http://$marquee_upstream;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_connect_timeout 100ms;
        proxy_read_timeout 1s;  # a machine answers within 400 ms
        proxy_next_upstream error timeout http_502 http_503 http_504 non_idempotent;
        proxy_next_upstream_tries 3;
    }}

    location / {{
        return 404;  # pages and /admin/ are those of one machine
    }}
}}
"""
_UPSTREAM: Final = """\
upstream {name} {{
    zone {name} 64k;
{servers}
    keepalive 64;
}}
"""


class Machine(NamedTuple):
    """A server.

    Attributes:
        address: Host and port.
        shards: Shards that it serves.
    """

    address: str
    shards: frozenset[int]

    @classmethod
    def parse(cls, text: str, n_shards: int) -> Self:
        """Return the machine in `HOST:PORT=0,1` or `HOST:PORT=all`.

        Raises:
            ServeError: It is not one, or a shard does not exist.
        """
        found = _MACHINE.fullmatch(text)
        if found is None:
            raise ServeError(text, "is not a machine", "write HOST:PORT=0,1 or HOST:PORT=all")
        every = range(n_shards)
        shards = frozenset(every if found[2] == "all" else map(int, found[2].split(",")))
        if unknown := shards.difference(every):
            problem = f"shard {min(unknown)} does not exist"
            raise ServeError(text, problem, f"{n_shards} shards have numbers from 0")
        return cls(found[1], shards)


def routes(machines: Sequence[Machine], n_shards: int, listen: str) -> str:
    """Return the configuration.

    Args:
        machines: All machines.
        n_shards: Number of shards, as in `[batch] shards`.
        listen: Port, or host and port, that clients connect to.

    Raises:
        ServeError: No machine serves a shard, or a number or an address is not valid.
    """
    if not 1 <= n_shards <= MAX_SHARDS:
        raise ServeError("--shards", f"must lie between 1 and {MAX_SHARDS}", "correct it")
    if not _LISTEN.fullmatch(listen):
        raise ServeError(listen, "is not an address", "write PORT or HOST:PORT")
    upstreams = [_of_shard(machines, shard) for shard in range(n_shards)]
    whole = [one.address for one in machines if len(one.shards) == n_shards]
    others = [one.address for one in machines if len(one.shards) < n_shards]
    upstreams.append(_upstream("marquee_machines", whole or others, others if whole else []))
    shares = (f"    {share} {_name(shard)};" for shard, share in enumerate(nginx_shares(n_shards)))
    return _TEMPLATE.format(shares="\n".join(shares), upstreams="\n".join(upstreams), listen=listen)


def _of_shard(machines: Sequence[Machine], shard: int) -> str:
    addresses = [one.address for one in machines if shard in one.shards]
    if not addresses:
        raise ServeError("--machine", f"none serves shard {shard}", "add one, or `=all`")
    first = addresses.pop(shard % len(addresses))
    return _upstream(_name(shard), [first], addresses)


def _upstream(name: str, first: Sequence[str], backups: Sequence[str]) -> str:
    servers = [f"    server {address} fail_timeout=2s;" for address in first]
    servers += [f"    server {address} fail_timeout=2s backup;" for address in backups]
    return _UPSTREAM.format(name=name, servers="\n".join(servers))


def _name(shard: int) -> str:
    return f"marquee_shard_{shard}"
