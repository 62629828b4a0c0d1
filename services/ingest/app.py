"""The parts of ingest, put together: stores, channels, pipeline, and the chores that run beside it."""

from __future__ import annotations

import asyncio

from services.common.background import Background
from services.common.client import connect
from services.common.clock import SystemClock
from services.common.db import open_database
from services.common.erased import ErasedRows
from services.common.errors import FailedPrecondition, UsherError
from services.common.migrations import migrate
from services.common.policy import PolicySetCache
from services.common.rates import open_rates
from services.common.server import Service
from services.common.shipped import SHIPPED, shipped_policy_set
from services.common.subject_data import subject_data
from services.common.telemetry import Telemetry
from services.ingest import peers as paths
from services.ingest.backlog import Backlog
from services.ingest.door import Door
from services.ingest.erasures import ErasedViewers
from services.ingest.failures import Failures
from services.ingest.ledger import Ledger
from services.ingest.lists import Lists
from services.ingest.messages import accounting_alert
from services.ingest.outbox import Outbox
from services.ingest.outcomes import OutcomeFeed
from services.ingest.peers import Peers
from services.ingest.pipeline import Pipeline
from services.ingest.places import PlacesInForce
from services.ingest.policy import PolicyInForce
from services.ingest.proposals import Proposals
from services.ingest.reports import Reports
from services.ingest.restore import FraudMemory
from services.ingest.senders import Senders
from services.ingest.sentry import Sentry
from services.ingest.servicer import (
    INGEST,
    POLICY,
    IngestServicer,
    PolicyServicer,
    account,
    add_ingest_to_server,
)
from services.ingest.servicer_accounts import ACCOUNTS, AccountServicer
from services.ingest.servicer_control import LABELS, LISTS, LabelServicer, ListServicer
from services.ingest.servicer_enforcement import ENFORCEMENT, EnforcementServicer
from services.ingest.servicer_feedback import FEEDBACK, FeedbackServicer
from services.ingest.servicer_flow import FLOW, FlowServicer
from services.ingest.servicer_keys import KEYS, KeyServicer
from services.ingest.settings import IngestSettings
from services.ingest.shards import Shards
from services.ingest.store_accounts import AccountStore
from services.ingest.store_acts import open_acts
from services.ingest.store_control import ControlStore
from services.ingest.store_enforcement import EnforcementStore
from services.ingest.store_feedback import FeedbackStore
from services.ingest.store_flow import FlowStore
from services.ingest.store_keys import KeyStore
from services.ingest.store_labels import LabelStore
from services.ingest.store_lists import ListStore
from services.ingest.store_subject import IngestSubjects
from services.ingest.stores import open_store
from services.ingest.vault import Vault, parse_keys
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import (
    accounts_pb2_grpc,
    enforcement_pb2_grpc,
    feedback_pb2_grpc,
    flow_pb2_grpc,
    keys_pb2_grpc,
    labels_pb2_grpc,
    lists_pb2_grpc,
)
from usher.policy.v1 import policy_pb2_grpc

_FLUSH_S = 0.5
_MAINTAIN_S = 0.25
_AUDIT_S = 60.0
_PARTITIONS_EVERY_S = 3600.0


