"""ComplianceService over gRPC: checks requests, asks the law of the pinned policy set, answers. No rules here."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from prometheus_client import CollectorRegistry, Counter

from services.common.errors import FailedPrecondition, FieldViolation, InvalidArgument
from services.common.policy import PolicySetCache
from services.compliance.cache import VerdictCache
from services.compliance.consent import LedgerFact
from services.compliance.evaluate import Law, with_ledger_version
from services.compliance.facts import telling_countries
from services.compliance.impact import ImpactError, estimate, read_inputs
from services.compliance.ledger_reader import LedgerReader
from services.compliance.packs import PackError, load_packs
from services.compliance.regulations import in_force, regulation
from usher.compliance.v1 import compliance_pb2, compliance_pb2_grpc
from usher.event.v1 import event_pb2
from usher.policy.v1 import policy_pb2

MAX_EVENTS = 2_000
MAX_INPUTS_BYTES = 2 << 20
MAX_POLICY_SETS = 4
MAX_PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50

_TENANT = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
# The event loop is given back after this long, looked at every so many events.
_STRETCH_SECONDS = 0.002
_STRETCH_EVENTS = 32


_SILENT: tuple[LedgerFact | None, int] = (None, 0)
"""The ledger knows nothing of a viewer."""


class Engines:
    """The laws of the last used policy sets, each compiled once, away from the event loop."""

    def __init__(self, policy_sets: PolicySetCache, cached_signatures: int) -> None:
        self._policy_sets = policy_sets
        self._cached_signatures = cached_signatures
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._loading = asyncio.Lock()

    async def get(self, policy_set: str) -> Engine:
        """The engine of a policy set.

        Raises InvalidArgument (POLICY_SET_INVALID), PolicySetUnknown, and FailedPrecondition (PACK_INVALID) where
        one of its packs cannot be used.
        """
        found = self._engines.get(policy_set)
        if found is None:
            async with self._loading:
                found = self._engines.get(policy_set)
                if found is None:
                    found = await asyncio.to_thread(self._compile, policy_set)
                    self._engines[policy_set] = found
        self._engines.move_to_end(policy_set)
        while len(self._engines) > MAX_POLICY_SETS:
            self._engines.popitem(last=False)
        return found

    def _compile(self, policy_set: str) -> Engine:
        documents = self._policy_sets.get(policy_set).parts(policy_pb2.PART_KIND_REGULATION_PACK)
        try:
            law = Law(load_packs(documents))
        except PackError as error:
            raise FailedPrecondition(
                "PACK_INVALID", f"policy set {policy_set} holds a pack that cannot be used: {error}"
            ) from error
        return Engine(law, VerdictCache(law, self._cached_signatures))


class Engine:
    """The law of one policy set and its verdicts so far."""

    def __init__(self, law: Law, cache: VerdictCache) -> None:
        self.law = law
        self.cache = cache


class ComplianceServicer(compliance_pb2_grpc.ComplianceServiceServicer):
    """Serves usher.compliance.v1.ComplianceService."""

    def __init__(self, engines: Engines, ledger: LedgerReader, registry: CollectorRegistry) -> None:
        self._engines = engines
        self._ledger = ledger
        verdicts = Counter(
            "usher_compliance_verdicts_total",
            "Events evaluated, by whether their legal signature was cached: hit, alike (only the coarse one) or miss.",
            ["cache"],
            registry=registry,
        )
        self._hits = verdicts.labels(cache="hit")
        self._alike = verdicts.labels(cache="alike")
        self._misses = verdicts.labels(cache="miss")

    async def EvaluateEvents(
        self, request: compliance_pb2.EvaluateEventsRequest, context: Any
    ) -> compliance_pb2.EvaluateEventsResponse:
        """One verdict an event; equal verdicts travel once."""
        _check_batch(request)
        engine = await self._engines.get(request.policy_set)
        events = request.events
        countries = telling_countries(request.places, len(events))
        told = await self._ledger.tell(request.tenant, events)
        before = engine.cache.statistics
        response = compliance_pb2.EvaluateEventsResponse()
        seen: dict[bytes | tuple[bytes, int], int] = {}
        verdicts: list[bytes] = []
        verdict_of: list[int] = []
        answer_of = engine.cache.answer
        stretch_ends = time.monotonic() + _STRETCH_SECONDS
        for position, event in enumerate(events):
            try:
                fact, version = told.get(position, _SILENT)
                answer = answer_of(event, countries[position], fact)
            except DecodeError as error:
                raise _malformed(position) from error
            if answer is None:
                response.errors.append(_no_time(position))
                verdict_of.append(0)
                continue
            # The shared verdict's hash is known; a copy with the version is made once and not to be hashed.
            key = (answer.verdict, version) if version else answer.verdict
            index = seen.get(key)
            if index is None:
                index = seen[key] = len(seen)
                verdicts.append(with_ledger_version(answer.verdict, version) if version else answer.verdict)
                response.risks.append(answer.risk)
                response.flags.append(answer.flags)
            verdict_of.append(index)
            if position % _STRETCH_EVENTS == 0 and time.monotonic() > stretch_ends:
                await asyncio.sleep(0)
                stretch_ends = time.monotonic() + _STRETCH_SECONDS
        response.verdicts.extend(verdicts)
        response.verdict_of.extend(verdict_of)
        after = engine.cache.statistics
        self._hits.inc(after.hits - before.hits)
        alike = after.alike - before.alike
        self._alike.inc(alike)
        self._misses.inc(after.misses - before.misses - alike)
        return response

    async def EstimateImpact(
        self, request: compliance_pb2.EstimateImpactRequest, context: Any
    ) -> compliance_pb2.EstimateImpactResponse:
        """What recorded violations may cost, and what stopping them was worth."""
        if len(request.inputs) > MAX_INPUTS_BYTES:
            raise InvalidArgument(
                "IMPACT_INPUTS_INVALID",
                f"inputs have at most {MAX_INPUTS_BYTES:,} bytes here; use the command line",
            )
        engine = await self._engines.get(request.policy_set)
        estimated = await asyncio.to_thread(_estimate, request.inputs, engine.law)
        return compliance_pb2.EstimateImpactResponse(estimate_json=estimated)

    async def ListRegulations(
        self, request: compliance_pb2.ListRegulationsRequest, context: Any
    ) -> compliance_pb2.ListRegulationsResponse:
        """The regulations of a policy set by id; a page's token is the id of its last one."""
        if not 0 <= request.page_size <= MAX_PAGE_SIZE:
            raise InvalidArgument("PAGE_SIZE_INVALID", f"page_size is 1 to {MAX_PAGE_SIZE}, or 0 for 50")
        engine = await self._engines.get(request.policy_set)
        at = request.at_time.seconds if request.HasField("at_time") else None
        packs = [pack for pack in engine.law.packs if at is None or in_force(pack, at)]
        ids = [pack.id for pack in packs]
        if request.page_token and request.page_token not in ids:
            raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is none that this policy set gave")
        start = ids.index(request.page_token) + 1 if request.page_token else 0
        end = start + (request.page_size or DEFAULT_PAGE_SIZE)
        return compliance_pb2.ListRegulationsResponse(
            regulations=[regulation(pack, at) for pack in packs[start:end]],
            next_page_token=ids[end - 1] if end < len(ids) else "",
        )


