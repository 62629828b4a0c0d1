"""What recorded violations may cost, and what stopping them is worth: a calculation from stated assumptions.

Pure: equal inputs give equal answers, whatever their order, and asking twice changes nothing. Every figure is a range;
nothing that the inputs do not state is invented. It is a model for planning, not a forecast of what an authority does.

**Exposure** of one regulation in the period, from its pack's facts:

* *maximum* (GDPR art. 83 and the like): one infringement or linked ones are fined once (art. 83(3)), so the exposure is
  ``maximum x probability x share of the maximum``, once a regulation, however many events there are. The maximum is the
  fixed amount, or the percentage of the stated turnover, or the higher or the lower of both, as the law says.
* *per violation* (CCPA, state acts, VPPA, COPPA): ``violations x amount x probability x share``; violations of one rule
  on one person count once.

``probability`` and ``share_of_maximum`` are ranges that the inputs state for a regulation or for all (`default`). A
regulation without them is shown with its maximum and counted as not estimated.

**Prevented** is only what a confirmed action stopped (`confirmed: true` on the violation): the exposure with all
violations less that of those that remain. For a *maximum* it is zero at the low end while any violation remains, and at
the high end the share of the violations that were stopped. What is told several times of one event counts once, and as
confirmed if any of its tellings was; one person's violation of one rule is prevented only if it was in every event.
Incidents and customers kept count only as many as were confirmed. Reputation has no figure.

**Result** for the period: value less cost, return in per cent of the cost, months until the value has paid for the
setup. Where the value range covers zero, so does what follows from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from services.compliance.packs import Pack, PackError, parse_yaml

MAX_BYTES = 50_000_000
MAX_VIOLATIONS = 1_000_000

_TURNOVERS = {
    "pct_worldwide_turnover": "worldwide",
    "pct_prior_year_turnover": "worldwide",
    "pct_total_turnover": "worldwide",
    "pct_adjusted_turnover": "australia",
    "pct_brazil_turnover": "brazil",
    "pct_brazil_group_revenue": "brazil",
    "pct_sg_turnover": "singapore",
}
"""Turnover that a percentage is of, by the key of the packs' facts."""
_FIXED = ("max_", "corporate_max_", "cap_", "else_max_")
_PER_VIOLATION = ("per_violation_usd", "liquidated_damages_usd_min", "first_usd")


class ImpactError(ValueError):
    """Inputs that cannot be used; the text says which and why."""


class Range(NamedTuple):
    """From `low` to `high`, both included."""

    low: float
    high: float

    def times(self, other: Range) -> Range:
        """The product of two ranges of numbers that are not negative."""
        return Range(self.low * other.low, self.high * other.high)

    def plus(self, other: Range) -> Range:
        """The sum."""
        return Range(self.low + other.low, self.high + other.high)

    def told(self) -> dict[str, float]:
        """As JSON values, whole units of money."""
        return {"low": round(self.low), "high": round(self.high)}


NOTHING = Range(0.0, 0.0)


class Violation(NamedTuple):
    """One rule violated on one person."""

    regulation: str
    rule: str
    subject: str


class Inputs(NamedTuple):
    """What is known and assumed."""

    violations: Mapping[Violation, bool]
    """Whether an action that stopped it was confirmed, in each of its events."""
    recorded: int
    """How many were told, repeats among them."""
    months: float
    currency: str
    rates: Mapping[str, float]
    """Units of `currency` for one of another."""
    turnover: Mapping[str, float]
    """By name, in `currency`."""
    enforcement: Mapping[str, tuple[Range, Range]]
    """(probability, share of the maximum) by regulation, or "default"."""
    incidents: tuple[int, Range]
    """Confirmed as prevented, and the cost of one."""
    customers: tuple[int, Range]
    """Confirmed as kept, and the value of one."""
    setup: float
    yearly: Mapping[str, float]


class Maximum(NamedTuple):
    """The most that a regulation allows."""

    amount: float
    """In the currency of the inputs."""
    per_violation: bool
    cite: str
    verification: str


