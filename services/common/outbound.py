"""HTTP calls to addresses that people configure, guarded against calls into our own network (SSRF).

A name is resolved once, every address it has is judged, and the connection goes to an address that was judged: a name
that changes its answer in between (DNS rebinding) gains nothing. TLS still checks the name. Redirects are never
followed, and no proxy of the environment is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From host and port to IP addresses as text. Raises OSError."""

MAX_ANSWER_BYTES = 2_048
"""Of an answer's body, for the delivery log; the rest is not read."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefusedError(Exception):
    """The URL leads to an address that must not be called, or is of a form that is not called."""


class Answer(NamedTuple):
    """What the other end answered."""

    status: int
    body: bytes
    """Its beginning."""
    retry_after: float | None
    """Seconds, where it said so."""


async def resolve(host: str, port: int) -> list[str]:
    """Resolves a name with the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def refusal(address: Address, allowed: Iterable[Network] = ()) -> str | None:
    """Why an address must not be called; None where it may.

    Only globally reachable unicast addresses may (IANA's special-purpose registries, as `ipaddress` knows them):
    loopback, private, link-local (cloud metadata among them), carrier-grade NAT, multicast, documentation and
    reserved ones may not. An IPv6 address that carries an IPv4 address is judged by that one. `allowed` networks may.
    """
    inner = _carried(address)
    for network in allowed:
        if address.version == network.version and address in network:
            return None
        if inner is not None and inner.version == network.version and inner in network:
            return None
    for one in (address, inner):
        if one is not None and (not one.is_global or one.is_multicast):
            return f"{address} is not a public address"
    return None


def _carried(address: Address) -> Address | None:
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def checked_url(url: str, allowed: Iterable[Network] = ()) -> SplitResult:
    """The parts of a URL that may be called, as far as the text tells. Raises AddressRefusedError.

    https, or http where networks are allowed by configuration (the address decides later); no user name; an IP
    address in it is judged at once.
    """
    allowed = list(allowed)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefusedError("the URL cannot be read") from None
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not allowed):
        raise AddressRefusedError("a URL begins with https://")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise AddressRefusedError("a URL names a host, and no user")
    if port == 0 or not url.isascii() or any(character <= " " for character in url):
        raise AddressRefusedError("the URL cannot be read")
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return parts
    why = refusal(address, allowed)
    if why is not None:
        raise AddressRefusedError(why)
    return parts


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were judged, and to no other."""

    def __init__(self, resolver: Resolver, allowed: Sequence[Network]) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._resolver = resolver
        self._allowed = allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        async with asyncio.timeout(timeout):
            try:
                texts = await self._resolver(host, port)
            except OSError as error:
                raise httpcore.ConnectError(f"the name {host} cannot be resolved") from error
        for text in texts:
            why = refusal(ipaddress.ip_address(text.partition("%")[0]), self._allowed)
            if why is not None:
                raise AddressRefusedError(f"{host}: {why}")
        failure: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for text in texts[:2]:
            try:
                return await self._inner.connect_tcp(text, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise AddressRefusedError("unix sockets are not called")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedSender:
    """Sends HTTP requests to the outside. One a process; close it with `aclose`."""

    def __init__(
        self,
        *,
        allowed: Sequence[str] = (),
        resolver: Resolver = resolve,
        tls: ssl.SSLContext | None = None,
        connections_per_host: int = 8,
    ) -> None:
        """`allowed` are networks that may be called though they are not public. Raises ValueError for one that is none."""
        self._allowed = [ipaddress.ip_network(one) for one in allowed]
        self._resolver = resolver
        self._tls = tls or ssl.create_default_context()
        self._per_host = connections_per_host
        self._hosts: dict[tuple[str, str, int | None], _Connections] = {}

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """Sends a POST and reads the beginning of the answer, all within `timeout` seconds.

        Raises AddressRefusedError before anything is sent, TimeoutError, and httpcore's errors and ssl.SSLError where
        the other end cannot be reached or breaks off. A redirect is an answer like any other.
        """
        parts = checked_url(url, self._allowed)
        every = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
        async with (
            asyncio.timeout(timeout),
            self._connections(parts).one() as connection,
            connection.stream(
                "POST",
                url,
                headers=[
                    *headers.items(),
                    ("Content-Length", str(len(body))),
                    ("Accept-Encoding", "identity"),
                ],
                content=body,
                extensions={"timeout": every},
            ) as response,
        ):
            start = b""
            async for piece in response.aiter_stream():
                start += piece
                if len(start) >= MAX_ANSWER_BYTES:
                    break
            return Answer(response.status, start[:MAX_ANSWER_BYTES], _retry_after(response.headers))

    def _connections(self, parts: SplitResult) -> _Connections:
        # Of each host its own: one that hangs keeps no connection from another.
        key = (parts.scheme, str(parts.hostname), parts.port)
        found = self._hosts.get(key)
        if found is None:
            found = self._hosts[key] = _Connections(self._per_host, self._connection)
        return found

    def _connection(self) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=1,
            keepalive_expiry=30.0,
            network_backend=_GuardedBackend(self._resolver, self._allowed),
        )

    async def aclose(self) -> None:
        """Closes the connections."""
        for connections in self._hosts.values():
            await connections.aclose()
        self._hosts.clear()


class _Connections:
    """Up to `most` connections to one host, the one used last first, so that few stay open.

    Each is a pool of one: a larger pool asks the socket of every connection it has whether it is still open, before and
    after every request, which was a third of what a delivery cost.
    """

    def __init__(self, most: int, make: Callable[[], httpcore.AsyncConnectionPool]) -> None:
        self._free = asyncio.Semaphore(most)
        self._make = make
        self._idle: list[httpcore.AsyncConnectionPool] = []
        self._every: list[httpcore.AsyncConnectionPool] = []

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        async with self._free:
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = self._make()
                self._every.append(connection)
            try:
                yield connection
            finally:
                self._idle.append(connection)

    async def aclose(self) -> None:
        for connection in self._every:
            await connection.aclose()


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    # RFC 9110, 10.2.3: seconds, or a date.
    for name, value in headers:
        if name.lower() != b"retry-after":
            continue
        text = value.decode("latin-1").strip()
        if text.isascii() and text.isdigit() and len(text) < 10:
            return float(text)
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        now = datetime.datetime.now(datetime.UTC)
        return max(0.0, (at - now).total_seconds()) if at.tzinfo else None
    return None
