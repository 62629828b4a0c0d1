"""Reads the consent ledger for batches of events: one look-up a batch, and rows only of viewers that changed.

What was read of a viewer is kept with its version, the place of the newest entry. Entries are only added, or emptied and
then no longer the viewer's, which adds one as well: as long as the tenant's newest place is the same, so is everything. Each
batch asks for that place, and for the versions of those viewers only that were not looked up since it moved.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError

from services.compliance.cache import parse_viewer
from services.compliance.consent import LedgerFact
from services.compliance.ledger import ViewerConsents
from services.compliance.store_consents import ConsentStore
from usher.event.v1 import event_pb2

KEPT_VIEWERS = 20_000
"""Viewers whose entries are kept in memory, some 2 KB each."""
_MOST_LOOKED_UP = 100_000

Told = dict[int, tuple[LedgerFact | None, int]]
"""Position of an event -> what the ledger says for it, and the version; events of which it knows nothing are absent."""


class LedgerReader:
    """What the ledger says of events."""

    def __init__(self, store: ConsentStore) -> None:
        self._store = store
        self._tenants: set[str] = set()
        self._looked_up: dict[tuple[str, str], int] = {}
        """The tenant's newest place when a viewer, with or without entries, was last looked up."""
        self._viewers: OrderedDict[tuple[str, str], ViewerConsents] = OrderedDict()

    async def tell(self, tenant: str, events: Sequence[bytes]) -> Told:
        """What the ledger says for each of these serialised events, as of its time.

        Events that cannot be parsed are left out: whoever evaluates them refuses them. Raises the typed errors of
        `services.common.db`.
        """
        if tenant not in self._tenants:
            if not await self._store.holds_any(tenant):
                return {}
            # Never taken back: where all was erased, a look-up finds nothing.
            self._tenants.add(tenant)
        slices: dict[int, Any] = {}
        for position, event in enumerate(events):
            try:
                slices[position] = parse_viewer(event)
            except DecodeError:
                continue
        consents = await self._consents(tenant, {one.user_id for one in slices.values()})
        told: Told = {}
        if not consents:
            return told
        for position, one in slices.items():
            theirs = consents.get(one.user_id)
            if theirs is not None:
                time = one.event_time
                purpose = _purpose(b"".join(one.privacy))
                fact = theirs.fact(purpose, time.seconds * 1_000 + time.nanos // 1_000_000)
                told[position] = (fact, theirs.version)
        return told

    def forget(self, tenant: str, user_id: str) -> None:
        """Drops what memory holds of a viewer: called when the viewer is erased."""
        self._viewers.pop((tenant, user_id), None)
        self._looked_up.pop((tenant, user_id), None)

    async def _consents(self, tenant: str, user_ids: set[str]) -> dict[str, ViewerConsents]:
        head = await self._store.head(tenant)
        found: dict[str, ViewerConsents] = {}
        asked = set()
        for user_id in user_ids:
            key = (tenant, user_id)
            if self._looked_up.get(key) != head:
                asked.add(user_id)
            elif (known := self._viewers.get(key)) is not None:
                found[user_id] = known
        if not asked:
            return found
        # Read after the place: what was added since moves the place, and is looked up with the next batch.
        versions = await self._store.versions(tenant, list(asked))
        changed = []
        for user_id, version in versions.items():
            kept = self._viewers.get((tenant, user_id))
            if kept is not None and kept.version == version:
                self._viewers.move_to_end((tenant, user_id))
                found[user_id] = kept
            else:
                changed.append(user_id)
        for user_id in asked - versions.keys():
            # Nothing of theirs is left, or ever was.
            self._viewers.pop((tenant, user_id), None)
        if changed:
            for user_id, entries in (await self._store.of_viewers(tenant, changed)).items():
                found[user_id] = self._viewers[tenant, user_id] = ViewerConsents(entries)
                self._viewers.move_to_end((tenant, user_id))
        if len(self._looked_up) > _MOST_LOOKED_UP:
            self._looked_up.clear()
        self._looked_up.update(
            ((tenant, user_id), head) for user_id in asked if user_id in found or user_id not in versions
        )
        while len(self._viewers) > KEPT_VIEWERS:
            gone, _ = self._viewers.popitem(last=False)
            self._looked_up.pop(gone, None)
        return found


@lru_cache(maxsize=4_096)
def _purpose(privacy: bytes) -> str:
    """The declared purpose, lower case, of serialised PrivacyFacts; empty where there is none, or they are none."""
    try:
        return event_pb2.PrivacyFacts.FromString(privacy).purpose.lower()
    except DecodeError:
        return ""