def read_inputs(document: bytes, decisions: Iterable[Mapping[str, Any]] = ()) -> Inputs:
    """The inputs of a YAML or JSON document, and the violations of decisions beside its own. Raises ImpactError."""
    if len(document) > MAX_BYTES:
        raise ImpactError(f"inputs have at most {MAX_BYTES:,} bytes, these {len(document):,}")
    try:
        tree = parse_yaml(document, aliases=True)
    except PackError as error:
        raise ImpactError(str(error)) from error
    if not isinstance(tree, dict):
        raise ImpactError("the inputs are a mapping with `violations` and `assumptions`")
    unknown = sorted(set(map(str, tree)) - {"period", "violations", "confirmed_events", "assumptions"})
    if unknown:
        raise ImpactError(
            f"{', '.join(unknown)}: write `period`, `violations`, `confirmed_events` and `assumptions`"
        )
    confirmed = tree.get("confirmed_events", [])
    if not isinstance(confirmed, list):
        raise ImpactError("confirmed_events is a list of event ids")
    given = tree.get("violations", [])
    more = recorded(decisions, frozenset(map(str, confirmed)))
    violations, told = _violations([*given, *more] if isinstance(given, list) else given)
    assumed = _mapping(tree.get("assumptions"), "assumptions")
    known = {"currency", "rates", "turnover", "enforcement", "incidents", "customers", "costs"}
    for key in assumed:
        if key not in known:
            raise ImpactError(f"assumptions.{key}: write one of {', '.join(sorted(known))}")
    costs = _mapping(assumed.get("costs"), "assumptions.costs")
    yearly = {
        name: _number(value, f"assumptions.costs.{name}") for name, value in costs.items() if name != "setup"
    }
    enforcement = _mapping(assumed.get("enforcement"), "assumptions.enforcement")
    return Inputs(
        violations=violations,
        recorded=told,
        months=_months(tree.get("period")),
        currency=str(assumed.get("currency", "EUR")).upper(),
        rates=_numbers(assumed.get("rates"), "assumptions.rates"),
        turnover=_numbers(assumed.get("turnover"), "assumptions.turnover"),
        enforcement={
            name: _odds(value, f"assumptions.enforcement.{name}") for name, value in enforcement.items()
        },
        incidents=_counted(assumed.get("incidents"), "assumptions.incidents", "confirmed_prevented", "cost"),
        customers=_counted(assumed.get("customers"), "assumptions.customers", "confirmed_kept", "value"),
        setup=_number(costs.get("setup", 0), "assumptions.costs.setup"),
        yearly=yearly,
    )


def estimate(inputs: Inputs, packs: Sequence[Pack]) -> dict[str, Any]:
    """Exposure, prevented exposure, value, cost and result, as JSON values. Raises ImpactError."""
    by_id = {pack.id: pack for pack in packs}
    entries: list[dict[str, Any]] = []
    remaining, prevented, warnings = NOTHING, NOTHING, list[str]()
    for regulation in sorted({violation.regulation for violation in inputs.violations}):
        pack = by_id.get(regulation)
        if pack is None:
            raise ImpactError(f"violations name {regulation}, of which there is no pack")
        entry, left, stopped = _regulation(pack, inputs, warnings)
        entries.append(entry)
        remaining, prevented = remaining.plus(left), prevented.plus(stopped)
    count, each = inputs.incidents
    incidents = Range(count * each.low, count * each.high)
    kept, worth = inputs.customers
    customers = Range(kept * worth.low, kept * worth.high)
    value = prevented.plus(incidents).plus(customers)
    running = sum(inputs.yearly.values()) * inputs.months / 12
    cost = inputs.setup + running
    return {
        "currency": inputs.currency,
        "months": round(inputs.months, 2),
        "violations": {
            "told": inputs.recorded,
            "distinct": len(inputs.violations),
            "confirmed_prevented": sum(inputs.violations.values()),
        },
        "regulations": entries,
        "exposure_remaining": remaining.told(),
        "value": {
            "fines": prevented.told(),
            "incidents": incidents.told(),
            "customers": customers.told(),
            "total": value.told(),
        },
        "cost": {"setup": round(inputs.setup), "running": round(running), "total": round(cost)},
        "net": Range(value.low - cost, value.high - cost).told(),
        "return_percent": _percent(value, cost),
        "payback_months": _payback(value, running, inputs),
        "not_estimated": [item["regulation"] for item in entries if item["exposure"] is None],
        "warnings": warnings,
    }


def _regulation(pack: Pack, inputs: Inputs, warnings: list[str]) -> tuple[dict[str, Any], Range, Range]:
    mine = {
        violation: done for violation, done in inputs.violations.items() if violation.regulation == pack.id
    }
    total, stopped = len(mine), sum(mine.values())
    maximum = _maximum(pack, inputs, warnings)
    odds = inputs.enforcement.get(pack.id) or inputs.enforcement.get("default")
    entry: dict[str, Any] = {
        "regulation": pack.id,
        "violations": total,
        "confirmed_prevented": stopped,
        "maximum": None
        if maximum is None
        else {
            "amount": round(maximum.amount),
            "per_violation": maximum.per_violation,
            "cite": maximum.cite,
            "verification": maximum.verification,
        },
        "exposure": None,
        "remaining": None,
        "prevented": None,
    }
    if maximum is None or odds is None:
        what = "its pack tells no amount" if maximum is None else "no probability is assumed for it"
        warnings.append(f"{pack.id} is not estimated: {what}")
        return entry, NOTHING, NOTHING
    probability, share = odds
    each = probability.times(share).times(Range(maximum.amount, maximum.amount))
    if maximum.per_violation:
        exposure = Range(each.low * total, each.high * total)
        left = Range(each.low * (total - stopped), each.high * (total - stopped))
        saved = Range(each.low * stopped, each.high * stopped)
    else:
        exposure = each
        left = each if total > stopped else NOTHING
        saved = Range(0.0 if total > stopped else each.low, each.high * stopped / total)
    entry |= {"exposure": exposure.told(), "remaining": left.told(), "prevented": saved.told()}
    return entry, left, saved


def _maximum(pack: Pack, inputs: Inputs, warnings: list[str]) -> Maximum | None:
    """The greatest of what the pack's facts on fines tell."""
    fines = pack.facts.get("fines")
    found: list[Maximum] = []
    for record in _records(fines):
        value = record["value"]
        assert isinstance(value, dict)
        amount, per_violation = _amount(pack.id, value, inputs, warnings)
        if amount is not None:
            found.append(
                Maximum(
                    amount, per_violation, str(record.get("cite", "")), str(record.get("verification", ""))
                )
            )
    return max(found, key=lambda maximum: maximum.amount, default=None)


def _records(tree: Any) -> list[dict[str, Any]]:
    if not isinstance(tree, dict):
        return []
    if isinstance(tree.get("value"), dict):
        return [tree]
    return [record for inner in tree.values() for record in _records(inner)]


def _amount(
    regulation: str, value: Mapping[str, Any], inputs: Inputs, warnings: list[str]
) -> tuple[float | None, bool]:
    for key in _PER_VIOLATION:
        if isinstance(value.get(key), int):
            return _converted(value[key], "USD", inputs), True
    fixed = [
        _converted(number, key.split("_cap_")[-1].removesuffix("_per_infraction")[-3:].upper(), inputs)
        for key, number in value.items()
        if key.startswith(_FIXED) and isinstance(number, int) and not key.endswith("units")
    ]
    capped = any(key.startswith("cap_") for key in value)
    shares = []
    for key, number in value.items():
        name = _TURNOVERS.get(key)
        if name is None or not isinstance(number, int | float):
            continue
        if name in inputs.turnover:
            shares.append(inputs.turnover[name] * number / 100)
        else:
            warnings.append(f"{regulation}: no turnover `{name}` is assumed, so {number} % of it is left out")
    if shares and fixed:
        return (min if capped else max)(max(shares), max(fixed)), False
    amounts = [*shares, *fixed]
    return (max(amounts) if amounts else None), False


def _converted(amount: float, currency: str, inputs: Inputs) -> float:
    if currency == inputs.currency:
        return float(amount)
    rate = inputs.rates.get(currency)
    if rate is None:
        raise ImpactError(f"assumptions.rates.{currency}: say how many {inputs.currency} one {currency} is")
    return amount * rate


def _percent(value: Range, cost: float) -> dict[str, float] | None:
    if cost <= 0:
        return None
    return {
        "low": round((value.low - cost) / cost * 100, 1),
        "high": round((value.high - cost) / cost * 100, 1),
    }


