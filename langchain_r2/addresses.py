"""Addresses of model servers: which may be configured at all.

Loopback and private networks are where people serve models. Never allowed are link-local addresses and the hosts of
metadata services, which hand out a cloud machine's credentials, and what could be read as another host than it shows.
"""

import ipaddress
import os
import re
from typing import Final
from urllib.parse import urlsplit

from langchain_r2.errors import BadValueError, Shown

ALLOWED: Final = "an http or https address such as http://localhost:8000/v1"

_METADATA_HOSTS: Final = frozenset({
    "instance-data", "instance-data.ec2.internal", "metadata", "metadata.azure.internal", "metadata.goog",
    "metadata.google.internal", "metadata.oraclecloud.com",
})  # fmt: skip
_METADATA: Final = tuple(
    ipaddress.ip_network(text) for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::/32")
)
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,62}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}[a-z0-9_])?)*")
_NUMERIC: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def problem_with(url: str) -> str | None:
    """What is wrong with an address, in words that show none of it: it may hold a password. None: nothing."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "no address"
    wrong = {
        "an address with spaces, control characters or backslashes": re.search(r"[\x00-\x20\x7f\\]", url) is not None,
        "not an http or https address": parts.scheme not in {"http", "https"} or not host,
        "an address with a user or password in it": "@" in parts.netloc,
        "an address with a query or fragment": "?" in url or "#" in url,
        "an address with port 0": port == 0,
    }
    return next((problem for problem, is_so in wrong.items() if is_so), None) or problem_with_host(host or "")


def problem_with_host(host: str) -> str | None:
    """What is wrong with a host of an address; None: nothing."""
    if not host.isascii():
        return "a host with letters outside ASCII: it may look like another one"
    name = host.removesuffix(".")
    if name in _METADATA_HOSTS:
        return "the host of a metadata service"
    # 2852039166, 0xa9fea9fe and 0251.254.43518 all are 169.254.169.254 for some programs.
    if ":" not in host and not _NUMERIC.fullmatch(name.rsplit(".", 1)[-1]):
        return None if _HOST.fullmatch(name) and len(name) <= 253 else "not a host name"
    try:
        if "%" in host:  # an IPv6 zone
            return "a link-local address"
        return problem_with_ip(ipaddress.ip_address(host))
    except ValueError:
        return "no IP address in its usual form"


def problem_with_ip(ip: Address) -> str | None:
    """What is wrong with an IP address, also one inside an IPv6 address; None: nothing."""
    for inner in (ip, *_inside(ip)):
        if inner.is_link_local:
            return "a link-local address"
        if inner.is_multicast or inner == ipaddress.IPv4Address("255.255.255.255"):
            return "a multicast or broadcast address"
        if any(inner.version == net.version and inner in net for net in _METADATA):
            return "the address of a metadata service"
    return None


def _inside(ip: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address stands for: mapped, 6to4, translated (NAT64)."""
    if isinstance(ip, ipaddress.IPv4Address):
        return []
    found: list[Address] = [inner for inner in (ip.ipv4_mapped, ip.sixtofour) if inner is not None]
    if ip in ipaddress.ip_network("64:ff9b::/96") or int(ip) >> 32 == 0:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return found


def checked_address(name: str, url: object) -> str:
    """The address.

    Args:
        name: What it is, for messages.
        url: The address.

    Raises:
        BadValueError: It may not be used. What it is is not shown: it may hold a password.
    """
    if not isinstance(url, str):
        raise BadValueError(name, "no text", ALLOWED)
    if problem := problem_with(url):
        hint = "Keys go into an environment variable that api_key_env names." if "password" in problem else ""
        raise BadValueError(name, problem, ALLOWED, hint)
    return url


def address(name: str, base_url: str | None, base_url_env: str | None) -> str:
    """The address of a model's server.

    Args:
        name: The model's name in the pool, for messages.
        base_url: The address; with ``base_url_env`` the one to take where the variable is not set.
        base_url_env: Environment variable that holds the address.

    Raises:
        BadValueError: The variable is not set and there is no other address, or it holds one that may not be used.
    """
    found = os.environ.get(base_url_env) if base_url_env else None
    if not found and base_url:
        return checked_address(f"base_url of model {name!r}", base_url)
    problem = problem_with(found) if found else Shown("not set" if found is None else "empty")
    if not found or problem is not None:
        allowed = f"the address of the server of model {name!r}, such as http://localhost:8000/v1"
        raise BadValueError(f"environment variable {base_url_env}", problem, allowed, "Set it.")
    return found


def is_address(value: str) -> bool:
    """Whether a text is an address that may be used."""
    return problem_with(value) is None
