"""Counts what the patterns of attack find, for the metrics and for whoever asks which of them ever do."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import Counter

from services.common.attacks.detector import patterns
from services.common.clock import Clock
from services.common.telemetry import Telemetry
from services.ingest.security import Attack
from usher.ingest.v1 import ingest_pb2


class Sentry:
    """The counts of one process since it started."""

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self._since_ms = clock.now_ms()
        self._hits: Tally[str] = Tally()
        self._metric = Counter(
            "usher_attack_pattern_hits",
            "Fields that a pattern of attack fitted.",
            ("pattern", "attack"),
            registry=telemetry.registry,
        )
        self._fields = Counter(
            "usher_attacks_found",
            "Fields that look like an attack, by group of fields and class of attack.",
            ("group", "attack"),
            registry=telemetry.registry,
        )
        self._class_of = {pattern.id: pattern.attack for pattern in patterns()}

    def note(self, attacks: Iterable[Attack]) -> None:
        """Counts the attacks of one event."""
        for attack in attacks:
            self._fields.labels(attack.group, attack.finding.attack).inc()
            for one in attack.finding.patterns:
                self._hits[one] += 1
                self._metric.labels(one, self._class_of[one]).inc()

    def status(self) -> ingest_pb2.GetSecurityStatusResponse:
        """Every pattern with its hits."""
        answer = ingest_pb2.GetSecurityStatusResponse()
        answer.since_time.FromMilliseconds(self._since_ms)
        for pattern in patterns():
            answer.patterns.add(
                pattern_id=pattern.id,
                attack=pattern.attack,
                about=pattern.about,
                strict=pattern.strict,
                hits=self._hits[pattern.id],
            )
        return answer
