"""`python -m bench.travel`: how many innocent sessions of the simulator are called impossible travel.

Simulated viewers with trips abroad, VPNs, a member of the family in another city, the Wi-Fi of aircraft, and telephones that
change between Wi-Fi and a carrier; every address is looked up in the shipped data (those of aircraft, for which these have
no coordinates, in the simulator's table of ground stations), every event passes fraud's memory and its assessing in
process. A session counts as false where one of its events moves faster than the limit. Prints one JSON line, with the
sessions and the false ones of each scenario; the floor is 0.5 % of all of them and of each journey.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from services.common.event_json import parse_event
from services.common.places import SHIPPED, Places, open_places
from services.fraud.memory_process import TenantMemory
from services.fraud.parameters import shipped
from services.fraud.request import read_columns, read_items
from services.fraud.signals import ALONE, compile_assessor
from simulator.places import GROUND_STATIONS, GroundStation, address_number
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

SCENARIOS = ("travel", "vpn", "away", "flight", "handover")
JOURNEYS = ("", "travel", "vpn", "flight", "handover")
"""One person each; with `away` two people watch on one account, and two places at once are what is seen."""
FLOOR = 0.005
_ACCURACY_KM = 50


def ground_station(address: str) -> GroundStation | None:
    """The ground station that an address belongs to."""
    number = address_number(address)
    for station in GROUND_STATIONS:
        if station.network.base <= number < station.network.base + station.network.size:
            return station
    return None


def columns_of(places: Places, address: str) -> event_pb2.Places:
    """What is known of an address."""
    columns = places.columns([address])
    station = ground_station(address)
    if station is not None:
        columns.country[:] = [ord(station.country[0]) << 8 | ord(station.country[1])]
        columns.latitude_e4[:] = [round(station.latitude * 1e4)]
        columns.longitude_e4[:] = [round(station.longitude * 1e4)]
        columns.accuracy_km[:] = [_ACCURACY_KM]
        columns.asn[:] = [station.asn]
    return columns


def main() -> int:
    """Runs from the command line; 1 where the floor is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.travel",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--days", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    parameters = shipped()
    assess = compile_assessor(parameters)
    memory = TenantMemory(1 << 20)
    places = open_places(SHIPPED)
    scenario_of: dict[str, str] = {}
    false: set[str] = set()
    events = 0
    with tempfile.TemporaryDirectory(prefix="usher-travel-") as folder:
        path, labels = Path(folder) / "events.jsonl", Path(folder) / "labels.jsonl"
        command = [
            *(sys.executable, "-m", "cli", "simulate", "--users", str(args.users), "--days", str(args.days)),
            *("--seed", str(args.seed), "--scenarios", ",".join(SCENARIOS), "--labels", str(labels)),
        ]
        with path.open("wb") as file:
            subprocess.run(command, stdout=file, check=True, stderr=subprocess.DEVNULL)
        with path.open("rb") as lines, labels.open("rb") as told:
            for line, label in zip(lines, told, strict=True):
                event = parse_event(line)
                columns = columns_of(places, event.ip_address)
                [item] = read_items([event.SerializeToString()], read_columns(1, columns, (), least=1), 0, 1)
                row, _ = assess(memory.observe(item.sighting), item, ALONE)
                session = event.session_id or event.user_id
                scenario_of[session] = json.loads(label)["scenario"]
                events += 1
                if row[decision_pb2.SIGNAL_INDEX_TRAVEL_KMH] > parameters.travel.impossible_kmh:
                    false.add(session)
    sessions, wrong = Counter(scenario_of.values()), Counter(scenario_of[session] for session in false)
    share = len(false) / len(scenario_of)
    print(
        json.dumps(
            {
                "events": events,
                "sessions": len(scenario_of),
                "false": len(false),
                "share": round(share, 5),
                "by_scenario": {
                    name or "ordinary": {"sessions": number, "false": wrong[name]}
                    for name, number in sorted(sessions.items())
                },
            }
        )
    )
    return 0 if share <= FLOOR and all(wrong[name] <= FLOOR * sessions[name] for name in JOURNEYS) else 1


if __name__ == "__main__":
    sys.exit(main())
