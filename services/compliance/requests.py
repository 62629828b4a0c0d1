"""The life of a subject request: what is due when, and which step may follow which. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from services.common.errors import FailedPrecondition, FieldViolation, InvalidArgument
from services.compliance import duties, ledger
from services.compliance.calendars import Period, due_ms
from services.compliance.duties import Deadline, Facts
from usher.compliance.v1 import records_pb2
from usher.compliance.v1.records_pb2 import SubjectRequest

R = records_pb2
OPEN, ASKED, READY = (
    R.SUBJECT_REQUEST_STATE_OPEN,
    R.SUBJECT_REQUEST_STATE_IDENTITY_ASKED,
    R.SUBJECT_REQUEST_STATE_READY,
)
FULFILLING, HELD = R.SUBJECT_REQUEST_STATE_FULFILLING, R.SUBJECT_REQUEST_STATE_HELD
COMPLETED, REFUSED, WITHDRAWN = (
    R.SUBJECT_REQUEST_STATE_COMPLETED,
    R.SUBJECT_REQUEST_STATE_REFUSED,
    R.SUBJECT_REQUEST_STATE_WITHDRAWN,
)
CLOSED = frozenset((COMPLETED, REFUSED, WITHDRAWN))
DOWNLOADS = frozenset((R.SUBJECT_RIGHT_ACCESS, R.SUBJECT_RIGHT_PORTABILITY))
LEDGER_PURPOSES: dict[int, str] = {
    R.SUBJECT_RIGHT_OPT_OUT: ledger.OPT_OUT,
    R.SUBJECT_RIGHT_OBJECTION: ledger.OBJECTION,
    R.SUBJECT_RIGHT_RESTRICTION: ledger.RESTRICTION,
}
"""Rights that are fulfilled by an entry of the consent ledger, and the purpose it is about."""
MAX_TEXT = 4_000
DUE_SOON_MS = 5 * 86_400_000
"""How long before the end people are reminded."""
_DAY_MS = 86_400_000

_A = {name.removeprefix("SUBJECT_REQUEST_ACTION_"): number for name, number in R.SubjectRequestAction.items()}
_ALLOWED: dict[int, frozenset[int]] = {
    _A["ACKNOWLEDGE"]: frozenset((OPEN, ASKED, READY)),
    _A["ASK_IDENTITY"]: frozenset((OPEN, READY)),
    _A["CONFIRM_IDENTITY"]: frozenset((OPEN, ASKED)),
    _A["REJECT_IDENTITY"]: frozenset((OPEN, ASKED)),
    _A["EXTEND"]: frozenset((OPEN, ASKED, READY)),
    _A["FULFIL"]: frozenset((READY,)),
    _A["ANSWER"]: frozenset((READY,)),
    _A["REFUSE"]: frozenset((OPEN, ASKED, READY)),
    _A["WITHDRAW"]: frozenset((OPEN, ASKED, READY)),
}
_NEEDS_NOTE = frozenset((_A["EXTEND"], _A["ANSWER"], _A["REFUSE"]))


def open_request(request: SubjectRequest, facts: Iterable[Facts], now_ms: int, actor: str) -> None:
    """Sets state, identity, duties and the first step of a new request (identity set by the caller)."""
    confirmed = request.identity == R.IDENTITY_STATE_CONFIRMED
    request.state = READY if confirmed else OPEN
    if not confirmed:
        request.identity = R.IDENTITY_STATE_UNCHECKED
    note(request, "OPENED", now_ms, actor)
    count(request, facts)


def count(request: SubjectRequest, facts: Iterable[Facts]) -> None:
    """Computes the duties of a request anew; what was met stays met.

    The one that decides stands first: the earliest end that binds; without one the earliest of the house's rules.
    """
    met = {
        (one.regulation, one.what): one.met_time.ToMilliseconds()
        for one in request.duties
        if one.HasField("met_time")
    }
    received = request.received_time.ToMilliseconds()
    found: list[tuple[bool, int, R.RequestDuty]] = []
    for one in duties.in_force(facts, request.jurisdiction, received):
        deadline = duties.right_deadline(one, request.right, received)
        if deadline is None:
            continue
        found += _duties(request, one.id, deadline)
    if not any(duty.what == "answer" for _, _, duty in found):
        house = Deadline(
            None,
            None,
            None,
            duties.HOUSE_RULE,
            "request_received",
            "",
            "",
            "house policy: no law that applies gives a period for this",
            "",
            False,
            "",
            {},
        )
        found += _duties(request, duties.POLICY, house)
    found.sort(key=lambda one: (one[2].what != "answer", not one[0], one[1]))
    del request.duties[:]
    for _, _, duty in found:
        when = met.get((duty.regulation, duty.what))
        if when is not None:
            duty.met_time.FromMilliseconds(when)
        request.duties.append(duty)
    request.due_time.CopyFrom(request.duties[0].due_time)


def _duties(
    request: SubjectRequest, regulation: str, deadline: Deadline
) -> list[tuple[bool, int, R.RequestDuty]]:
    """(binds, due, duty) of one record: the answer, and the acknowledgement where the law asks for one."""
    found = []
    binding = deadline.binding and deadline.period is not None
    period = deadline.period or deadline.policy
    if period is not None:
        extension = deadline.extension
        taken = [period]
        if request.extended and extension is not None:
            taken.append(extension)
        duty = _duty(request, regulation, "answer", deadline, taken, binding)
        if extension is not None and not request.extended:
            duty.extendable_to_time.FromMilliseconds(_end(request, regulation, [period, extension]))
        found.append((binding, duty.due_time.ToMilliseconds(), duty))
    if deadline.acknowledge is not None:
        duty = _duty(request, regulation, "acknowledge", deadline, [deadline.acknowledge], deadline.binding)
        found.append((deadline.binding, duty.due_time.ToMilliseconds(), duty))
    return found


def _duty(
    request: SubjectRequest,
    regulation: str,
    what: str,
    deadline: Deadline,
    periods: list[Period],
    binding: bool,
) -> R.RequestDuty:
    paused = _paused_ms(request, regulation)
    told = " + ".join(map(str, periods)) + (f" + {paused // _DAY_MS} days paused" if paused else "")
    duty = R.RequestDuty(
        regulation=regulation,
        what=what,
        cite=deadline.cite,
        binding=binding,
        period=told,
        verification=deadline.verification,
        wording=deadline.wording,
    )
    duty.due_time.FromMilliseconds(_end(request, regulation, periods))
    return duty


def _end(request: SubjectRequest, regulation: str, periods: list[Period]) -> int:
    start = request.received_time.ToMilliseconds() + _paused_ms(request, regulation)
    union = regulation in duties.UNION_LAW
    units = {period.unit for period in periods}
    if len(units) == 1:
        whole = Period(sum(period.number for period in periods), periods[0].unit)
        return due_ms(start, whole, request.jurisdiction, union_law=union)
    for period in periods:
        start = due_ms(start, period, request.jurisdiction, union_law=union)
    return start


def _paused_ms(request: SubjectRequest, regulation: str) -> int:
    """Whole days for which the clock stood still."""
    if regulation not in duties.PAUSES_FOR_IDENTITY:
        return 0
    return request.paused_seconds * 1000 // _DAY_MS * _DAY_MS


def act(
    request: SubjectRequest,
    action: int,
    text: str,
    contest: int,
    facts: Iterable[Facts],
    now_ms: int,
    actor: str,
) -> None:
    """Moves a request on.

    Raises InvalidArgument (FIELD_INVALID) and FailedPrecondition (STATE_NOT_ALLOWED).
    """
    name = R.SubjectRequestAction.Name(action).removeprefix("SUBJECT_REQUEST_ACTION_")  # type: ignore[arg-type]
    allowed = _ALLOWED.get(action)
    if allowed is None:
        raise invalid("action", "say what is to be done")
    if request.state not in allowed:
        raise not_allowed(request, name)
    if action in _NEEDS_NOTE and not text.strip():
        raise invalid("note", f"{name} needs a reason")
    if action == _A["FULFIL"]:
        if request.right in DOWNLOADS:
            raise invalid("action", "an access or portability request is fulfilled by handing out its bundle")
        if request.right != R.SUBJECT_RIGHT_ERASURE:
            raise invalid("action", "a person answers this request: use ANSWER")
        request.state = FULFILLING
    elif action == _A["ANSWER"]:
        if request.right == R.SUBJECT_RIGHT_CONTEST:
            if contest not in (R.CONTEST_OUTCOME_UPHELD, R.CONTEST_OUTCOME_OVERTURNED):
                raise invalid("contest", "say whether the decision is upheld or overturned")
            request.contest = contest  # type: ignore[assignment]
        elif request.right == R.SUBJECT_RIGHT_ERASURE:
            raise invalid(
                "action", "an erasure is fulfilled by the mesh, so that it is certified: use FULFIL"
            )
        close(request, COMPLETED, now_ms)
    elif action == _A["ASK_IDENTITY"]:
        request.state, request.identity = ASKED, R.IDENTITY_STATE_ASKED
        request.paused_since_time.FromMilliseconds(now_ms)
    elif action == _A["CONFIRM_IDENTITY"]:
        request.state, request.identity = READY, R.IDENTITY_STATE_CONFIRMED
        resume(request, now_ms)
        count(request, facts)
    elif action == _A["REJECT_IDENTITY"]:
        request.identity = R.IDENTITY_STATE_REJECTED
        close(request, REFUSED, now_ms)
    elif action == _A["EXTEND"]:
        extend(request, facts, now_ms)
    elif action == _A["ACKNOWLEDGE"]:
        for duty in request.duties:
            if duty.what == "acknowledge" and not duty.HasField("met_time"):
                duty.met_time.FromMilliseconds(now_ms)
    else:
        close(request, REFUSED if action == _A["REFUSE"] else WITHDRAWN, now_ms)
    note(request, _PAST[name], now_ms, actor, text)


_PAST = {
    "ACKNOWLEDGE": "ACKNOWLEDGED",
    "ASK_IDENTITY": "IDENTITY_ASKED",
    "CONFIRM_IDENTITY": "IDENTITY_CONFIRMED",
    "REJECT_IDENTITY": "IDENTITY_REJECTED",
    "EXTEND": "EXTENDED",
    "FULFIL": "FULFILMENT_BEGUN",
    "ANSWER": "ANSWERED",
    "REFUSE": "REFUSED",
    "WITHDRAW": "WITHDRAWN",
}


def resume(request: SubjectRequest, now_ms: int) -> None:
    """Ends the pause of the clock."""
    if request.HasField("paused_since_time"):
        stood = max(0, now_ms - request.paused_since_time.ToMilliseconds())
        request.paused_seconds += stood // 1000
        request.ClearField("paused_since_time")


def extend(request: SubjectRequest, facts: Iterable[Facts], now_ms: int) -> None:
    """Extends the period; only within the first one (GDPR art. 12(3)), once, and where the deciding law allows it."""
    if request.extended:
        raise FailedPrecondition("STATE_NOT_ALLOWED", "the period was extended already")
    duty = request.duties[0]
    if not duty.HasField("extendable_to_time"):
        raise FailedPrecondition(
            "STATE_NOT_ALLOWED", f"{duty.regulation} allows no extension here ({duty.cite})"
        )
    if now_ms > duty.due_time.ToMilliseconds():
        raise FailedPrecondition(
            "STATE_NOT_ALLOWED", "the first period is over: it can no longer be extended"
        )
    request.extended = True
    count(request, facts)


def close(request: SubjectRequest, state: int, now_ms: int) -> None:
    """Ends a request: whether in time is decided here."""
    resume(request, now_ms)
    request.state = state  # type: ignore[assignment]
    request.closed_time.FromMilliseconds(now_ms)
    request.overdue = now_ms > request.due_time.ToMilliseconds()
    for duty in request.duties:
        if not duty.HasField("met_time"):
            duty.met_time.FromMilliseconds(now_ms)


def is_late(request: SubjectRequest, now_ms: int) -> bool:
    """Whether an open request is past its due time. While the deciding law's clock stands still it is not."""
    if request.state in CLOSED or request.state == HELD:
        return request.overdue
    if request.HasField("paused_since_time") and request.duties[0].regulation in duties.PAUSES_FOR_IDENTITY:
        return False
    return now_ms > request.due_time.ToMilliseconds()


