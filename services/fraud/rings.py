"""Rings: accounts of one hand, found by what they share; and what might explain it innocently. Pure.

A ring has five accounts or more and two kinds of evidence. Hard identifiers (device, payment instrument) join
accounts; soft ones (address, e-mail domain, sign-up address) only support what hard ones joined, and only where they
are specific to the group: a carrier's NAT or a campus speaks for nobody. How a group is found:

1. A device that changed hands (its users' times do not overlap) is two devices. A resource with more accounts than
   `degree` ties nobody (cap the degree of an identifier before connecting: the practice of fraud graphs).
2. Accounts of one home are one party: what they share exclusively is explained by the home. So are accounts that the
   platform puts into one household.
3. Parties and what they share form a bipartite graph. A link without which the graph falls apart is no group's
   evidence: bridges (Tarjan 1974) are cut, what hangs together without them is a nucleus, and single accounts return
   to a resource that three of the nucleus use. So a second-hand device or one generous viewer joins no two groups.
4. A nucleus is weighed: shares of its parties behind each kind, halved with every half-life since two accounts last
   used what they share; evidence that repeats itself, synchronous sign-up, rare domains; against it what a family, a
   shared flat or a venue would show. The score is the logistic function of the sum, so every contribution can be told.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import exp, log2
from typing import NamedTuple

from services.fraud.memory import (
    ADDRESS,
    DAY_MS,
    DEVICE,
    DOMAIN,
    HARD,
    PAYMENT,
    SIGNUP,
    Component,
    Edge,
    Resource,
)
from services.fraud.parameters import RingParameters

Split = Callable[[Sequence[int], Sequence[Sequence[int]]], list[set[int]]]
"""Splits parties that hang together, given the parties of each tie, into communities."""

_HANDOVER_MS = 3 * DAY_MS
_YEAR_MS = 365 * DAY_MS
_SUPPORT = 3
"""Parties a soft resource must tie to count, and a hard one to take in a single account."""
_SPECIFIC = 0.5
"""Share of a soft resource's accounts that must belong to the group."""
_MAIL_FOR_ALL = frozenset(
    {
        *("gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com"),
        *("ymail.com", "icloud.com", "me.com", "aol.com", "gmx.net", "gmx.de", "web.de", "t-online.de"),
        *("mail.ru", "yandex.ru", "qq.com", "163.com", "126.com", "naver.com", "daum.net", "proton.me"),
        *("protonmail.com", "orange.fr", "free.fr", "libero.it", "uol.com.br", "bol.com.br"),
    }
)
"""Domains where anybody has an address: rare or not among the accounts at hand, they say nothing."""
_LASTING = frozenset({DOMAIN, SIGNUP})
"""Kinds that tell how an account was opened, which time does not change."""
_REPEATED = 0.4
"""Links an account beyond those that a tree needs, below which chance meetings explain a group."""
_CROWD = 30
"""Accounts from which an address counts as a venue: a campus, an office, a hotel."""


class Finding(NamedTuple):
    """One thing that speaks for a ring (points above 0) or against it."""

    code: str
    points: float
    """Contribution to the logit of the score."""
    values: tuple[float, ...]


class Shared(NamedTuple):
    """A resource that members share."""

    kind: str
    name: str
    members: int
    accounts: int
    """All accounts seen on it, members or not; an estimate above the cap."""

    @property
    def rarity(self) -> float:
        """1 for two accounts, falling with the logarithm of their number."""
        return rarity(self.accounts)


class Candidate(NamedTuple):
    """A group as the edges show it, without an id."""

    members: tuple[str, ...]
    """Sorted."""
    score: float
    """0 to 1; a ring from `least_score` on."""
    confidence: float
    """How far the observed links bear the score, 0 to 1: it grows with links a member."""
    shared: tuple[Shared, ...]
    """Most shared first."""
    first_seen_ms: int
    """When the first tie was made: a second account came to a resource."""
    last_seen_ms: int
    findings: tuple[Finding, ...]
    """For and against, weightiest first."""
    innocent: tuple[str, ...]
    """Why it might be innocent."""
    why_not: tuple[str, ...] = ()
    """What it lacks to be a ring; empty: it is one."""
    centrality: tuple[float, ...] = ()
    """Of each member: its links to what is shared, relative to the member that has most."""