class Ingest:
    """Everything that `python -m services.ingest` runs, but the server. An async context manager."""

    def __init__(self, settings: IngestSettings, telemetry: Telemetry) -> None:
        clock = SystemClock()
        self._telemetry = telemetry
        self._log = telemetry.logger("app")
        self._clock = clock
        self._settings = settings
        self._database = open_database(settings.database, schema="ingest")
        migrate(self._database, "ingest")
        keys = settings.failed_keys
        self._store = open_store(self._database, Vault(None if keys is None else parse_keys(keys)))
        self._places = PlacesInForce(
            settings.places_dir,
            leave_out=settings.places_on_error == "leave_out",
            reload_seconds=settings.places_reload_seconds,
            clock=clock,
            telemetry=telemetry,
        )
        # Retried by the client only where twice is once.
        self._channels = [
            connect(settings.compliance, telemetry=telemetry, idempotent=[paths.EVALUATE]),
            connect(settings.scoring, telemetry=telemetry, idempotent=[paths.DECIDE]),
            connect(
                settings.fraud, telemetry=telemetry, idempotent=[paths.ASSESS, paths.RESTORE, paths.OUTCOMES]
            ),
            connect(settings.alerts, telemetry=telemetry, idempotent=[paths.RAISE]),
        ]
        compliance, scoring, fraud, alerts = self._channels
        p = settings.pipeline
        peers = self._peers = Peers(
            compliance,
            scoring,
            fraud,
            alerts,
            timeouts=(settings.compliance.timeout, settings.scoring.timeout, settings.fraud.timeout),
            breaker_seconds=p.breaker_seconds,
            telemetry=telemetry,
        )
        self._ledger = Ledger(self._store, clock)
        erased = ErasedRows(self._database)
        self._erased = ErasedViewers(self._database, erased, telemetry)
        self._outbox = Outbox(self._store, self._ledger, peers, self._erased, clock, telemetry)
        self._policy = PolicyInForce(
            self._store,
            PolicySetCache(settings.policy_dir),
            peers,
            p.enforcing_tenants,
            p.refresh_seconds,
            clock,
            telemetry,
        )
        list_store = ListStore(self._store)
        self._acts = open_acts(settings.senders.rates_redis_url, telemetry.registry)
        self._lists = Lists(list_store, self._acts, p.refresh_seconds, clock, telemetry)
        self._proposals = Proposals(self._lists, list_store, self._outbox.deliver_soon, clock, telemetry)
        self._memory = FraudMemory(self._store, peers, self._places, p.restore_days, clock, telemetry)
        self._pipeline = Pipeline(
            store=self._store,
            peers=peers,
            ledger=self._ledger,
            outbox=self._outbox,
            policy=self._policy,
            lists=self._lists,
            memory=self._memory,
            places=self._places,
            settings=p,
            clock=clock,
            telemetry=telemetry,
        )
        self.subjects = subject_data(
            IngestSubjects(self._store, erased, self._erased, self._pipeline, self._outbox), clock
        )
        self._shards = Shards(self._store, self._pipeline, telemetry)
        self._sentry = Sentry(clock, telemetry)
        key_store, self._flow = KeyStore(self._database), FlowStore(self._database)
        self._rates = open_rates(settings.senders.rates_redis_url, telemetry.registry)
        self._senders = Senders(key_store, self._rates, settings.senders, clock, telemetry)
        self._backlog = Backlog(
            store=self._store,
            flow=self._flow,
            outbox=self._outbox,
            settings=p,
            clock=clock,
            telemetry=telemetry,
        )
        self._door = Door(
            store=self._store,
            pipeline=self._pipeline,
            ledger=self._ledger,
            shards=self._shards,
            erased=self._erased,
            sentry=self._sentry,
            backlog=self._backlog,
            settings=p,
            clock=clock,
            telemetry=telemetry,
        )
        self._failures = Failures(self._store, self._door, p.failed_retention_days, clock, telemetry)
        self.servicer = IngestServicer(
            door=self._door,
            pipeline=self._pipeline,
            store=self._store,
            ledger=self._ledger,
            policy=self._policy,
            failures=self._failures,
            sentry=self._sentry,
            clock=clock,
            senders=self._senders,
            flow=self._flow,
            telemetry=telemetry,
        )
        self.policy_servicer = PolicyServicer(self._store, self._policy)
        label_store = LabelStore(self._store)
        self._outcomes = OutcomeFeed(label_store, peers, telemetry)
        labels = LabelServicer(label_store, clock)
        feedback = FeedbackStore(self._database)
        self._reports = Reports(feedback, clock, telemetry)
        lists = ListServicer(self._lists, list_store, clock)
        key_servicer = KeyServicer(key_store, self._senders, clock)
        flow = FlowServicer(self._store, self._flow, clock)
        enforcement = EnforcementServicer(EnforcementStore(self._store), clock)
        account_servicer = AccountServicer(
            AccountStore(self._store),
            self._erased,
            peers,
            self._pipeline.forget,
            lambda: self._policy.policy_set,
            clock,
        )
        self.services = [
            Service(add_ingest_to_server, self.servicer, INGEST),
            self.subjects,
            Service(policy_pb2_grpc.add_PolicyServiceServicer_to_server, self.policy_servicer, POLICY),
            Service(labels_pb2_grpc.add_LabelServiceServicer_to_server, labels, LABELS),
            Service(lists_pb2_grpc.add_ListServiceServicer_to_server, lists, LISTS),
            Service(enforcement_pb2_grpc.add_EnforcementServiceServicer_to_server, enforcement, ENFORCEMENT),
            Service(keys_pb2_grpc.add_KeyServiceServicer_to_server, key_servicer, KEYS),
            Service(flow_pb2_grpc.add_FlowServiceServicer_to_server, flow, FLOW),
            Service(
                feedback_pb2_grpc.add_FeedbackServiceServicer_to_server,
                FeedbackServicer(feedback, ControlStore(self._database), self._policy, clock),
                FEEDBACK,
            ),
            Service(accounts_pb2_grpc.add_AccountServiceServicer_to_server, account_servicer, ACCOUNTS),
        ]
        """What the server hosts."""
        self.authorise = self._senders.authorise
        self._background = Background(self._log)

    async def __aenter__(self) -> Ingest:
        first = self._settings.policy_set
        await self._policy.start(shipped_policy_set() if first == SHIPPED else first)
        await self._lists.refresh()
        await self._erased.start()
        await self._memory.start()
        await self._door.start()
        await self._database.run(self._store.maintain, self._clock.now_ms())
        await self._shards.start()
        await self._backlog.measure()
        self._background.start(
            {
                "flush": self._flush,
                "maintain": self._maintain,
                "outbox": self._outbox.run,
                "outcomes": self._outcomes.run,
                "policy": self._policy.run,
                "lists": self._lists.run,
                "proposals": self._proposals.run,
                "shards": self._shards.run,
                "failures": self._failures.run,
                "places": self._places.run,
                "erasures": self._erased.run,
                "audit": self._audit,
                "backlog": self._backlog.run,
                "senders": self._senders.run,
                "reports": self._reports.run,
            }
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._background.stop()
        await asyncio.to_thread(self._shards.release)
        for channel in self._channels:
            await channel.close()
        await self._rates.close()
        await self._acts.close()
        await self._database.aclose()
        self._places.close()

    async def healthy(self) -> None:
        """Returns when events can be taken in. The other services may be away: decisions degrade without them."""
        await self._database.ping()
        self._erased.check()
        if not self._policy.policy_set:
            raise FailedPrecondition("NO_POLICY_SET", "no policy set is in force")
        self._background.check()

    async def drain(self) -> None:
        """Finishes what is under way and writes what is gathered. What waits in the inbox stays there."""
        self._door.close()
        self._shards.close()
        await self._pipeline.drained()
        await self._outbox.settle()
        await self._ledger.flush()
        await self._senders.flush()

    async def _audit(self) -> None:
        """Raises an alert for every tenant whose books do not balance."""
        while True:
            await asyncio.sleep(_AUDIT_S)
            try:
                await self.audit()
            except UsherError as error:
                self._log.warning("the books cannot be looked at", extra={"reason": error.reason})

    async def audit(self) -> list[str]:
        """Looks at the books once; returns the tenants whose books do not balance."""
        counts, pending = await self._database.read(self._store.accounting, None)
        now_ms = self._clock.now_ms()
        wrong = [
            tenant
            for tenant in sorted({tenant for tenant, _ in counts})
            if not account(tenant, counts, pending.get(tenant, (0, now_ms)), now_ms).balanced
        ]
        if wrong:
            self._log.error("the books of tenants do not balance", extra={"tenants": wrong[:8]})
            messages = [accounting_alert(tenant, now_ms) for tenant in wrong[:1_000]]
            # Idempotent by the hour; where alerts is away the next look tells it.
            await self._peers.raise_alerts(alerts_pb2.RaiseAlertsRequest(messages=messages))
        return wrong

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            try:
                await self._ledger.flush()
            except UsherError as error:
                self._log.warning("side entries wait: the database is away", extra={"reason": error.reason})

    async def _maintain(self) -> None:
        # SQLite's log is looked at often (a stat); PostgreSQL's partitions rarely.
        pause = _MAINTAIN_S if self._database.dialect == "sqlite" else _PARTITIONS_EVERY_S
        while True:
            await asyncio.sleep(pause)
            try:
                await self._database.run(self._store.maintain, self._clock.now_ms())
            except UsherError as error:
                self._log.warning("maintenance waits", extra={"reason": error.reason})
