"""Where the service is, and how the connection to it is secured."""

from __future__ import annotations

import ipaddress
import os

import grpc

DEFAULT_TARGET = "127.0.0.1:9090"

# An outcome holds a whole answer, and so exceeds gRPC's 4 MiB now and then.
OPTIONS = (
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 60_000),
)


def resolved(target: str | None) -> str:
    target = target or os.environ.get("PROMPTFORGE_GRPC") or DEFAULT_TARGET
    scheme, found, _ = target.partition("://")
    if found and scheme.lower() in ("http", "https", "grpc", "grpcs"):
        raise ValueError(f"the target is host:port, where the service serves gRPC, without {scheme}://")
    return target


def key(api_key: str | None) -> str:
    api_key = api_key or os.environ.get("PROMPTFORGE_API_KEY")
    if not api_key:
        raise ValueError("no API key: give api_key, or set PROMPTFORGE_API_KEY (promptforge keys create CLIENT makes one)")
    return api_key


def credentials(target: str, tls: grpc.ChannelCredentials | None, plaintext: bool) -> grpc.ChannelCredentials | None:
    """What to connect with; None is without TLS."""
    if tls is not None and plaintext:
        raise ValueError("tls and plaintext contradict each other; give one of them")
    if tls is not None:
        return tls
    if plaintext or _is_local(target):
        return None
    return grpc.ssl_channel_credentials()


def _is_local(target: str) -> bool:
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = target.rpartition(":")[0] or target
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback
