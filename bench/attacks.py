"""How much attack detection finds, what it takes for an attack, and what it costs.

    python -m bench.attacks [DATA]

DATA is a folder with `attacks/` (`sqli`, `xss`, `traversal` as .txt with the source of each line in .prov.tsv, and
crs_requests.json, requests of the OWASP Core Rule Set's regression tests) and `benign/` (.txt); without it the folder that
USHER_TEST_DATA names. Recall by source, false positives by kind, then the cost of an event of the usual shape beside the
checks of its form alone. Figures of time are medians of several rounds in this process; the ratio is what travels between
machines.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from rich.console import Console
from rich.table import Table

from services.common.attacks.detector import Kind, inspect

# Rules of level 1 (the default) in CRS 4; 930130 and 930140 are about files of a server.
_LEVEL_1 = {
    *(930100, 930110, 930120, 930130, 930140),
    *(941100, 941110, *range(941130, 941141, 10), *range(941160, 941311, 10), 941350, 941360, 941370, 941390, 941400),
    *(942100, 942140, 942151, 942160, 942170, 942190, *range(942220, 942251, 10), *range(942270, 942291, 10)),
    *(942320, 942350, 942360, 942500, 942540, 942550, 942560),
}  # fmt: skip
_PLAIN_HEADERS = {"host", "accept", "content-type", "accept-encoding", "accept-language", "content-length"}
_TEST_AGENT = "OWASP CRS test agent"


def lines_of(path: Path) -> list[str]:
    """Lines of a file, bytes that are no UTF-8 as surrogates."""
    return path.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n").split("\n")


def parts_of(request: dict[str, Any]) -> list[str]:
    """What of a request can carry an attack: its address, its query, its body, their names and values, its headers."""
    uri, data = request["uri"], request["data"] or ""
    query = uri.partition("?")[2]
    parts = [uri, unquote_plus(uri), unquote_plus(query), data]
    forms = [query] if data.startswith(("<", "{", "--")) else [query, data]
    for form in forms:
        parts += [text for pair in parse_qsl(form, keep_blank_values=True) for text in pair]
    parts += [
        str(value)
        for name, value in request["headers"].items()
        if name.lower() not in _PLAIN_HEADERS and value != _TEST_AGENT
    ]
    return [part for part in parts if part]


def recall_by_source(folder: Path, name: str) -> list[tuple[str, int, int, int]]:
    """(source, lines, found, found in the right class) of one corpus; the last row is all of it."""
    lines = lines_of(folder / f"{name}.txt")
    origins = [line.split("\t")[1].partition(":")[0] for line in lines_of(folder / f"{name}.prov.tsv")]
    rows: dict[str, list[int]] = {}
    for line, origin in zip(lines, origins, strict=True):
        finding = inspect(line)
        for source in (origin, "all"):
            row = rows.setdefault(source, [0, 0, 0])
            row[0] += 1
            row[1] += finding is not None
            row[2] += finding is not None and finding.attack == name
    whole = rows.pop("all")
    return [(source, *row) for source, row in sorted(rows.items())] + [("all", *whole)]  # type: ignore[misc]


def recall_of_requests(path: Path) -> list[tuple[str, int, int]]:
    """(class, requests, found) of the rule set's tests, then those of level-1 rules and all."""
    requests, found = Counter[str](), Counter[str]()
    for attack, tests in json.loads(path.read_bytes()).items():
        for request in tests:
            hit = any(inspect(part) is not None for part in parts_of(request))
            groups = [attack, "all"] + (["level 1"] if request["rule_id"] in _LEVEL_1 else [])
            requests.update(groups)
            if hit:
                found.update(groups)
    order = [*sorted(set(requests) - {"all", "level 1"}), "level 1", "all"]
    return [(group, requests[group], found[group]) for group in order]


def false_positives(path: Path) -> tuple[int, list[tuple[str, tuple[str, ...]]]]:
    """(lines, those taken for an attack with the patterns that did)."""
    lines = lines_of(path)
    return len(lines), [
        (line, finding.patterns) for line in lines if (finding := inspect(line, Kind.TEXT)) is not None
    ]