def note(request: SubjectRequest, step: str, now_ms: int, actor: str, text: str = "") -> None:
    """Adds a step to a request's life."""
    one = request.steps.add(actor=actor, step=step, note=text)
    one.time.FromMilliseconds(now_ms)


def anonymise(request: SubjectRequest) -> None:
    """Takes the subject's name and words out of a request; its keyed hash and its dates stay."""
    request.user_id = request.event_id = request.details = ""
    for step in request.steps:
        step.note = ""


def not_allowed(request: SubjectRequest, name: str) -> FailedPrecondition:
    """What a state does not allow."""
    state = R.SubjectRequestState.Name(request.state).removeprefix("SUBJECT_REQUEST_STATE_").lower()
    possible = sorted(
        R.SubjectRequestAction.Name(one).removeprefix("SUBJECT_REQUEST_ACTION_").lower()  # type: ignore[arg-type]
        for one, states in _ALLOWED.items()
        if request.state in states
    )
    what = ", ".join(possible) or "nothing more"
    return FailedPrecondition(
        "STATE_NOT_ALLOWED", f"the request is {state}, which allows {what}, not {name.lower()}"
    )


def invalid(field: str, message: str) -> InvalidArgument:
    """A field that is wrong."""
    return InvalidArgument(
        "FIELD_INVALID", f"{field}: {message}", violations=[FieldViolation(field, "FIELD_INVALID", message)]
    )