def _estimate(inputs: bytes, law: Law) -> bytes:
    try:
        return orjson.dumps(estimate(read_inputs(inputs), law.packs))
    except ImpactError as error:
        raise InvalidArgument("IMPACT_INPUTS_INVALID", str(error)) from error


def _check_batch(request: compliance_pb2.EvaluateEventsRequest) -> None:
    if not _TENANT.fullmatch(request.tenant):
        raise InvalidArgument(
            "TENANT_INVALID", "tenant is 1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -"
        )
    if not request.events:
        raise InvalidArgument("NO_EVENTS", "a batch holds 1 event or more")
    if len(request.events) > MAX_EVENTS:
        raise InvalidArgument(
            "TOO_MANY_EVENTS",
            f"a batch holds at most {MAX_EVENTS:,} events, this one {len(request.events):,}",
            metadata={"limit": str(MAX_EVENTS), "events": str(len(request.events))},
        )
    for name, column in (("country", request.places.country), ("flags", request.places.flags)):
        if len(column) not in (0, len(request.events)):
            raise InvalidArgument(
                "PLACES_LENGTH", f"places.{name} holds one entry an event or none, not {len(column):,}"
            )
    if any(packed > 0xFFFF for packed in request.places.country):
        raise InvalidArgument("COUNTRY_INVALID", "an entry of places.country is two letters in 16 bits")


def _malformed(position: int) -> InvalidArgument:
    field = f"events[{position}]"
    return InvalidArgument(
        "MALFORMED_EVENT",
        f"{field} is not a serialised usher.event.v1.Event",
        violations=[FieldViolation(field, "MALFORMED_EVENT", "not a serialised event")],
    )


def _no_time(position: int) -> event_pb2.ItemError:
    return event_pb2.ItemError(
        index=position,
        reason="EVENT_TIME_MISSING",
        message="the law in force is that at the event's time: set event_time",
        field="event_time",
    )
