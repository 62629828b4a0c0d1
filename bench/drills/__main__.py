"""`python -m bench.drills`: kills ingest at random moments under traffic and proves that nothing was lost.

    python -m bench.drills                                  50 kills on SQLite, then 50 on PostgreSQL
    python -m bench.drills --database sqlite --kills 5      a short one
    python -m bench.drills --database postgresql --seed 7   other traffic, other moments
    python -m bench.drills queue                            more is offered than fits (has its own --help)
    python -m bench.drills sources                          every way in at once (has its own --help)

The sender keeps its own books of what it sent and what it was told, uses both doors, and sends again what was not
acked. Ingest is killed with SIGKILL, every fifth time another service with it, and started again. Afterwards all is
compared id by id: nothing acked is missing, nothing was decided twice or otherwise than answered, the accounting
closes, every alert was told once, and the profiles equal, to the byte, those of an undisturbed run of the same events.
A seed fixes the events and the moments in time, not what the machine makes of them.

Exit status: 0 if all is well, 1 if anything is not. Runs on loopback, in a folder of its own, and ends by itself.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.drills import Result, drill, queue, sources
from tests.servers import PostgresServer

STEPS_AFTER_KILLS = 4
MOST_SHOWN = 20

console = Console(stderr=True)


def table(results: list[Result]) -> Table:
    """The results, one column a drill."""
    made = Table(title="Drills", show_header=True)
    made.add_column("")
    for result in results:
        made.add_column(result.database, justify="right")
    rows = {
        "kills": lambda r: "\n".join(f"{service}: {n}" for service, n in sorted(r.kills.items())),
        "ingest serves again, median": lambda r: f"{statistics.median(r.back_s):.1f} s" if r.back_s else "-",
        "slowest": lambda r: f"{max(r.back_s):.1f} s" if r.back_s else "-",
        "events sent": lambda r: f"{r.sent:,}",
        "sent again without an ack": lambda r: f"{r.resent:,}",
        "decided": lambda r: f"{r.decided:,}",
        "of these degraded": lambda r: f"{r.degraded:,}",
        "failed (invalid on purpose)": lambda r: f"{r.failed:,}",
        "messages told to alerts": lambda r: f"{r.alerts:,}",
        "seed": lambda r: str(r.seed),
        "violations": lambda r: f"[bold red]{len(r.violations)}[/]" if r.violations else "[green]none[/]",
    }
    for name, cell in rows.items():
        made.add_row(name, *(cell(result) for result in results))
    return made


def main() -> int:
    """Parses arguments, runs the drills, prints what they found."""
    if sys.argv[1:2] == ["queue"]:
        return queue.main(sys.argv[2:])
    if sys.argv[1:2] == ["sources"]:
        return sources.main(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m bench.drills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--kills", type=int, default=50, help="kills of ingest a database (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the traffic and the moments (default 1)")
    args = parser.parse_args()
    if args.kills < 1:
        parser.error("--kills is at least 1")
    results: list[Result] = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=console) as progress:
        for name in ("sqlite", "postgresql") if args.database == "both" else (args.database,):
            task = progress.add_task(name, total=args.kills + STEPS_AFTER_KILLS, now="starting the mesh")
            begun = [False]

            def step(what: str, task: object = task, begun: list[bool] = begun) -> None:
                progress.update(task, advance=1 if begun[0] else 0, now=what)  # type: ignore[arg-type]
                begun[0] = True

            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="usher-drill-")))
                url = stack.enter_context(PostgresServer()).url if name == "postgresql" else None
                try:
                    results.append(drill(folder, url, args.kills, args.seed, step))
                except AssertionError as error:
                    # The mesh did not come back, or never came to rest: a violation like any other.
                    results.append(Result(name, args.seed, violations=[str(error)]))
            progress.update(task, advance=1, now="done")
    console.print(table(results))
    wrong = [f"{result.database}: {violation}" for result in results for violation in result.violations]
    for line in wrong[:MOST_SHOWN]:
        console.print(line, style="red", markup=False, highlight=False)
    if len(wrong) > MOST_SHOWN:
        console.print(f"... and {len(wrong) - MOST_SHOWN} more", style="red")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
