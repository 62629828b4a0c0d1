"""What tellings are sent to in tests: HTTP and SMTP servers on loopback that misbehave as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class Hook:
    """An HTTP server that answers as its programme says, in turn, then 200 for ever."""

    def __init__(self, *programme: str) -> None:
        """Of: "500", "redirect", "busy" (429, Retry-After: 1), "hang", "break" (hangs up without an answer)."""
        self.programme = list(programme)
        self.port = 0
        self.taken: list[dict[str, Any]] = []
        """Bodies that were answered 200, with `_headers`, `_raw`, `_at` and `_path`."""
        self.refused = 0
        self.busy_at: list[tuple[str, float]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines[1:])
                }
                raw = await reader.readexactly(int(headers["content-length"]))
                act = self.programme.pop(0) if self.programme else "200"
                if act == "hang":
                    self.refused += 1
                    await reader.read()
                    break
                if act == "break":
                    self.refused += 1
                    break
                if act == "200":
                    body = json.loads(raw) if raw.startswith(b"{") else {"form": raw.decode()}
                    kept = {"_headers": headers, "_raw": raw, "_at": time.time(), "_path": lines[0]}
                    self.taken.append({**body, **kept})
                else:
                    self.refused += 1
                if act == "busy":
                    self.busy_at.append((headers["webhook-id"], time.time()))
                status, extra = {
                    "200": ("200 OK", ""),
                    "500": ("500 Oops", ""),
                    "redirect": ("302 Found", "Location: http://169.254.169.254/latest/meta-data\r\n"),
                    "busy": ("429 Busy", "Retry-After: 1\r\n"),
                }[act]
                writer.write(f"HTTP/1.1 {status}\r\n{extra}Content-Length: 2\r\n\r\nok".encode())
                await writer.drain()
        writer.close()

    def ids(self) -> list[str]:
        return [one["_headers"]["webhook-id"] for one in self.taken]


@asynccontextmanager
async def hooking(*hooks: Hook, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """Serves hooks on free ports of loopback."""
    async with contextlib.AsyncExitStack() as stack:
        for hook in hooks:
            server = await asyncio.start_server(hook.serve, "127.0.0.1", 0, ssl=tls, family=socket.AF_INET)
            hook.port = server.sockets[0].getsockname()[1]
            await stack.enter_async_context(server)
        yield


class Mailbox:
    """What an SMTP server took; it refuses the first `refusals` messages."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.taken: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refusals:
            self.refusals -= 1
            return "451 4.7.1 Try again later"
        self.taken.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mailing(mailbox: Mailbox, tls: ssl.SSLContext) -> Iterator[int]:
    """An SMTP server that demands STARTTLS and user@example.org with the password "secret"; its port."""

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (
            b"user@example.org",
            b"secret",
        )
        return AuthResult(success=right)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        tls_context=tls,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
