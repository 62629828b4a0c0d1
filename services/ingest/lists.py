"""The lists in force: a copy in this process, read again by what changed, on every replica.

Nothing is asked of a database while an event is decided. A change made here holds at once, one made elsewhere after the
next refresh.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from prometheus_client import Counter, Gauge

from services.common.clock import Clock
from services.common.errors import InvalidArgument, NotFound, ResourceExhausted, UsherError
from services.common.telemetry import Telemetry
from services.ingest import listed
from services.ingest.items import IMPORT, Item
from services.ingest.listed import Hit, InForce, TenantLists
from services.ingest.store_acts import Act, Acts
from services.ingest.store_lists import ListStore
from usher.ingest.v1 import lists_pb2

_KINDS = {value: name.removeprefix("LIST_KIND_").lower() for name, value in lists_pb2.ListKind.items()}


class Lists:
    """What a batch is looked up in. One a process."""

    def __init__(
        self, store: ListStore, acts: Acts, refresh_seconds: float, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._store = store
        self._acts = acts
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._log = telemetry.logger("lists")
        self._tenants: dict[str, TenantLists] = {}
        self._proposals: dict[str, tuple[str, lists_pb2.ListEntry]] = {}
        self._some_proposed = asyncio.Event()
        self._changed = 0
        self._refreshing = asyncio.Lock()
        self._hits = Counter(
            "usher_list_hits", "Decisions that a list entry held for.", ("kind",), registry=telemetry.registry
        )
        Gauge(
            "usher_list_entries", "List entries in force in this process.", registry=telemetry.registry
        ).set_function(lambda: sum(len(one) for one in self._tenants.values()))

    async def refresh(self) -> None:
        """Reads what changed since the last time."""
        async with self._refreshing:
            while True:
                rows = await self._store.database.read(self._store.changed_after, self._changed)
                for row in rows:
                    lists = self._tenants.setdefault(row.tenant, TenantLists())
                    self._proposals.pop(row.entry.entry_id, None)
                    if row.ended:
                        lists.drop(row.entry.entry_id)
                    elif row.entry.proposed:
                        self.proposed([(row.tenant, row.entry)])
                    else:
                        lists.put(row.entry)
                    self._changed = max(self._changed, row.changed)
                if not rows:
                    return

    async def run(self) -> None:
        """Refreshes, and ends what has expired, for ever."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            try:
                await self._store.database.run(self._store.end_expired, self._clock.now_ms())
                await self.refresh()
            except UsherError as error:
                self._log.warning("the lists cannot be read", extra={"reason": error.reason})

    async def find(self, items: Sequence[Item], now_ms: int) -> dict[bytes, Hit | None]:
        """By the events' keys the entry that holds for each, and changes its decision; None where none does."""
        found: dict[bytes, Hit | None] = {}
        limited: list[tuple[Item, InForce]] = []
        for item in items:
            entry = self._entry(item, now_ms)
            if entry is not None and entry.kind == listed.LIMIT:
                limited.append((item, entry))
                entry = None
            found[item.key] = None if entry is None else Hit(entry, 0)
        if limited:
            acts = [Act(one.entry_id, item.user_key, item.key, one.limit) for item, one in limited]
            for (item, entry), number in zip(limited, await self._acts.add(acts, now_ms), strict=True):
                if number > entry.limit:
                    found[item.key] = Hit(entry, number)
        for hit in found.values():
            if hit is not None:
                self._hits.labels(_KINDS[hit.entry.kind]).inc()
        return found

    def _entry(self, item: Item, now_ms: int) -> InForce | None:
        lists = self._tenants.get(item.tenant)
        # An import is of the past, to which today's lists do not belong.
        if not lists or item.flags & IMPORT:
            return None
        return lists.find(item, now_ms)

    def automatic(self, item: Item, place_flags: int, now_ms: int) -> lists_pb2.ListEntry | None:
        """The entry that a decision with LIST_ADDRESS proposes; None where the address is on a list or proposed already."""
        entry = listed.automatic_entry(item, place_flags, now_ms, new_entry_id())
        lists = self._tenants.get(item.tenant)
        if lists is not None and lists.holds(entry, now_ms):
            return None
        for tenant, one in self._proposals.values():
            if (tenant, one.entity) == (item.tenant, entry.entity):
                return None
        return entry

    def proposed(self, entries: Sequence[tuple[str, lists_pb2.ListEntry]]) -> None:
        """Notes proposals that are durable."""
        for tenant, entry in entries:
            self._proposals[entry.entry_id] = (tenant, entry)
        self._some_proposed.set()

    def proposals(self) -> list[tuple[str, lists_pb2.ListEntry]]:
        """What is proposed and not yet in force, with its tenant."""
        return list(self._proposals.values())

    async def until_proposed(self) -> None:
        """Returns once something is proposed."""
        while not self._proposals:
            self._some_proposed.clear()
            await self._some_proposed.wait()

    async def set(self, tenant: str, entry: lists_pb2.ListEntry) -> lists_pb2.ListEntry:
        """Puts an entry into force. Raises InvalidArgument, Conflict, ResourceExhausted."""
        now_ms = self._clock.now_ms()
        found = listed.violations(entry, now_ms)
        if found:
            raise InvalidArgument(
                "LIST_ENTRY_INVALID", f"{len(found)} things are wrong with the entry", violations=found
            )
        lists = self._tenants.get(tenant)
        if lists is not None and len(lists) >= listed.MAX_IN_FORCE:
            raise ResourceExhausted(
                "LIST_FULL", f"{listed.MAX_IN_FORCE} entries are in force; lift some, or list networks"
            )
        clean = lists_pb2.ListEntry(
            entry_id=entry.entry_id or new_entry_id(),
            kind=entry.kind,
            entity_kind=entry.entity_kind,
            entity=listed.canonical_entity(entry.entity_kind, entry.entity),
            event_classes=sorted(set(entry.event_classes)),
            limit_per_hour=entry.limit_per_hour,
            reason=entry.reason.strip(),
            actor=entry.actor.strip(),
            reference=entry.reference,
        )
        clean.created_time.FromMilliseconds(now_ms)
        if entry.HasField("expires_time"):
            clean.expires_time.CopyFrom(entry.expires_time)
        stands = await self._store.database.run(self._store.set, tenant, clean, now_ms)
        self._log.info(
            "a list entry was set",
            extra={"tenant": tenant, "entry_id": stands.entry_id, "actor": stands.actor},
        )
        await self.refresh()
        return stands

    async def lift(self, tenant: str, entry_id: str, actor: str, reason: str) -> lists_pb2.ListEntry:
        """Takes an entry out of force. Raises InvalidArgument, NotFound."""
        if not actor.strip():
            raise InvalidArgument("ACTOR_MISSING", "say who lifts the entry")
        if not reason.strip():
            raise InvalidArgument("REASON_MISSING", "say why the entry is lifted")
        stands = await self._store.database.run(
            self._store.lift,
            tenant,
            entry_id,
            actor.strip()[: listed.MAX_ACTOR_CHARS],
            reason.strip()[: listed.MAX_REASON_CHARS],
            self._clock.now_ms(),
        )
        if stands is None:
            raise NotFound("LIST_ENTRY_UNKNOWN", "no entry of this tenant has this entry_id")
        self._log.info(
            "a list entry was lifted", extra={"tenant": tenant, "entry_id": entry_id, "actor": actor[:128]}
        )
        await self.refresh()
        return stands


def new_entry_id() -> str:
    """ "list_" and 32 random hexadecimal digits."""
    return f"list_{secrets.token_hex(16)}"
