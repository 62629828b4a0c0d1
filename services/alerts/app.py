"""The parts of alerts, put together: stores, channels, loops."""

from __future__ import annotations

import secrets
import ssl

from services.alerts import rules as alerting
from services.alerts.channels import open_channels
from services.alerts.chores import Chores, Raiser
from services.alerts.delivery import Deliverer
from services.alerts.servicer import AlertsServicer
from services.alerts.settings import AlertsSettings
from services.alerts.store import AlertStore
from services.alerts.store_deliveries import DeliveryStore
from services.alerts.store_incidents import IncidentStore
from services.alerts.store_retention import RetentionStore
from services.common.client import connect
from services.common.clock import Clock
from services.common.config import ConfigError
from services.common.db import Database
from services.common.outbound import GuardedSender
from services.common.telemetry import Telemetry
from usher.ingest.v1 import labels_pb2_grpc

RECORD_LABELS = "/usher.ingest.v1.LabelService/RecordLabels"


class Alerts:
    """Everything that `python -m services.alerts` runs, but database and server. An async context manager."""

    def __init__(
        self, settings: AlertsSettings, database: Database, telemetry: Telemetry, clock: Clock
    ) -> None:
        try:
            text = settings.rules_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"the alerting rules {settings.rules_file} cannot be read: {error}"]) from None
        rules = alerting.parse(text)
        key = settings.entity_key.encode() if settings.entity_key else secrets.token_bytes(32)
        self._senders: list[GuardedSender] = []
        channels = open_channels(
            rules.channels,
            logger=telemetry.logger("channel.log"),
            key=key,
            sender=lambda context: self._sender(settings, context),
            timeout=settings.delivery.timeout_seconds,
        )
        self._ingest = (
            None
            if settings.ingest is None
            else connect(settings.ingest, telemetry=telemetry, idempotent=[RECORD_LABELS])
        )
        store, deliveries = AlertStore(database, rules), DeliveryStore(database)
        self._deliverer = Deliverer(deliveries, channels, settings.delivery, telemetry=telemetry, clock=clock)
        raiser = Raiser(store, clock, self._committed)
        self.servicer = AlertsServicer(
            store,
            deliveries,
            IncidentStore(database, rules),
            raiser,
            rules,
            channels,
            telemetry=telemetry,
            clock=clock,
        )
        self._chores = Chores(
            store,
            deliveries,
            raiser,
            None if self._ingest is None else labels_pb2_grpc.LabelServiceStub(self._ingest).RecordLabels,
            settings.delivery.dead_after_seconds,
            RetentionStore(database),
            settings.retention,
            wake=self._committed,
            clock=clock,
            telemetry=telemetry,
        )

    def _sender(self, settings: AlertsSettings, context: ssl.SSLContext | None) -> GuardedSender:
        sender = GuardedSender(
            allowed=settings.delivery.allow_networks,
            tls=context,
            connections_per_host=settings.delivery.in_flight,
        )
        self._senders.append(sender)
        return sender

    def _committed(self) -> None:
        self._deliverer.wake()
        self.servicer.changed()

    async def __aenter__(self) -> Alerts:
        self._deliverer.start()
        self._chores.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._chores.stop()
        for sender in self._senders:
            await sender.aclose()
        if self._ingest is not None:
            await self._ingest.close()

    async def drain(self) -> None:
        """Delivers what is due once more, and ends."""
        await self._deliverer.stop()