class Context(NamedTuple):
    """What is usual among all accounts."""

    signup_span_ms: int = _YEAR_MS
    """Time over which the sign-ups of all accounts spread: how surprising a burst is."""


def rarity(accounts: int) -> float:
    """How much a resource of so many accounts says: 1 for two, 0.5 for four, 0.17 for sixty-four."""
    return 1.0 / log2(max(2, accounts))


def weight(resource: Resource, newest_ms: int, half_life_days: float) -> float:
    """Weight of a tie: its kind's, times rarity, halved every `half_life_days` since two accounts last used it."""
    kind = 1.0 if resource.kind in HARD else 0.3
    fresh = freshness(resource.edges, newest_ms, half_life_days)
    return kind * rarity(max(resource.total, len(resource.edges))) * fresh


def freshness(edges: Sequence[Edge], newest_ms: int, half_life_days: float) -> float:
    """1 where two accounts use a resource now, halved every `half_life_days` since they last did."""
    last = sorted(edge.last_ms for edge in edges)[-2:][0]
    return float(0.5 ** (max(0, newest_ms - last) / DAY_MS / half_life_days))


def find_rings(
    component: Component,
    parameters: RingParameters,
    context: Context = Context(),  # noqa: B008 - immutable
    split: Split | None = None,
) -> list[Candidate]:
    """Rings among the accounts of one component, in order of their first member."""
    return [group for group in examine(component, parameters, context, split) if not group.why_not]


def examine(
    component: Component,
    parameters: RingParameters,
    context: Context = Context(),  # noqa: B008 - immutable
    split: Split | None = None,
) -> list[Candidate]:
    """Rings and groups that are none, each with what speaks for and against it, in order of their first member.

    Work is linear in the component's edges but for sorting, and the memory bounds them. `split` parts nuclei that
    are larger than a ring is.
    """
    ties = [part for resource in component.resources for part in _hands(resource)]
    ties = [tie for tie in ties if not tie.saturated and len(tie.edges) > 1]
    parties, members = _parties(component, ties, parameters, context)
    graph = _Graph(ties, parties, parameters)
    found = []
    for nucleus in graph.nuclei(split, parameters.largest):
        found.append(_weigh(component, graph, members, nucleus, parameters, context))
    return sorted(found, key=lambda group: group.members)


def _hands(resource: Resource) -> list[Resource]:
    """A device that changed hands, as one device a pair of hands."""
    edges = resource.edges
    if resource.kind != DEVICE or len(edges) < 2:
        return [resource]
    edges = sorted(edges, key=lambda edge: (edge.first_ms, edge.account))
    parts: list[list[Edge]] = [[]]
    until = edges[0].last_ms
    for edge in edges:
        used = parts[-1]
        if (
            used
            and edge.first_ms - until > _HANDOVER_MS
            and all(other.last_ms - other.first_ms >= DAY_MS for other in (*used, edge))
        ):
            parts.append([])
        parts[-1].append(edge)
        until = max(until, edge.last_ms)
    if len(parts) == 1:
        return [resource]
    return [
        Resource(resource.kind, resource.name, part, resource.saturated, len(part))
        for part in parts
        if len(part) > 1
    ]


class _Union:
    def __init__(self) -> None:
        self.leader: dict[str, str] = {}

    def lead(self, item: str) -> str:
        leader = self.leader
        while (above := leader.setdefault(item, item)) != item:
            leader[item] = leader[above]
            item = above
        return item

    def join(self, a: str, b: str) -> None:
        a, b = self.lead(a), self.lead(b)
        if a != b:
            self.leader[max(a, b)] = min(a, b)


