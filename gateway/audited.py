"""Who saw and did what over HTTP: people's requests are entries of compliance's audit log before they are answered.

Written down are all acts on alerts, incidents, lists, rings and failed events, and what somebody who names themselves in
X-Usher-Actor reads of decisions, profiles, consents and those. Platforms that send and read with API keys are systems, not
people: their requests are counted, not written down. Routes that compliance answers itself are written down there, with
their outcome.

An entry says that something was asked for: it comes first, so that nothing is seen or done without one. Where it cannot be
written the request is refused.
"""

from __future__ import annotations

import hashlib
import os
import urllib.parse
from collections.abc import Callable
from typing import NamedTuple

import grpc
from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.calls import ACTOR_HEADER, Calls, actor_of
from gateway.edge import route_template
from gateway.problems import problem_of
from gateway.settings import GatewaySettings
from services.common.errors import Unavailable, UsherError
from usher.compliance.v1 import records_pb2, records_pb2_grpc

UNNAMED = "unnamed"
"""Actor of an act by somebody who gave no name."""
READS = (
    "/api/v1/decisions",
    "/api/v1/decision-stream",
    "/api/v1/alert-stream",
    "/api/v1/profiles/",
    "/api/v1/consents",
    "/api/v1/neighbourhoods/",
    "/api/v1/addresses/",
)
ACTS = ("/api/v1/alerts", "/api/v1/incidents", "/api/v1/lists", "/api/v1/rings", "/api/v1/failed-events")
"""Beginnings of the routes; what is under ACTS is written down when read by name and whenever something is done."""
_SYSTEMS = ("/api/v1/alerts/send",)
_READING = frozenset({"GET", "HEAD"})
_OF_A_USER = ("/api/v1/profiles/", "/api/v1/consents/", "/api/v1/neighbourhoods/")
_OWN_IDS = ("/api/v1/alerts/", "/api/v1/incidents/", "/api/v1/rings/", "/api/v1/failed-events/")
_WORDS = frozenset({"act", "queue", "recent", "snooze", "replay"})


class Seen(NamedTuple):
    """What an entry says of a request beside who and when."""

    action: str
    object: str
    """An id of Usher's own, or the hash of a sender's."""
    user_id: str


def seen(method: str, path: str, named: bool) -> Seen | None:
    """What is written down of a request; None: nothing."""
    reading = method in _READING
    watched = path.startswith(ACTS) or (reading and path.startswith(READS))
    if not watched or path in _SYSTEMS or (reading and not named):
        return None
    action = f"gateway.{method} {route_template(path)}"
    for prefix in _OF_A_USER:
        if path.startswith(prefix) and path != "/api/v1/consents/verification":
            return Seen(action, "", urllib.parse.unquote(path.removeprefix(prefix))[:255])
    for prefix in _OWN_IDS:
        if path.startswith(prefix):
            rest = path.removeprefix(prefix).partition("/")[0][:255]
            return Seen(action, "" if rest in _WORDS else rest, "")
    for prefix in ("/api/v1/decisions/", "/api/v1/addresses/"):
        if path.startswith(prefix):
            rest = urllib.parse.unquote(path.removeprefix(prefix))
            return Seen(action, hashlib.blake2b(rest.encode(), digest_size=16).hexdigest(), "")
    return Seen(action, "", "")


class Audited:
    """Writes the entries; inside `Edge`, around the routes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        channel: grpc.aio.Channel,
        settings: GatewaySettings,
        tenant_of: Callable[[Request, str], str],
    ) -> None:
        self._app = app
        self._stub = records_pb2_grpc.EvidenceServiceStub(channel)
        self._calls = Calls(settings)
        self._settings = settings
        self._tenant_of = tenant_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = any(name.decode("latin-1") == ACTOR_HEADER for name, _ in scope["headers"])
            found = seen(scope["method"], scope["path"], named)
            if found is not None:
                try:
                    await self._write(Request(scope), found, named)
                except UsherError as error:
                    await problem_of(error)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    async def _write(self, request: Request, found: Seen, named: bool) -> None:
        entry = records_pb2.AppendAuditRequest(
            entry_id=os.urandom(16).hex(),
            tenant=self._tenant_of(request, self._settings.default_tenant),
            actor=actor_of(request) if named else UNNAMED,
            action=found.action[:100],
            object=found.object,
            user_id=found.user_id,
            outcome="asked",
        )
        try:
            await self._calls.ask(self._stub.AppendAudit, "EvidenceService/AppendAudit", entry)
        except Unavailable as error:
            raise Unavailable(
                "AUDIT_UNAVAILABLE",
                "what people see and do is written down first, and the audit log cannot be reached: try again",
                retry_after=1,
            ) from error