def _payback(value: Range, running: float, inputs: Inputs) -> dict[str, float | None]:
    """Months until value less running cost has paid for the setup; null: never at that rate."""

    def months(total: float) -> float | None:
        monthly = (total - running) / inputs.months
        return round(inputs.setup / monthly, 1) if monthly > 0 else None

    return {"low_value": months(value.low), "high_value": months(value.high)}


def _violations(value: Any) -> tuple[dict[Violation, bool], int]:
    if not isinstance(value, list):
        raise ImpactError("violations is a list of {regulation, rule, subject, event, confirmed}")
    if len(value) > MAX_VIOLATIONS:
        raise ImpactError(f"violations holds at most {MAX_VIOLATIONS:,} entries")
    told: dict[tuple[Violation, str], bool] = {}
    for number, item in enumerate(value):
        entry = _mapping(item, f"violations[{number}]")
        parts = []
        for key in ("regulation", "rule", "subject"):
            text = entry.get(key)
            if not isinstance(text, str | int) or isinstance(text, bool) or str(text) == "":
                raise ImpactError(f"violations[{number}].{key} is a text")
            parts.append(str(text))
        confirmed = entry.get("confirmed", False)
        if not isinstance(confirmed, bool):
            raise ImpactError(f"violations[{number}].confirmed is true or false")
        event = entry.get("event", "")
        if not isinstance(event, str | int) or isinstance(event, bool):
            raise ImpactError(f"violations[{number}].event is a text")
        one = (Violation(*parts), str(event))
        told[one] = told.get(one, False) or confirmed
    found: dict[Violation, bool] = {}
    for (violation, _), stopped in told.items():
        found[violation] = found.get(violation, True) and stopped
    return found, len(value)


def recorded(
    decisions: Iterable[Mapping[str, Any]], confirmed_events: Collection[str]
) -> list[dict[str, Any]]:
    """The violations of decisions as `usher decide --json` writes them, as entries of `violations`.

    `confirmed_events` are those of which the caller confirmed that what was suppressed did not happen. Lines that are
    no decision (failed, refused) hold no finding.
    """
    return [
        {
            "regulation": finding["regulation"],
            "rule": finding["rule"],
            "subject": decision["user_id"],
            "event": decision["event_id"],
            "confirmed": decision["event_id"] in confirmed_events,
        }
        for decision in decisions
        for finding in decision.get("findings", ())
    ]


def _months(value: Any) -> float:
    period = _mapping(value, "period")
    days: list[date] = []
    for key in ("from", "to"):
        try:
            days.append(date.fromisoformat(str(period.get(key))))
        except ValueError as error:
            raise ImpactError(f"period.{key} is a date, such as 2026-01-01") from error
    if days[0] >= days[1]:
        raise ImpactError("period.from lies before period.to")
    start, end = days
    return (end.year - start.year) * 12 + end.month - start.month + (end.day - start.day) / (365.2425 / 12)


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ImpactError(f"{path} is a mapping")
    return value


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e15:
        raise ImpactError(f"{path} is a number from 0 to 1e15")
    return float(value)


def _numbers(value: Any, path: str) -> dict[str, float]:
    return {key: _number(inner, f"{path}.{key}") for key, inner in _mapping(value, path).items()}


def _range(value: Any, path: str, most: float) -> Range:
    if not isinstance(value, list) or len(value) != 2:
        raise ImpactError(f"{path} is a range: [low, high]")
    low, high = (_number(item, path) for item in value)
    if low > high or high > most:
        raise ImpactError(f"{path} goes from low to high, at most {most:g}")
    return Range(low, high)


def _odds(value: Any, path: str) -> tuple[Range, Range]:
    entry = _mapping(value, path)
    return (
        _range(entry.get("probability"), f"{path}.probability", 1.0),
        _range(entry.get("share_of_maximum"), f"{path}.share_of_maximum", 1.0),
    )


def _counted(value: Any, path: str, count: str, each: str) -> tuple[int, Range]:
    if value is None:
        return 0, NOTHING
    entry = _mapping(value, path)
    number = _number(entry.get(count), f"{path}.{count}")
    if number != int(number):
        raise ImpactError(f"{path}.{count} is a whole number")
    return int(number), _range(entry.get(each), f"{path}.{each}", 1e15)