def _parties(
    component: Component, ties: Sequence[Resource], parameters: RingParameters, context: Context
) -> tuple[dict[str, int], list[list[str]]]:
    """(account -> party, accounts of each party)."""
    union = _Union()
    households: dict[str, str] = {}
    for account, facts in component.accounts.items():
        if facts.household:
            union.join(account, households.setdefault(facts.household, account))
    users = [(tie, {edge.account for edge in tie.edges}) for tie in ties]
    at: dict[str, list[int]] = defaultdict(list)
    for number, (tie, accounts) in enumerate(users):
        if tie.kind in HARD:
            for account in accounts:
                at[account].append(number)
    for tie, home in users:
        if tie.kind != ADDRESS or max(tie.total, len(home)) > parameters.household_accounts:
            continue
        # The family's television also shows those whose telephones have left the home's address.
        inside = {
            number
            for account in home
            for number in at[account]
            if len(users[number][1]) <= parameters.household_accounts
            and len(users[number][1] & home) > 0.75 * len(users[number][1])
        }
        grown = home.union(*(users[number][1] for number in inside))
        if _one_hand(component, grown, [users[number] for number in inside], ties, context):
            continue
        for number in inside:
            first, *others = users[number][1]
            for other in others:
                union.join(first, other)
    crowds = {
        leader
        for leader, size in Counter(map(union.lead, component.accounts)).items()
        if size > parameters.household_accounts
    }
    numbers: dict[str, int] = {}
    members: list[list[str]] = []
    parties: dict[str, int] = {}
    for account in sorted(component.accounts):
        leader = union.lead(account)
        if leader in crowds:
            # Homes that overlap in each other until they are more than a home are none.
            household = component.accounts[account].household
            leader = f"household {household}" if household else f"account {account}"
        if leader not in numbers:
            numbers[leader] = len(members)
            members.append([])
        parties[account] = numbers[leader]
        members[numbers[leader]].append(account)
    return parties, members


def _one_hand(
    component: Component,
    home: set[str],
    inside: Sequence[tuple[Resource, set[str]]],
    ties: Sequence[Resource],
    context: Context,
) -> bool:
    """Whether the accounts at an address look like one hand's rather than a family's.

    Then all of the following holds of six or more of them: one device, one payment instrument and one sign-up
    address, a device for three accounts at most, and sign-ups closer together than chance would have it.
    """
    kinds = {tie.kind: accounts for tie, accounts in sorted(inside, key=lambda item: len(item[1]))}
    if not {DEVICE, PAYMENT} <= set(kinds):
        return False
    hand = kinds[DEVICE] & kinds[PAYMENT]
    if len(hand) < 6:
        return False
    placed: Counter[str] = Counter(
        account
        for tie in ties
        if tie.kind == SIGNUP and sum(edge.account in hand for edge in tie.edges) >= 0.8 * len(hand)
        for account in {edge.account for edge in tie.edges} & hand
    )
    times = {account: time for account, time in _signups(component, hand).items() if account in placed}
    if len(times) < 0.8 * len(hand):
        return False
    uses = sum(component.accounts[account].devices for account in hand)
    shared = [accounts & hand for tie, accounts in inside if tie.kind == DEVICE]
    devices = len(shared) + max(0, uses - sum(map(len, shared)))
    return devices <= len(hand) / 3 and _burst(list(times.values()), context) < _SURPRISING


_SURPRISING = 1e-6
"""Chance below which sign-ups are called synchronous: tens of thousands of families are looked at."""


def _burst(times: Sequence[int], context: Context) -> float:
    """Chance that so many sign-ups lie so close together, were they spread evenly: n (w / S)^(n - 1).

    The distribution of the range of n uniform values, at its leading term (David and Nagaraja, Order Statistics, 2.3).
    """
    n = len(times)
    if n < 2:
        return 1.0
    width = min(1.0, max(max(times) - min(times), 3_600_000) / max(context.signup_span_ms, DAY_MS))
    return min(1.0, float(n * width ** (n - 1)))


