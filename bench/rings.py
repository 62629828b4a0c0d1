"""`python -m bench.rings`: planted rings among innocent look-alikes, and how many are found.

    python -m bench.rings                         200,000 accounts, seeds 1 to 3
    python -m bench.rings --seeds 7 --hidden 0.4  another seed, every ring with 40 % of its links hidden
    python -m bench.rings --style star            rings on one device and one card instead of pools
    python -m bench.rings --write edges.csv       writes the edges (and edges.csv.truth) of the first seed, and stops

Every option of the population is a parameter below. A planted ring counts as found where one reported ring holds at
least half of its members and these are the most of it; a reported ring is true where at least half of its members are
of one planted ring. The edges travel as CSV through `services.fraud.sweep`, as an operator's would.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

DAY = 86_400
START = 1_760_000_000
"""2025-10-09: the first second of the observed time."""


@dataclass
class Population:
    """What is planted. Shares are of accounts; times in days."""

    accounts: int = 200_000
    seed: int = 1
    days: int = 60
    household_share: float = 0.55
    household_most: int = 7
    household_payment: float = 0.5
    """Chance that a household of several accounts has one payment instrument."""
    together: float = 0.05
    """Chance that all accounts of a household were opened in one week."""
    dorms: int = 40
    dorm_most: int = 300
    common_room: float = 0.5
    """Chance that a dorm has a television that up to 30 of its accounts use."""
    cgnat_share: float = 0.25
    wifis: int = 300
    family_plans: int = 1_500
    """Payment instruments that accounts of up to six homes share."""
    second_hand: int = 3_000
    """Devices that went from one home to another."""
    rings: int = 40
    ring_least: int = 5
    ring_most: int = 60
    hidden: float = -1.0
    """Share of a ring's links that is hidden; below 0: drawn from 0 to 0.4 for each ring."""
    style: str = "pool"
    """"pool": devices and cards in turn; "star": one device and one card; "farm": devices and one sign-up address,
    cards of their own; "carder": cards and sign-up addresses, devices of their own; "mixed": each ring another."""
    camouflage: float = 0.5
    """Chance that a member has a device, a card and an address of its own as well."""
    sightings: int = 2
    """Rows an edge at most."""


Row = tuple[str, str, str, int]


