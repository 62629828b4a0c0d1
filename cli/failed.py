"""`usher failed`: events that were accepted and could not be decided."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import EXIT_INCOMPLETE, EXIT_OK, UnusableError, exit_statuses, leave, say
from cli.home import DEFAULT_HOME, Home
from cli.options import HomeOption, TenantOption

app = typer.Typer(
    name="failed",
    help="Events that were accepted and could not be decided: list, show, replay.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_AT_ONCE = 256
_PAGE = 200

TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="ADDRESS",
        help="Ingest's gRPC address instead of the mesh of --home.",
        show_default=False,
    ),
]
ReasonOption = Annotated[
    str,
    typer.Option(
        "--reason", metavar="NAME", help="Only this reason: SECURITY, UNDECIDABLE, ...", show_default=False
    ),
]
ComponentOption = Annotated[
    str,
    typer.Option("--component", metavar="NAME", help="Only what this component failed.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]


@app.command("list")
def list_command(
    reason: ReasonOption = "",
    component: ComponentOption = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only what waits to be replayed.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")] = 100,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """List failed events, newest first, without what was sent.

    \b
    Examples:
      usher failed list --open
      usher failed list --reason SECURITY --json | jq -r .failed_id
    """
    from services.common.failed_json import failed_to_json

    with exit_statuses(), _Ingest(target or Home(home).target("ingest"), tenant) as ingest:
        found = list(ingest.failed(reason, component, open_only, limit))
        if as_json:
            _write(failed_to_json(one) for one in found)
            leave(EXIT_OK)
        for one in found:
            shown = failed_to_json(one)
            first = (
                shown["errors"][0]["field"] + " " + shown["errors"][0]["reason"] if shown["errors"] else ""
            )
            state = "replayed" if one.replayed else "locked" if one.locked else "open"
            print(
                _plain(
                    f"{shown['failed_at']}  {one.failed_id}  {one.failure.reason:<14} {state:<9}{one.event_id}  {first}"
                )
            )
        say(f"{len(found)} failed events" + (f"; --limit {limit} was reached" if len(found) == limit else ""))
        leave(EXIT_OK)


@app.command("show")
def show_command(
    failed_id: Annotated[str, typer.Argument(metavar="FAILED_ID", show_default=False)],
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
) -> None:
    """Show one failed event as JSON, with every error and what was sent. Correct `event` and submit it again.

    \b
    Examples:
      usher failed show failed_0123456789abcdef0123456789abcdef
      usher failed show FAILED_ID | jq -c .event > event.jsonl
    """
    import orjson

    from services.common.failed_json import failed_to_json

    with exit_statuses(), _Ingest(target or Home(home).target("ingest"), tenant) as ingest:
        shown = failed_to_json(ingest.one(failed_id))
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        sys.stdout.buffer.write(orjson.dumps(shown, option=options))
        leave(EXIT_OK)


@app.command("replay")
def replay_command(
    failed_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FAILED_ID...", help="Which; - reads one a line from stdin.", show_default=False
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that wait, or those that --reason and --component name.")
    ] = False,
    reason: ReasonOption = "",
    component: ComponentOption = "",
    accept_attacks: Annotated[
        bool,
        typer.Option(
            "--accept-attacks", help="You have looked at them: what looks like an attack is only marked."
        ),
    ] = False,
    home: HomeOption = Path(DEFAULT_HOME),
    target: TargetOption = None,
    tenant: TenantOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Have failed events checked and decided again, as they were kept.

    Each is decided at most once: replaying it again answers that decision. Exit status 1 where one failed again.

    \b
    Examples:
      usher failed replay --all --reason UNDECIDABLE
      usher failed replay failed_0123456789abcdef0123456789abcdef --accept-attacks
    """
    from collections import Counter

    with exit_statuses(), _Ingest(target or Home(home).target("ingest"), tenant) as ingest:
        if everything == bool(failed_ids):
            raise UnusableError("name failed events, or say --all")
        if (reason or component) and not everything:
            raise UnusableError("--reason and --component go with --all")
        wanted = (
            [one.failed_id for one in ingest.failed(reason, component, True, sys.maxsize)]
            if everything
            else _named(failed_ids or [])
        )
        outcomes: Counter[str] = Counter()
        for start in range(0, len(wanted), _AT_ONCE):
            results = ingest.replay(wanted[start : start + _AT_ONCE], accept_attacks)
            outcomes.update(one["status"] for one in results)
            if as_json:
                _write(results)
            else:
                for one in results:
                    print(
                        _plain(
                            f"{one['failed_id']}  {one['status']:<10}{one['event_id'] or ''}  {one['told']}"
                        )
                    )
            if len(wanted) > _AT_ONCE:
                say(f"{min(start + _AT_ONCE, len(wanted))} of {len(wanted)}")
        say(
            ", ".join(f"{number} {status}" for status, number in sorted(outcomes.items()))
            or "nothing to replay"
        )
        leave(EXIT_INCOMPLETE if outcomes["failed"] + outcomes["refused"] else EXIT_OK)


