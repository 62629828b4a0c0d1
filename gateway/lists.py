"""Routes of block-lists, allow-lists and limits: each checks, calls ingest once, answers.

The JSON is the contract's own form (proto/usher/ingest/v1/lists.proto).
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway import live
from gateway.calls import Calls
from gateway.messages import number, to_json
from gateway.settings import GatewaySettings
from usher.ingest.v1 import lists_pb2, lists_pb2_grpc

IDEMPOTENT = tuple(
    f"/usher.ingest.v1.ListService/{method}"
    for method in ("ListEntries", "LiftListEntry", "PreviewListEntry")
)
"""What the channel to ingest may repeat."""

_PAGE = 100
_LARGEST_PAGE = 1_000


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to ingest."""
    lists = lists_pb2_grpc.ListServiceStub(channel)

    calls = Calls(settings)
    call = calls.ask

    @app.get(
        "/api/v1/lists",
        summary="What is listed, newest first",
        description="With whom an automatic entry affects. Parameters: limit (1 to 1,000), page_token, kind (block, allow, "
        "limit), entity, ended (1: with those that have ended).",
    )
    async def list_entries(request: Request) -> Response:
        names = ("limit", "page_token", "kind", "entity", "ended")
        query = live.known_parameters(request.query_params.multi_items(), *names)
        message = lists_pb2.ListEntriesRequest(
            tenant=tenant_of(request, settings.default_tenant),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
            kind=number(query, "kind", lists_pb2.ListKind, "LIST_KIND_"),
            entity=live.text(query, "entity"),
            include_ended=bool(live.whole_number(query, "ended", 0, 0, 1)),
        )
        return to_json(await call(lists.ListEntries, "ListService/ListEntries", message))

    @app.get(
        "/api/v1/lists/preview",
        summary="Whom an entry would affect",
        description="Changes nothing. Parameters: entity_kind (user, device, address, payment), entity, hours (1 to 720, "
        "default 24).",
    )
    async def preview_entry(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), *("entity_kind", "entity", "hours"))
        message = lists_pb2.PreviewListEntryRequest(
            tenant=tenant_of(request, settings.default_tenant),
            entity_kind=number(query, "entity_kind", lists_pb2.ListedEntity, "LISTED_ENTITY_"),
            entity=live.text(query, "entity"),
            hours=live.whole_number(query, "hours", 24, 1, 720),
        )
        return to_json(await call(lists.PreviewListEntry, "ListService/PreviewListEntry", message))

    @app.post(
        "/api/v1/lists",
        summary="Put something on a list",
        description='`{"kind": "LIST_KIND_BLOCK", "entity_kind": "LISTED_ENTITY_ADDRESS", "entity", "reason", "actor", '
        '"expires_time"}`; idempotent by entry_id where one is given. Look at the preview first.',
        responses={201: {"description": "As it stands."}},
    )
    async def set_entry(request: Request) -> Response:
        entry = await calls.body(request, lists_pb2.ListEntry())
        message = lists_pb2.SetListEntryRequest(
            tenant=tenant_of(request, settings.default_tenant), entry=entry
        )
        return to_json(await call(lists.SetListEntry, "ListService/SetListEntry", message), 201)

    @app.post(
        "/api/v1/lists/lift",
        summary="Take something off a list",
        description='`{"entry_id", "actor", "reason"}`; an entry that has ended is answered as it stands.',
    )
    async def lift_entry(request: Request) -> Response:
        message = await calls.body(request, lists_pb2.LiftListEntryRequest())
        message.tenant = tenant_of(request, settings.default_tenant)
        return to_json(await call(lists.LiftListEntry, "ListService/LiftListEntry", message))