class Plan:
    """The edges of a population and the truth about it."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.rng = random.Random(population.seed)
        self.rows: list[Row] = []
        self.rings: list[list[str]] = []
        self.innocent: list[tuple[str, list[str]]] = []
        self._names = 0
        self._plant()

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names:07d}"

    def _when(self) -> int:
        return START + int(self.rng.random() * self.population.days * DAY)

    def edge(self, user: str, kind: str, value: str, first: int = -1, last: int = -1) -> None:
        """One edge as one to `sightings` rows."""
        if first < 0:
            first, last = sorted((self._when(), self._when()))
        times = {first, last} if self.population.sightings > 1 else {first}
        self.rows += [(user, kind, value, moment) for moment in sorted(times)]

    def _signup(self, user: str, address: str, moment: int) -> None:
        self.rows.append((user, "signup_ip", address, moment))

    def _domain(self) -> str:
        chance = self.rng.random()
        if chance < 0.9:
            return ("gmail.com", "outlook.com", "yahoo.com", "icloud.com", "gmx.net")[
                int(self.rng.random() * 5)
            ]
        return f"mail{int(self.rng.random() * 4000)}.example"

    def _plant(self) -> None:
        p, rng = self.population, self.rng
        carriers = [self._name("nat") for _ in range(max(1, p.accounts // 8_000))]
        homes: list[list[str]] = []
        selling: list[tuple[list[str], str, int]] = []
        sellers = p.second_hand / (p.accounts / 1.6)
        made = 0
        in_homes = int(p.accounts * p.household_share)
        while made < p.accounts:
            size = 1 + min(int(rng.expovariate(0.6)), p.household_most - 1) if made < in_homes else 1
            members = [self._name("u") for _ in range(size)]
            made += size
            home = [self._name("ip") for _ in range(1 + (rng.random() < 0.2))]
            tvs = [self._name("tv") for _ in range(1 + int(rng.random() * 2))]
            card = self._name("card") if rng.random() < p.household_payment else ""
            opened = START - int(rng.random() * 900 * DAY)
            week = rng.random() < p.together
            mobile = carriers[int(rng.random() * len(carriers))]
            # A home that sells its first television uses it until then.
            sold = START + int((0.3 + 0.4 * rng.random()) * p.days * DAY) if rng.random() < sellers else 0
            for user in members:
                for number, tv in enumerate(tvs):
                    if rng.random() < 0.9:
                        until = sold if sold and number == 0 else START + p.days * DAY
                        self.edge(
                            user,
                            "device",
                            tv,
                            *sorted(START + int(rng.random() * (until - START)) for _ in "fl"),
                        )
                for _ in range(int(rng.random() * 3)):
                    self.edge(user, "device", self._name("phone"))
                self.edge(user, "payment", card or self._name("card"))
                for address in home:
                    if rng.random() < 0.95:
                        self.edge(user, "ip", address)
                if rng.random() < p.cgnat_share:
                    self.edge(user, "ip", mobile)
                self.edge(user, "email_domain", self._domain())
                moment = (
                    opened + int(rng.random() * 7 * DAY) if week else START - int(rng.random() * 900 * DAY)
                )
                self._signup(user, home[0] if rng.random() < 0.7 else mobile, moment)
            homes.append(members)
            if sold:
                selling.append((members, tvs[0], sold))
            if size > 1:
                self.innocent.append(("household", members))
        users = [user for members in homes for user in members]
        for _ in range(p.dorms):
            address = self._name("dorm")
            students = rng.sample(users, min(len(users), 20 + int(rng.random() * (p.dorm_most - 20))))
            for user in students:
                self.edge(user, "ip", address)
            if rng.random() < p.common_room:
                tv = self._name("room")
                for user in students[: 8 + int(rng.random() * 23)]:
                    self.edge(user, "device", tv)
            if rng.random() < 0.5:
                # They signed up in the first week of term, in the dorm.
                term = START - int(rng.random() * 60 * DAY)
                for user in students:
                    self._signup(user, address, term + int(rng.random() * 7 * DAY))
            self.innocent.append(("dorm", students))
        for _ in range(p.wifis):
            address = self._name("wifi")
            for user in rng.sample(users, min(len(users), 30 + int(rng.random() * 400))):
                self.edge(user, "ip", address)
        for _ in range(p.family_plans):
            card = self._name("family")
            payers = [rng.choice(rng.choice(homes)) for _ in range(2 + int(rng.random() * 5))]
            for user in payers:
                self.edge(user, "payment", card)
            self.innocent.append(("family plan", payers))
        for members, device, sold in selling:
            buyers = rng.choice(homes)
            for user in buyers:
                self.edge(user, "device", device, sold + int(rng.random() * 10 * DAY), START + p.days * DAY)
            self.innocent.append(("second hand", members + buyers))
        for _ in range(p.rings):
            self._ring()
        rng.shuffle(self.rows)

    def _ring(self) -> None:
        p, rng = self.population, self.rng
        size = p.ring_least + int(rng.random() * (p.ring_most - p.ring_least + 1))
        hidden = rng.random() * 0.4 if p.hidden < 0 else p.hidden
        style = rng.choice(("pool", "star", "farm", "carder")) if p.style == "mixed" else p.style
        members = [self._name("u") for _ in range(size)]
        few = style == "star"
        devices = [self._name("dev") for _ in range(1 if few else 1 + size // 5)]
        cards = [self._name("stolen") for _ in range(1 if few else 1 + size // 8)]
        addresses = [self._name("proxy") for _ in range(1 + size // 6)]
        signups = [self._name("office") for _ in range(1 + (size > 20))]
        domain = self._name("throw") if rng.random() < 0.4 else "gmail.com"
        opened = START - int(rng.random() * 90 * DAY)
        burst = (2 + rng.random() * 5) * DAY if rng.random() < 0.7 else 200 * DAY
        links: list[Row] = []
        for user in members:
            ours: list[tuple[str, str]] = []
            if style != "carder":
                ours += [
                    ("device", device)
                    for device in rng.sample(devices, min(len(devices), 1 + int(rng.random() * 3)))
                ]
            if style != "farm":
                ours += [
                    ("payment", card)
                    for card in rng.sample(cards, min(len(cards), 1 + int(rng.random() * 2)))
                ]
            ours += [("ip", address) for address in rng.sample(addresses, min(len(addresses), 2))]
            ours.append(("email_domain", domain))
            for kind, value in ours:
                links.append((user, kind, value, self._when()))
            links.append((user, "signup_ip", rng.choice(signups), opened + int(rng.random() * burst)))
            if rng.random() < p.camouflage or style in ("farm", "carder"):
                if style != "farm":
                    self.edge(user, "device", self._name("phone"))
                if style != "carder":
                    self.edge(user, "payment", self._name("card"))
                self.edge(user, "ip", self._name("ip"))
        self.rows += [link for link in links if rng.random() >= hidden]
        self.rings.append(members)

    def write(self, path: Path) -> None:
        """The edges as CSV, the truth as JSON lines beside them."""
        text = {}
        with path.open("w") as file:
            file.write("user,kind,value,time\n")
            for user, kind, value, moment in self.rows:
                written = text.get(moment)
                if written is None:
                    written = text[moment] = datetime.fromtimestamp(moment, UTC).strftime(
                        "%Y-%m-%dT%H:%M:%SZ"
                    )
                file.write(f"{user},{kind},{value},{written}\n")
        with path.with_name(path.name + ".truth").open("w") as file:
            for members in self.rings:
                file.write(json.dumps(members) + "\n")


def judge(plan: Plan, found: list[dict]) -> dict[str, float]:
    """Precision and recall of reported rings, by ring and by account, and innocent groups reported."""
    ring_of = {member: number for number, members in enumerate(plan.rings) for member in members}
    true_rings = 0
    hit: set[int] = set()
    accounts = right = 0
    innocent = 0
    for ring in found:
        members = ring["members"]
        votes = Counter(ring_of[m] for m in members if m in ring_of)
        accounts += len(members)
        right += sum(votes.values())
        innocent += not votes
        if votes:
            number, count = votes.most_common(1)[0]
            true_rings += count >= 0.5 * len(members)
            if count >= 0.5 * len(plan.rings[number]):
                hit.add(number)
    planted = sum(map(len, plan.rings))
    return {
        "reported": len(found),
        "ring_precision": true_rings / len(found) if found else 1.0,
        "ring_recall": len(hit) / len(plan.rings) if plan.rings else 1.0,
        "account_precision": right / accounts if accounts else 1.0,
        "account_recall": right / planted if planted else 1.0,
        "innocent_groups": innocent,
    }


def run(path: Path) -> Iterator[dict]:
    """Rings of a file, by the sweep's own process."""
    command = [sys.executable, "-m", "services.fraud.sweep", "rings", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (json.loads(line) for line in done.stdout.splitlines())


def main() -> int:
    """Runs from the command line; 1 where a floor is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--write", type=Path)
    for field in fields(Population):
        if field.name != "seed":
            kind = {"int": int, "float": float, "str": str}[str(field.type)]
            parser.add_argument("--" + field.name.replace("_", "-"), type=kind, default=field.default)
    options = vars(parser.parse_args())
    seeds, write = options.pop("seeds"), options.pop("write")
    good = True
    for seed in seeds:
        plan = Plan(Population(**options, seed=seed))
        if write is not None:
            plan.write(write)
            return 0
        with tempfile.TemporaryDirectory(prefix="usher-rings-") as folder:
            path = Path(folder) / "edges.csv"
            plan.write(path)
            started = time.perf_counter()
            found = list(run(path))
            seconds = time.perf_counter() - started
        result = judge(plan, found)
        good &= result["ring_precision"] >= 0.97 and result["ring_recall"] >= 0.9
        good &= result["account_precision"] >= 0.97 and result["innocent_groups"] == 0
        shown = {name: round(value, 4) for name, value in result.items()}
        print(
            json.dumps({"seed": seed, "rows": len(plan.rows), **shown, "seconds": round(seconds, 1)}),
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