class _Graph:
    """Parties and the ties between them."""

    def __init__(self, ties: Sequence[Resource], party: dict[str, int], parameters: RingParameters) -> None:
        self.party = party
        self.ties: list[Resource] = []
        self.ends: list[list[int]] = []
        for tie in ties:
            ends = sorted({party[edge.account] for edge in tie.edges})
            total = max(tie.total, len(tie.edges))
            if tie.kind in HARD:
                good = len(ends) >= 2 and total <= parameters.degree
            else:
                good = len(ends) >= _SUPPORT and len(tie.edges) >= 0.3 * total
                good &= tie.kind != DOMAIN or tie.name not in _MAIL_FOR_ALL
            if good:
                self.ties.append(tie)
                self.ends.append(ends)

    def nuclei(self, split: Split | None, largest: int) -> list[list[int]]:
        """Groups of parties that hang together without a bridge, with single accounts taken in again."""
        cut = self._bridges()
        ends = [[party for party in ends if (party, tie) not in cut] for tie, ends in enumerate(self.ends)]
        blocks: list[set[int]] = []
        for block in _connected(ends):
            if split is not None and len(block) > largest:
                inner = [[p for p in tie if p in block] for tie in ends]
                blocks += split(sorted(block), [tie for tie in inner if len(tie) > 1])
            else:
                blocks.append(block)
        hard = [tie.kind in HARD for tie in self.ties]
        nuclei: list[set[int]] = []
        for block in blocks:
            # Only hard identifiers join: a block that its soft ties alone hold together falls apart.
            inner = [
                [p for p in tie_ends if p in block]
                for tie_ends, is_hard in zip(self.ends, hard, strict=True)
                if is_hard
            ]
            nuclei += [part for part in _connected(inner) if len(part) >= _SUPPORT]
        taken = {party for nucleus in nuclei for party in nucleus}
        for tie, tie_ends in enumerate(self.ends):
            if not hard[tie] or all(party in taken for party in tie_ends):
                continue
            best = max(nuclei, key=lambda nucleus: sum(p in nucleus for p in tie_ends), default=None)
            if best is not None and sum(party in best for party in tie_ends) >= _SUPPORT:
                newcomers = [party for party in tie_ends if party not in taken]
                best.update(newcomers)
                taken.update(newcomers)
        # What is in no nucleus is looked at with those it is tied to, so that it can be said why it is no ring.
        loose = [
            tie_ends
            for tie_ends, is_hard in zip(self.ends, hard, strict=True)
            if is_hard and any(party not in taken for party in tie_ends)
        ]
        for part in _connected([[p for p in tie_ends if p not in taken] for tie_ends in loose]):
            nuclei.append(part)
            taken |= part
        alone = {party for tie_ends in loose for party in tie_ends} - {p for part in nuclei for p in part}
        nuclei += [
            {party, *(other for tie_ends in loose if party in tie_ends for other in tie_ends)}
            for party in sorted(alone)
        ]
        return [sorted(nucleus) for nucleus in nuclei]

    def _bridges(self) -> set[tuple[int, int]]:
        """Links (party, tie) without which the graph falls apart."""
        near: dict[int, list[int]] = defaultdict(list)
        for tie, ends in enumerate(self.ends):
            for party in ends:
                near[party].append(~tie)
                near[~tie].append(party)
        order: dict[int, int] = {}
        low: dict[int, int] = {}
        bridges: set[tuple[int, int]] = set()
        for start in near:
            if start in order:
                continue
            order[start] = low[start] = len(order)
            stack = [(start, start, iter(near[start]))]
            while stack:
                node, parent, rest = stack[-1]
                for other in rest:
                    if other == parent:
                        continue
                    if other in order:
                        low[node] = min(low[node], order[other])
                    else:
                        order[other] = low[other] = len(order)
                        stack.append((other, node, iter(near[other])))
                        break
                else:
                    stack.pop()
                    if stack:
                        low[parent] = min(low[parent], low[node])
                        if low[node] > order[parent]:
                            bridges.add((node, ~parent) if node >= 0 else (parent, ~node))
        return bridges


def _connected(groups: Iterable[Sequence[int]]) -> list[set[int]]:
    """Sets of parties connected by groups of two or more."""
    leader: dict[int, int] = {}

    def lead(item: int) -> int:
        while (above := leader.setdefault(item, item)) != item:
            leader[item] = leader[above]
            item = above
        return item

    for group in groups:
        if len(group) > 1:
            first = lead(group[0])
            for other in group[1:]:
                leader[lead(other)] = first
                first = lead(first)
    parts: dict[int, set[int]] = defaultdict(set)
    for item in leader:
        parts[lead(item)].add(item)
    return list(parts.values())


