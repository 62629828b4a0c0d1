"""Calls to the outside: which addresses are refused, and that nothing is connected to before."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpcore
import pytest
import trustme

from services.common.outbound import AddressRefusedError, Answer, GuardedSender, checked_url, refusal

LOOPBACK = ("127.0.0.0/8",)
INTERNAL = [
    *("127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.0.1"),
    *("100.64.0.1", "100.100.100.200", "0.0.0.0", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
]


@pytest.mark.parametrize("address", INTERNAL)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is not None


@pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "64:ff9b::909:909"])
def test_public_addresses_are_not(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


def test_what_configuration_allows_is_allowed_and_nothing_beside_it() -> None:
    allowed = [ipaddress.ip_network("10.1.0.0/16")]
    assert refusal(ipaddress.ip_address("10.1.2.3"), allowed) is None
    assert refusal(ipaddress.ip_address("::ffff:10.1.2.3"), allowed) is None
    assert refusal(ipaddress.ip_address("10.2.0.1"), allowed) is not None


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.org/", "ftp://example.org/", "file:///etc/passwd", "//example.org", "https://", ""),
        *("https://user:secret@example.org/", "https://example.org:0/", "https://example.org:99999/"),
        *(
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://exa mple.org/",
        ),
        "https://example.org/\r\nX: y",
    ],
)
def test_urls_that_are_not_called(url: str) -> None:
    with pytest.raises(AddressRefusedError):
        checked_url(url)


class Resolver:
    """Answers what it is told, in turn, and remembers what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a connection was tried to."""
    tried: list[str] = []
    real = httpcore.AnyIOBackend.connect_tcp

    async def connect(self: httpcore.AnyIOBackend, host: str, *args: object, **named: object) -> object:
        tried.append(host)
        return await real(self, host, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    return tried


@pytest.mark.parametrize("address", [*INTERNAL, "fe80::1%eth0"])
async def test_a_name_that_resolves_there_is_refused_before_any_connection(
    address: str, connections: list[str]
) -> None:
    resolver = Resolver([address])
    sender = GuardedSender(resolver=resolver)
    with pytest.raises(AddressRefusedError):
        await sender.post("https://hooks.example.org/x", b"{}", {}, 5.0)
    await sender.aclose()
    assert resolver.asked == ["hooks.example.org"]
    assert connections == []


async def test_one_internal_address_among_public_ones_refuses_them_all(connections: list[str]) -> None:
    sender = GuardedSender(resolver=Resolver(["9.9.9.9", "10.0.0.1"]))
    with pytest.raises(AddressRefusedError):
        await sender.post("https://hooks.example.org/", b"", {}, 5.0)
    assert connections == []


@asynccontextmanager
async def serving(
    answer: bytes | Callable[[bytes], bytes], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server on loopback that keeps requests and answers each with bytes; empty: it hangs up."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            requests.append(head + await reader.readexactly(length))
            writer.write(answer(head) if callable(answer) else answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, family=socket.AF_INET)
    async with server:
        yield server.sockets[0].getsockname()[1], requests


def ok(body: bytes = b"fine", status: str = "200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status.encode(), len(body), headers, body)


async def post(
    port: int, resolver: Callable[[str, int], Awaitable[Sequence[str]]], **options: object
) -> Answer:
    sender = GuardedSender(allowed=LOOPBACK, resolver=resolver, **options)  # type: ignore[arg-type]
    try:
        scheme = "https" if "tls" in options else "http"
        return await sender.post(f"{scheme}://hooks.example.org:{port}/x?y=1", b"{}", {"a": "b"}, 2.0)
    finally:
        await sender.aclose()


async def test_the_connection_goes_to_the_address_that_was_judged(connections: list[str]) -> None:
    # Rebinding: the name would answer another address the second time; it is asked once.
    resolver = Resolver(["127.0.0.1"], ["10.0.0.1"])
    async with serving(ok()) as (port, requests):
        answer = await post(port, resolver)
    assert answer == Answer(200, b"fine", None)
    assert (len(resolver.asked), connections) == (1, ["127.0.0.1"])
    assert requests[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert b"Host: hooks.example.org:" in requests[0]


async def test_a_redirect_is_not_followed(connections: list[str]) -> None:
    redirect = ok(status="302 Found", headers=b"Location: http://169.254.169.254/latest/meta-data\r\n")
    async with serving(redirect) as (port, requests):
        answer = await post(port, Resolver(["127.0.0.1"]))
    assert answer.status == 302
    assert (len(requests), connections) == (1, ["127.0.0.1"])


async def test_tls_checks_the_name_although_the_address_was_resolved_before() -> None:
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    for name, fits in (("hooks.example.org", True), ("other.example.org", False)):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(tls)
        async with serving(ok(), tls) as (port, _):
            if fits:
                assert (await post(port, Resolver(["127.0.0.1"]), tls=client)).status == 200
            else:
                with pytest.raises(httpcore.ConnectError):
                    await post(port, Resolver(["127.0.0.1"]), tls=client)


async def test_retry_after_is_read_as_seconds_or_date_and_long_answers_are_cut() -> None:
    busy = ok(b"x" * 10_000, "429 Too Many Requests", b"Retry-After: 7\r\n")
    async with serving(busy) as (port, _):
        answer = await post(port, Resolver(["127.0.0.1"]))
    assert (answer.status, answer.retry_after, len(answer.body)) == (429, 7.0, 2_048)
    past = ok(b"", "503 Away", b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n")
    async with serving(past) as (port, _):
        assert (await post(port, Resolver(["127.0.0.1"]))).retry_after == 0.0
    async with serving(ok(b"", "503 Away", b"Retry-After: soon\r\n")) as (port, _):
        assert (await post(port, Resolver(["127.0.0.1"]))).retry_after is None


async def test_a_hang_ends_with_the_time_and_a_hang_up_is_an_error() -> None:
    async with serving(b"") as (port, _):
        with pytest.raises(httpcore.RemoteProtocolError):
            await post(port, Resolver(["127.0.0.1"]))

    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    sender = GuardedSender(resolver=never)
    with pytest.raises(TimeoutError):
        await sender.post("https://hooks.example.org/", b"", {}, 0.05)
