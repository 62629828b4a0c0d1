"""The GeoIP and reputation data in force: opened at start, replaced when the folder's files change, their age told."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import Counter, Gauge

from services.common.clock import Clock
from services.common.errors import UsherError
from services.common.places import MANIFEST, DataFile, Places, freshness, open_places
from services.common.telemetry import Telemetry


class PlacesInForce:
    """Holds the places data of a folder. A batch takes `current` once, so that all its places are of one version."""

    def __init__(
        self, folder: Path, *, leave_out: bool, reload_seconds: float, clock: Clock, telemetry: Telemetry
    ) -> None:
        """Opens the data.

        Raises FailedPrecondition (PLACE_DATA_INVALID) for a file that is missing or corrupt, unless `leave_out` says to
        go on without it, and for a folder without a manifest.
        """
        self._folder = folder
        self._reload_seconds = reload_seconds
        self._clock = clock
        self._telemetry = telemetry
        self._log = telemetry.logger("places")
        registry = telemetry.registry
        self._age = Gauge(
            "usher_place_data_age_days",
            "Age of the oldest file of each kind of places data.",
            ("kind",),
            registry=registry,
        )
        self._stale = Gauge(
            "usher_place_data_stale",
            "Whether a file of that kind is too old to be relied on.",
            ("kind",),
            registry=registry,
        )
        self._left_out = Gauge(
            "usher_place_data_left_out",
            "Files of that kind that cannot be used; what they would tell of addresses is unknown.",
            ("kind",),
            registry=registry,
        )
        self._unreadable = Gauge(
            "usher_place_records_unreadable",
            "Records of a database that could not be read since it was opened; their addresses have no place.",
            ("kind",),
            registry=registry,
        )
        self._reloads = Counter(
            "usher_place_data_reloads", "Times changed data were opened.", ("result",), registry=registry
        )
        self._print = self._fingerprint()
        self._before: Places | None = None
        self.current = open_places(folder, leave_out=leave_out)
        self._tell()

    async def run(self) -> None:
        """Replaces the data whenever the folder's files have changed; what cannot be used leaves the old data in force."""
        while True:
            await asyncio.sleep(self._reload_seconds)
            await self.reload_if_changed()

    async def reload_if_changed(self) -> bool:
        """Whether changed data were found and put in force."""
        found = await asyncio.to_thread(self._fingerprint)
        if found == self._print:
            return False
        self._print = found
        try:
            opened = await asyncio.to_thread(open_places, self._folder)
        except UsherError as error:
            self._reloads.labels("refused").inc()
            self._log.error(
                "changed places data cannot be used: the old ones stay in force", extra={"why": error.message}
            )
            return False
        if self._before is not None:
            self._before.close()
        # Batches under way still look up in them.
        self._before, self.current = self.current, opened
        self._reloads.labels("done").inc()
        self._tell()
        return True

    def close(self) -> None:
        """Closes the databases."""
        for places in (self._before, self.current):
            if places is not None:
                places.close()

    def _fingerprint(self) -> bytes:
        """Changes whenever a file of the folder was written or replaced."""
        digest = hashlib.sha256()
        try:
            digest.update((self._folder / MANIFEST).read_bytes())
            for path in sorted(self._folder.iterdir()):
                told = path.stat()
                digest.update(f"\n{path.name} {told.st_size} {told.st_mtime_ns} {told.st_ino}".encode())
        except OSError as error:
            digest.update(repr(error.errno).encode())
        return digest.digest()

    def _tell(self) -> None:
        """Logs each file's date and age, stale ones as a warning, and sets the metrics."""
        places = self.current
        self._log.info(
            "places data", extra={"place_data": places.version, "attribution": places.attributions()}
        )
        for file in freshness(places.files, self._clock.now_ms() / 1000):
            if file["stale"]:
                self._log.warning("places data are stale: replace them", extra=file)
            else:
                self._log.info("places data file", extra=file)
        for gauge in (self._age, self._stale, self._left_out, self._unreadable):
            gauge.clear()
        kinds: defaultdict[str, list[DataFile]] = defaultdict(list)
        for one in places.files:
            kinds[one.kind].append(one)
        for kind, files in kinds.items():
            self._age.labels(kind).set_function(partial(self._of_oldest, files, DataFile.age_days))
            self._stale.labels(kind).set_function(partial(self._of_oldest, files, DataFile.is_stale))
            self._unreadable.labels(kind).set_function(partial(_unreadable, places, kind))
            self._left_out.labels(kind)
        for missing, why in places.left_out:
            self._left_out.labels(missing.kind).inc()
            self._log.error(
                "a file of places data is left out",
                extra={"kind": missing.kind, "file": missing.file, "why": why},
            )

    def _of_oldest(self, files: Sequence[DataFile], figure: Callable[[DataFile, float], float]) -> float:
        now_s = self._clock.now_ms() / 1000
        return max(float(figure(file, now_s)) for file in files)


def _unreadable(places: Places, kind: str) -> float:
    return float(places.unreadable[kind])
