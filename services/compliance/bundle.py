"""The bundle that a subject is handed: JSON and CSV a store, and in words how decisions are made. Pure but for the file.

CSV cells that a spreadsheet would take for a formula begin with an apostrophe (OWASP, CSV injection).
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import IO, Any

import orjson

LOGIC = """How decisions about you are made

For each thing done with your account we ask two questions: may it go ahead, and may data about it be processed.

Whether it goes ahead depends on signs of abuse: where and when an account was used and how fast it would have had to
travel; how unlike its own past an act is (new devices and countries, failed sign-ins, exports, the time of day, how many
events in a short time); whether devices or payment instruments are shared by many accounts. Each sign adds to a score
between 0 and about 15, in parts that are listed with each decision. The sum is compared with a threshold that depends on
how well the account is known (the segment: new, standard, power, inactive, dormant, suspicious). Below it the act goes
ahead; near and above it we ask for a second factor, let a person look, or stop the act. Your consent choices, your
objections and requests such as this one never raise that score.

Whether data may be processed depends on the privacy laws where you are, your consent and your objections.

You can ask for a person to review a decision that was made without one, say what you think of it, and contest it.
"""

STORES = {
    "decisions": "what was done with your account, and what was decided and why",
    "failed_events": "what reached us about your account and could not be read",
    "waiting_events": "what reached us and waits to be decided",
    "profile": "counters kept of your account",
    "labels": "what people or payment processors found out about your account or its events",
    "list_entries": "entries about your account on block, allow and limit lists",
    "account": "your newest address and household",
    "places": "where your account was used",
    "edges": "devices and payment instruments your account was used with",
    "addresses": "addresses your account was used from",
    "failed_sign_ins": "failed sign-ins of the last hours",
    "ring": "a group of accounts that share devices or payment instruments, if yours is in one",
    "alerts": "alerts about your account",
    "consents": "consents and objections recorded for you",
    "requests": "your requests",
}


def write(file: IO[bytes], request_id: str, stores: Mapping[str, list[dict[str, Any]]], now_ms: int) -> str:
    """Writes the zip file; returns its SHA-256, hexadecimal."""
    made = datetime.fromtimestamp(now_ms / 1000, UTC)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, content: bytes) -> None:
            entry = zipfile.ZipInfo(name, made.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)

        put("README.txt", _readme(request_id, stores, made).encode())
        put("logic.txt", LOGIC.encode())
        for name, rows in sorted(stores.items()):
            put(f"{name}.json", orjson.dumps(rows, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
            put(f"{name}.csv", to_csv(rows))
    file.seek(0)
    state = hashlib.sha256()
    while piece := file.read(1 << 20):
        state.update(piece)
    file.seek(0)
    return state.hexdigest()


def to_csv(rows: Iterable[dict[str, Any]]) -> bytes:
    """Rows as CSV (RFC 4180) in UTF-8: a column a path, lists as JSON."""
    flat = [dict(_flatten("", row)) for row in rows]
    columns = sorted({name for row in flat for name in row})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([[_cell(row.get(name)) for name in columns] for row in flat])
    return text.getvalue().encode()


def _flatten(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flatten(f"{path}.{name}" if path else str(name), item)
    elif isinstance(value, list):
        yield path, orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    else:
        yield path, value


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


def _readme(request_id: str, stores: Mapping[str, list[dict[str, Any]]], made: datetime) -> str:
    lines = [
        f"Your data, request {request_id}, {made:%Y-%m-%d %H:%M} UTC",
        "",
        "logic.txt says how decisions about you are made. The other files hold what is kept of you, each as JSON and as a",
        "table (CSV). Nothing in them names other people.",
        "",
    ]
    lines += [
        f"{name:<18}{len(rows):>8} rows  {STORES.get(name, '')}".rstrip()
        for name, rows in sorted(stores.items())
    ]
    if not stores:
        lines.append("Nothing is kept of you.")
    return "\n".join(lines) + "\n"