def _weigh(
    component: Component,
    graph: _Graph,
    accounts_of: Sequence[Sequence[str]],
    nucleus: Sequence[int],
    parameters: RingParameters,
    context: Context,
) -> Candidate:
    inside = set(nucleus)
    members = sorted(account for party in nucleus for account in accounts_of[party])
    member_set = set(members)
    n = len(nucleus)
    behind: dict[str, set[int]] = defaultdict(set)
    fresh: dict[str, dict[int, float]] = defaultdict(dict)
    newest = max((edge.last_ms for tie in component.resources for edge in tie.edges), default=0)
    shared: list[Shared] = []
    edges: list[Edge] = []
    spans: list[tuple[str, list[int]]] = []
    first_seen = []
    links = vertices = 0
    signup_places: set[str] = set()
    crowded: Counter[str] = Counter()
    family: set[str] = set()
    for tie, ends in zip(graph.ties, graph.ends, strict=True):
        ours = [party for party in ends if party in inside]
        held = [edge for edge in tie.edges if edge.account in member_set]
        total = max(tie.total, len(tie.edges))
        specific = tie.kind in HARD or (len(held) >= _SPECIFIC * total and len(ours) >= _SUPPORT)
        if tie.kind == PAYMENT:
            family.add(tie.name)
        if len(ours) < 2 or not specific:
            continue
        behind[tie.kind].update(ours)
        now = 1.0 if tie.kind in _LASTING else freshness(held, newest, parameters.half_life_days)
        of_kind = fresh[tie.kind]
        for party in ours:
            of_kind[party] = max(now, of_kind.get(party, 0.0))
        spans.append((tie.kind, ours))
        links += len(ours)
        vertices += 1
        shared.append(Shared(tie.kind, tie.name, len(held), total))
        edges += held
        first_seen.append(sorted(edge.first_ms for edge in held)[1] if len(held) > 1 else held[0].first_ms)
        if tie.kind == SIGNUP:
            signup_places.add(tie.name)
    addresses: dict[str, int] = {}
    for resource in component.resources:
        if resource.kind == ADDRESS:
            held_here = sum(edge.account in member_set for edge in resource.edges)
            addresses[resource.name] = held_here
            if max(resource.total, len(resource.edges)) >= _CROWD:
                crowded[resource.name] = held_here
    share = {kind: len(parties) / n for kind, parties in behind.items()}
    age = {kind: sum(parties.values()) / len(parties) for kind, parties in fresh.items()}
    signups = _signups(component, member_set)
    chance = _burst(list(signups.values()), context) if len(signups) >= 0.6 * len(members) else 1.0
    burst = chance < 1e-4
    # Where they sign up at the very place where they watch, sign-up says no more than the place.
    watched = {name for name, count in addresses.items() if count > 1}
    apart = bool(signup_places - watched) or burst
    repeated = max(0.0, links - vertices - n + 1) / n

    device, payment = share.get(DEVICE, 0.0), share.get(PAYMENT, 0.0)
    primary = max(device, payment)
    seconds = {
        "second_hard_kind": min(device, payment)
        if len(behind[DEVICE if device < payment else PAYMENT]) >= 3
        else 0.0,
        "signup_address": share.get(SIGNUP, 0.0) if apart else 0.0,
        "rare_domain": share.get(DOMAIN, 0.0) if burst or n > parameters.household_accounts else 0.0,
        "address": share.get(ADDRESS, 0.0) if payment > device and n > parameters.household_accounts else 0.0,
    }
    second = max(seconds, key=lambda code: seconds[code])
    crowd = max(crowded.values(), default=0)
    venue = crowd >= 0.8 * len(members) and crowd >= _SUPPORT
    small = n <= parameters.household_accounts
    payments = sum(item.kind == PAYMENT for item in shared)
    hard_ties = [(tie, {edge.account for edge in tie.edges}) for tie in graph.ties if tie.kind in HARD]
    supported = (
        (share.get(SIGNUP, 0.0) >= 0.5 and bool(signup_places - watched))
        or (burst and not watched)
        or _one_hand(component, member_set, hard_ties, graph.ties, context)
    )

    findings = [Finding("base", -2.2, ())]

    def add(code: str, points: float, *values: float) -> None:
        if abs(points) > 0.005:
            findings.append(Finding(code, round(points, 3), tuple(round(value, 3) for value in values)))

    # What is shared is evidence as long as it was; how much it weighs falls with the time since.
    now_device, now_payment = age.get(DEVICE, 1.0), age.get(PAYMENT, 1.0)
    devices = sum(item.kind == DEVICE for item in shared)
    add("shared_devices", 1.6 * device * now_device, device, devices, now_device)
    add("shared_payments", 1.6 * payment * now_payment, payment, payments, now_payment)
    if second != "second_hard_kind":
        now = age.get(ADDRESS, 1.0) if second == "address" else 1.0
        add(second, 1.2 * seconds[second] * now, seconds[second], now)
    add("repeated_links", 1.2 * min(1.5, repeated), repeated)
    if repeated < _REPEATED:
        add("single_links", -2.0 * (1 - repeated / _REPEATED), repeated)
    if burst:
        add("signup_burst", 1.0, len(signups), (max(signups.values()) - min(signups.values())) / DAY_MS)
    if share.get(DOMAIN, 0.0) >= 0.5 and second != "rare_domain":
        add("rare_domain", 0.5, share[DOMAIN])
    add("size", 0.5 * min(1.0, (n - 5) / 10), n)
    innocent = []
    if small and not supported:
        innocent.append("family_plan")
        add("family_plan", -4.0, n)
    if venue:
        innocent.append("one_venue")
        add("one_venue", -1.0, crowd)
    if n <= 2 * parameters.household_accounts and _two_homes(spans, n):
        innocent.append("passed_on")
        add("passed_on", -4.0, n)
    one = max(addresses.values(), default=0)
    if one == len(members):
        innocent.append("one_address")
        if len(members) <= parameters.household_accounts:
            innocent.append("household_size")
    if len(members) > n:
        innocent.append("shared_household")
    if len(signups) >= 0.6 * len(members) and not burst:
        innocent.append("signups_apart")
    logit = sum(finding.points for finding in findings)
    score = 1.0 / (1.0 + exp(-logit))

    why_not = []
    if n < parameters.minimum_accounts:
        why_not.append(
            "too_few_accounts" if len(members) < parameters.minimum_accounts else "too_few_parties"
        )
    if primary < 0.4 or max(len(behind[DEVICE]), len(behind[PAYMENT])) < 3 or seconds[second] < 0.3:
        why_not.append("one_kind_of_evidence")
    if not why_not and score < parameters.least_score:
        why_not.append("explained" if innocent else "weak_evidence")
    per_member = links / n
    own = Counter(edge.account for edge in edges)
    return Candidate(
        members=tuple(members),
        score=round(score, 6),
        confidence=round((1.0 - exp(-per_member / 1.5)) * abs(2 * score - 1), 6),
        shared=tuple(sorted(shared, key=lambda item: (-item.members, item.kind, item.name))),
        first_seen_ms=min(first_seen, default=0),
        last_seen_ms=max((edge.last_ms for edge in edges), default=0),
        findings=tuple(sorted(findings, key=lambda finding: (-abs(finding.points), finding.code))),
        innocent=tuple(innocent),
        why_not=tuple(why_not),
        centrality=tuple(round(own[member] / max(own.values()), 3) for member in members) if own else (),
    )


def _two_homes(spans: Sequence[tuple[str, Sequence[int]]], n: int) -> bool:
    """Whether one device alone holds two or more groups together that each have evidence of their own.

    So looks a device that went from one home to another where its times do not show it.
    """
    for number, (kind, ends) in enumerate(spans):
        if kind == DEVICE and len(ends) > 2:
            parts = _connected([other for place, (_, other) in enumerate(spans) if place != number])
            if len(parts) > 1 and sum(map(len, parts)) >= 0.8 * n and max(map(len, parts)) <= 0.8 * n:
                return True
    return False


def _signups(component: Component, members: set[str]) -> dict[str, int]:
    """When members signed up, as far as known."""
    times = {
        name: component.accounts[name].created_ms for name in members if component.accounts[name].created_ms
    }
    for resource in component.resources:
        if resource.kind == SIGNUP and component.signups_timed:
            for edge in resource.edges:
                if edge.account in members:
                    times.setdefault(edge.account, edge.first_ms)
    return times
