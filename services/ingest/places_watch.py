"""Says how old the GeoIP and reputation data are: in the log at start, as metrics all the time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from prometheus_client import Gauge

from services.common.clock import Clock
from services.common.places import DataFile, Places, freshness
from services.common.telemetry import Telemetry


def watch_places(places: Places, clock: Clock, telemetry: Telemetry) -> None:
    """Logs each file's date and age, stale ones as a warning, and registers the metrics."""
    log = telemetry.logger("places")
    log.info("places data", extra={"place_data": places.version, "attribution": places.attributions()})
    for file in freshness(places.files, clock.now_ms() / 1000):
        if file["stale"]:
            log.warning("places data are stale: replace them", extra=file)
        else:
            log.info("places data file", extra=file)
    age = Gauge(
        "usher_place_data_age_days",
        "Age of the oldest file of each kind of places data.",
        ("kind",),
        registry=telemetry.registry,
    )
    stale = Gauge(
        "usher_place_data_stale",
        "Whether a file of that kind is too old to be relied on.",
        ("kind",),
        registry=telemetry.registry,
    )
    unreadable = Gauge(
        "usher_place_records_unreadable",
        "Records of a database that could not be read since the start; their addresses have no place.",
        ("kind",),
        registry=telemetry.registry,
    )
    kinds: defaultdict[str, list[DataFile]] = defaultdict(list)
    for one in places.files:
        kinds[one.kind].append(one)
    for kind, files in kinds.items():
        age.labels(kind).set_function(partial(_oldest_days, files, clock))
        stale.labels(kind).set_function(partial(_any_stale, files, clock))
        unreadable.labels(kind).set_function(partial(_unreadable, places, kind))


def _oldest_days(files: Sequence[DataFile], clock: Clock) -> float:
    return max(file.age_days(clock.now_ms() / 1000) for file in files)


def _any_stale(files: Sequence[DataFile], clock: Clock) -> float:
    return float(any(file.is_stale(clock.now_ms() / 1000) for file in files))


def _unreadable(places: Places, kind: str) -> float:
    return float(places.unreadable[kind])