def usual_events(number: int, distinct: int) -> list[Any]:
    """Events of the shape that players send; what repeats in life (agents, versions) has few values."""
    from usher.event.v1 import event_pb2

    agents = [
        f"Mozilla/5.0 (SMART-TV; Linux; Tizen {n % 4 + 4}.0) AppleWebKit/{500 + n}.36 (KHTML, like Gecko) TV Safari"
        for n in range(40)
    ]
    events = []
    for n in range(number):
        event = event_pb2.Event(
            event_id=f"evt_20261125_{n:09d}",
            user_id=f"user_{n % 9_000}",
            device_id=f"tv_lg_{n % 9_000:06x}",
            content_id=f"movie_{n % 4_000}",
            event_type="play",
            region="NL",
            is_eu=True,
            has_consent=True,
            ip_address=f"203.0.{n % 200}.{n % 250 + 1}",
            subscription_plan="premium",
            error_code="" if n % 5 else f"ERR_{n % 30}",
            user_agent=agents[n % len(agents)],
            metadata_json=b'{"app_version":"%d.%d.0","bitrate":%d,"network":"wifi"}'
            % (n % 5, n % 11, 1000 + n % distinct),
        )
        event.event_time.FromSeconds(1_764_000_000)
        events.append(event)
    return events


def microseconds(work: Callable[[Any], object], values: Sequence[Any], rounds: int = 7) -> float:
    """Median over rounds of the time a value takes."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for value in values:
            work(value)
        times.append((time.perf_counter() - start) / len(values) * 1e6)
    return statistics.median(times)


def main(arguments: Sequence[str]) -> int:
    """Prints the tables."""
    given = arguments[0] if arguments else os.environ.get("USHER_TEST_DATA", "")
    console = Console()
    if given:
        _print_recall(console, Path(given))
        _print_false_positives(console, Path(given))
    else:
        console.print("no corpora: name their folder, or set USHER_TEST_DATA")
    _print_cost(console)
    return 0


def _print_recall(console: Console, data: Path) -> None:
    table = Table("corpus", "source", "lines", "found", "recall", "class told", title="Recall")
    for name in ("sqli", "xss", "traversal"):
        for source, number, found, told in recall_by_source(data / "attacks", name):
            table.add_row(
                name, source, f"{number}", f"{found}", f"{found / number:.2%}", f"{told / number:.2%}"
            )
    for group, number, found in recall_of_requests(data / "attacks" / "crs_requests.json"):
        table.add_row("CRS requests", group, f"{number}", f"{found}", f"{found / number:.2%}", "")
    console.print(table)


def _print_false_positives(console: Console, data: Path) -> None:
    table = Table("kind", "lines", "taken for an attack", "rate", title="False positives")
    examples = []
    for path in sorted((data / "benign").glob("*.txt")):
        number, wrong = false_positives(path)
        table.add_row(path.stem, f"{number}", f"{len(wrong)}", f"{len(wrong) / number:.3%}")
        examples += wrong[:3]
    console.print(table)
    for line, ids in examples:
        console.print(f"  {line[:100]!r} {', '.join(ids)}", markup=False)


def _print_cost(console: Console) -> None:
    from services.ingest import check

    # More distinct metadata than any cache holds, so that each is read.
    events = usual_events(20_000, distinct=20_000)
    now_ms = 1_764_000_000_000
    form = microseconds(lambda event: check.violations(event, now_ms), events)
    both = microseconds(lambda event: check.examine(event, now_ms), events)
    table = Table("an event of the usual shape", "microseconds", title="Cost")
    table.add_row("form and cleanness alone", f"{form:.2f}")
    table.add_row("with attack patterns", f"{both:.2f}")
    table.add_row("attack patterns (budget 8)", f"{both - form:.2f}")
    console.print(table)
    console.print(f"ratio {both / form:.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
