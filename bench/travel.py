"""`python -m bench.travel`: how many innocent sessions of the simulator are called impossible travel.

Simulated viewers with trips abroad and VPNs; every address is looked up in the shipped data, every event passes fraud's
memory and its assessing in process. A session counts as false where one of its events moves faster than the limit. Prints
one JSON line; the floor is 0.5 %.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from services.common.event_json import parse_event
from services.common.places import SHIPPED, open_places
from services.fraud.memory_process import TenantMemory
from services.fraud.parameters import shipped
from services.fraud.request import read_columns, read_items
from services.fraud.signals import ALONE, compile_assessor
from usher.decision.v1 import decision_pb2


def main() -> int:
    """Runs from the command line; 1 where the floor is missed."""
    parameters = shipped()
    assess = compile_assessor(parameters)
    memory = TenantMemory(1 << 20)
    places = open_places(SHIPPED)
    sessions: set[str] = set()
    false: set[str] = set()
    events = 0
    with tempfile.TemporaryDirectory(prefix="usher-travel-") as folder:
        path = Path(folder) / "events.jsonl"
        command = ["simulate", "--users", "300", "--days", "5", "--scenarios", "travel,vpn"]
        with path.open("wb") as file:
            subprocess.run(
                [sys.executable, "-m", "cli", *command], stdout=file, check=True, stderr=subprocess.DEVNULL
            )
        for line in path.read_bytes().splitlines():
            event = parse_event(line)
            columns = places.columns([event.ip_address])
            [item] = read_items([event.SerializeToString()], read_columns(1, columns, (), least=1), 0, 1)
            row, _ = assess(memory.observe(item.sighting), item, ALONE)
            session = event.session_id or event.user_id
            sessions.add(session)
            events += 1
            if row[decision_pb2.SIGNAL_INDEX_TRAVEL_KMH] > parameters.travel.impossible_kmh:
                false.add(session)
    share = len(false) / len(sessions)
    print(
        json.dumps(
            {"events": events, "sessions": len(sessions), "false": len(false), "share": round(share, 5)}
        )
    )
    return 0 if share <= 0.005 else 1


if __name__ == "__main__":
    sys.exit(main())