class _Ingest:
    """What the commands ask ingest."""

    def __init__(self, target: str, tenant: str, timeout: float = 30.0) -> None:
        self._target, self._tenant, self._timeout = target, tenant, timeout

    def __enter__(self) -> _Ingest:
        from cli.mesh import connected
        from usher.ingest.v1 import ingest_pb2_grpc

        self._connected = connected(self._target)
        self._stub: Any = ingest_pb2_grpc.IngestServiceStub(self._connected.__enter__())
        return self

    def __exit__(self, *error: Any) -> None:
        self._connected.__exit__(*error)

    def failed(self, reason: str, component: str, open_only: bool, limit: int) -> Iterator[Any]:
        """Failed events, newest first."""
        from usher.ingest.v1 import ingest_pb2

        token = ""
        while limit > 0:
            answer = self._ask(
                self._stub.ListFailedEvents,
                ingest_pb2.ListFailedEventsRequest(
                    tenant=self._tenant,
                    page_size=min(limit, _PAGE),
                    page_token=token,
                    reason=reason,
                    component=component,
                    open_only=open_only,
                ),
            )
            yield from answer.failed_events
            limit -= len(answer.failed_events)
            token = answer.next_page_token
            if not token:
                return

    def one(self, failed_id: str) -> Any:
        """One failed event with its payload."""
        from usher.ingest.v1 import ingest_pb2

        request = ingest_pb2.GetFailedEventRequest(tenant=self._tenant, failed_id=failed_id)
        return self._ask(self._stub.GetFailedEvent, request).failed_event

    def replay(self, failed_ids: Sequence[str], accept_attacks: bool) -> list[dict[str, Any]]:
        """What became of each."""
        from cli.mode import user_name
        from services.common.failed_json import failure_to_json
        from usher.ingest.v1 import ingest_pb2

        answer = self._ask(
            self._stub.ReplayFailedEvents,
            ingest_pb2.ReplayFailedEventsRequest(
                tenant=self._tenant, failed_ids=failed_ids, accept_attacks=accept_attacks, actor=user_name()
            ),
        )
        results = []
        for one in answer.results:
            name = ingest_pb2.EventStatus.Name(one.result.status).removeprefix("EVENT_STATUS_").lower()
            shown: dict[str, Any] = {
                "failed_id": one.failed_id,
                "event_id": one.result.event_id or None,
                "status": name,
                "told": one.result.failure.reason,
            }
            if one.result.HasField("failure"):
                shown |= failure_to_json(one.result.failure)
            results.append(shown)
        return results

    def _ask(self, method: Callable[..., Any], request: Any) -> Any:
        from cli.mesh import call, told
        from services.common.errors import InvalidArgument, NotFound

        try:
            return call(self._target, method, request, self._timeout)
        except (InvalidArgument, NotFound) as error:
            raise UnusableError(told(error)) from None


def _named(failed_ids: Sequence[str]) -> list[str]:
    if list(failed_ids) != ["-"]:
        return list(failed_ids)
    return [line.strip() for line in sys.stdin if line.strip()]


def _plain(text: str) -> str:
    from cli.mesh import printable

    return printable(text)


def _write(values: Any) -> None:
    import orjson

    for one in values:
        sys.stdout.buffer.write(
            orjson.dumps({k: v for k, v in one.items() if k != "told"}, option=orjson.OPT_APPEND_NEWLINE)
        )
    sys.stdout.buffer.flush()
