"""The OpenAPI document: schemas and examples of what the routes really take and give.

The schema of an event comes from the table that maps it (`services.common.event_json.event_schema`); those of the
answers are held against real answers by tests.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.problems import MEDIA_TYPE as PROBLEM_JSON
from services.common.event_json import MAX_EVENTS, event_schema

VERSION = "1.0.0"
"""Version of this HTTP contract, not of the program."""
DESCRIPTION = (
    "The HTTP edge of Usher. Send what viewers do, or are about to do; get for each event whether the act may go "
    "ahead and whether its data may be processed. Errors are RFC 9457 problems with a `reason`."
)

Schema = dict[str, Any]

EVENT_EXAMPLE: Schema = {
    "event_id": "evt_20260116_001",
    "user_id": "user_42",
    "device_id": "tv_lg_abc123",
    "content_id": "movie_987",
    "event_type": "PLAY",
    "timestamp": "2026-01-16T12:34:56Z",
    "region": "NL",
    "is_eu": True,
    "has_consent": False,
    "ip_address": "203.0.113.10",
    "subscription_plan": "premium",
    "error_code": None,
    "extra_metadata": {"app_version": "1.2.3", "network_type": "wifi", "device_model": "LG_OLED_55"},
}
"""The original pipeline's sample event."""


def _object(properties: Schema, *optional: str) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_TRUTH: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_SCORE: Schema = _or_null({"type": "number"})
_SHARE: Schema = _or_null({"type": "number", "minimum": 0, "maximum": 1})
_TIME: Schema = {"type": "string", "format": "date-time"}
_OUTCOME: Schema = {
    "type": "string",
    "enum": ["UNSPECIFIED", "ALLOW", "ALLOW_WITH_CAUTION", "REVIEW", "BLOCK"],
}
_STAGE: Schema = {"type": "string", "enum": ["schema", "security", "sanitising"]}
_VIOLATION = _object({"field": _TEXT, "reason": _TEXT, "message": _TEXT, "stage": _STAGE}, "stage")
_REASON = _object({"code": _TEXT, "points": _SCORE, "sentence": _TEXT})

DECISION: Schema = _object(
    {
        "status": {"type": "string", "enum": ["decided", "duplicate"]},
        "event_id": _TEXT,
        "user_id": _TEXT,
        "outcome": _OUTCOME,
        "would_be": _OUTCOME,
        "mode": {"type": "string", "enum": ["unspecified", "observe", "enforce"]},
        "risk_level": {"type": "string", "enum": ["unspecified", "low", "medium", "high", "critical"]},
        "risk_score": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
        "reasons": _list(_REASON),
        "compliance": _object(
            {
                "is_compliant": _or_null(_TRUTH),
                "status": {
                    "type": "string",
                    "enum": ["not_evaluated", "unspecified", "compliant", "violation", "gap"],
                },
                "applicable_regulations": _list(_TEXT),
                "violations": _list(
                    _object({"regulation": _TEXT, "reason": _TEXT, "article": _TEXT, "message": _TEXT})
                ),
            }
        ),
        "processing": _list(
            _object(
                {
                    "purpose": _TEXT,
                    "recipient": _or_null(_TEXT),
                    "destination": _or_null(_TEXT),
                    "state": {"type": "string", "enum": ["UNSPECIFIED", "PERMITTED", "SUPPRESS", "GAP"]},
                    "rule": _or_null(_TEXT),
                }
            )
        ),
        "findings": _list(
            _object(
                {
                    "regulation": _TEXT,
                    "article": _TEXT,
                    "reason": _TEXT,
                    "rule": _TEXT,
                    "pack_version": _TEXT,
                    "remedy": _TEXT,
                    "verification": _TEXT,
                    "reviewed_by": _or_null(_TEXT),
                    "severity": _WHOLE,
                    "forbids_act": _TRUTH,
                    "consent_cannot_cure": _TRUTH,
                    "sentence": _TEXT,
                }
            )
        ),
        "conflicts": _list(
            _object(
                {
                    "purpose": _TEXT,
                    "recipient": _or_null(_TEXT),
                    "destination": _or_null(_TEXT),
                    "decided_by": _TEXT,
                    "rule": _TEXT,
                    "state": {"type": "string", "enum": ["UNSPECIFIED", "PERMITTED", "SUPPRESS", "GAP"]},
                    "less_strict": _list(_TEXT),
                }
            )
        ),
        "remedies": _list(
            _object({"remedy": _TEXT, "rules": _list(_TEXT), "severity": _WHOLE, "enforced_by": _TEXT})
        ),
        "gaps": _list(
            _object({"regulation": _TEXT, "article": _TEXT, "rule": _TEXT, "missing": _list(_TEXT)})
        ),
        "assumptions": _list(_TEXT),
        "consent": _object(
            {
                "conflicts": _list(
                    _object({"fact": _TEXT, "value": _TEXT, "decided_by": _TEXT, "overruled": _list(_TEXT)})
                ),
                "problems": _list(_VIOLATION),
                "ledger": _or_null(
                    _object(
                        {
                            "status": _or_null(_TEXT),
                            "granted": _list(_TEXT),
                            "denied": _list(_TEXT),
                            "obtained_time": _or_null(_TIME),
                            "withdrawn_time": _or_null(_TIME),
                            "expires_time": _or_null(_TIME),
                            "opted_out_time": _or_null(_TIME),
                            "objected_time": _or_null(_TIME),
                            "restricted_time": _or_null(_TIME),
                        }
                    )
                ),
                "ledger_version": _or_null(_WHOLE),
            }
        ),
        "anomaly": _object(
            {
                "is_anomaly": _or_null(_TRUTH),
                "ensemble_score": _SHARE,
                "models": _object(
                    {"isolation_forest": _SHARE, "local_outlier_factor": _SHARE, "nearest_neighbours": _SHARE}
                ),
                "flags": _list(_TEXT),
            }
        ),
        "violation": _object(
            {"violation_likelihood": _SHARE, "confidence": _SHARE, "risk_factors": _list(_TEXT)}
        ),
        "factors": _list(
            _object(
                {
                    "model": {"type": "string", "enum": ["unspecified", "anomaly", "violation"]},
                    "feature": _TEXT,
                    "value": _or_null({"type": "number"}),
                    "normal": _or_null({"type": "number"}),
                    "normal_of": {"type": "string", "enum": ["viewer", "population"]},
                    "contribution": _or_null({"type": "number"}),
                    "direction": {"type": "string", "enum": ["against", "for"]},
                }
            )
        ),
        "explanation_failed": _TRUTH,
        "risk": _object(
            {
                "total": _SCORE,
                "compared": _SCORE,
                "components": _object(
                    {
                        "place": _SCORE,
                        "anomaly": _SCORE,
                        "segment": _SCORE,
                        "network": _SCORE,
                        "compliance": _SCORE,
                    }
                ),
            }
        ),
        "threshold": _object(
            {
                "base": _SCORE,
                "value": _SCORE,
                "adjustments": _list(_object({"name": _TEXT, "points": _NUMBER})),
            }
        ),
        "segment": _TEXT,
        "profile_events": _SCORE,
        "network": _or_null(
            _object(
                {
                    "signals": {"type": "object", "additionalProperties": _SCORE},
                    "evidence": _list(_REASON),
                    "ring_id": _or_null(_TEXT),
                }
            )
        ),
        "actions": _list(
            _object(
                {
                    "kind": _TEXT,
                    "enforced_by": {"type": "string", "enum": ["unspecified", "caller", "usher"]},
                    "until": _or_null(_TIME),
                    "viewer_message_key": _or_null(_TEXT),
                    "channels": _list(_TEXT),
                    "priority": _or_null(_TEXT),
                }
            )
        ),
        "counterfactual": _list(_TEXT),
        "degraded": _list(_TEXT),
        "event_class": _TEXT,
        "flags": _list(_TEXT),
        "folded": _TRUTH,
        "sighted": _TRUTH,
        "policy_set": _TEXT,
        "place": _object(
            {"country": _or_null(_TEXT), "asn": _or_null(_WHOLE), "flags": _list(_TEXT)},
        ),
        "place_data": _TEXT,
        "tenant": _TEXT,
        "position": _WHOLE,
        "trace_id": _TEXT,
        "stage_us": {"type": "object", "additionalProperties": _WHOLE},
        "processed_at": _or_null(_TIME),
        "event": _ref("Event"),
    },
    "status",
    "event",
)
QUEUED: Schema = _object(
    {"status": {"type": "string", "enum": ["queued"]}, "event_id": _TEXT, "duplicate": _TRUTH}, "duplicate"
)
NOT_DONE: Schema = _object(
    {
        "event_id": _TEXT,
        "status": {"type": "string", "enum": ["failed", "conflict", "refused"]},
        "reason": _TEXT,
        "message": _TEXT,
        "failed_id": _or_null(_TEXT),
        "violations": _list(_VIOLATION),
        "retry_after_ms": _WHOLE,
    },
    "retry_after_ms",
)
PROBLEM: Schema = {
    **_object(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": _WHOLE,
            "detail": _TEXT,
            "reason": _TEXT,
            "errors": _list(_VIOLATION),
            "metadata": {"type": "object", "additionalProperties": _TEXT},
            "event_id": _TEXT,
            "failed_id": _TEXT,
            "outcome_of_event": {"type": "string", "enum": ["failed", "conflict", "refused"]},
            "allow": _TEXT,
            "trace_id": _TEXT,
        },
        "errors",
        "metadata",
        "event_id",
        "failed_id",
        "outcome_of_event",
        "allow",
        "trace_id",
    ),
}
ACCOUNTING_BOOKS: Schema = _object(
    {
        "tenant": _TEXT,
        **{
            name: {"type": "integer", "minimum": 0}
            for name in (
                "received",
                "accepted",
                "duplicate",
                "conflict",
                "refused",
                "decided",
                "failed",
                "superseded",
                "pending",
            )
        },
        "refused_by_reason": {"type": "object", "additionalProperties": _WHOLE},
        "balanced": _TRUTH,
        "oldest_pending_ms": _WHOLE,
    }
)

COMPONENTS: dict[str, Schema] = {
    "Event": {
        **event_schema(),
        "example": EVENT_EXAMPLE,
        "additionalProperties": True,
        "description": "Fields that are not listed are kept and shown. `null` means absent. See docs/events.md.",
    },
    "Decision": DECISION,
    "Queued": QUEUED,
    "NotDone": NOT_DONE,
    "Problem": PROBLEM,
    "Accounting": ACCOUNTING_BOOKS,
    "QueuedBatch": _object({"results": _list({"anyOf": [_ref("Queued"), _ref("NotDone")]})}),
    "DecisionBatch": _object({"decisions": _list({"anyOf": [_ref("Decision"), _ref("NotDone")]})}),
    "DecisionPage": _object(
        {
            "decisions": _list(_ref("Decision")),
            "next_page_token": _or_null(_TEXT),
            "after": {
                **_or_null(_TEXT),
                "description": "Position of the newest one: a decision-stream after it goes on from here.",
            },
        }
    ),
    "DecisionDigest": _object(
        {
            "position": _TEXT,
            "decided": {"type": "integer", "minimum": 1},
            "outcomes": {"type": "object", "additionalProperties": _WHOLE},
            "degraded": {"type": "object", "additionalProperties": _WHOLE},
            "decisions": _list(_ref("Decision")),
            "left_out": {"type": "integer", "minimum": 0},
        }
    ),
    "AccountingList": _object({"accounts": _list(_ref("Accounting"))}),
    "Ready": _object({"status": {"type": "string", "enum": ["ready"]}}),
}

_EVENTS: Schema = {"type": "array", "items": _ref("Event"), "minItems": 1, "maxItems": MAX_EVENTS}
_BODY: Schema = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    _ref("Event"),
                    _EVENTS,
                    {"type": "object", "properties": {"events": _EVENTS}, "required": ["events"]},
                ]
            },
        },
        "application/x-ndjson": {"schema": {"type": "string", "description": "one event a line"}},
    },
}
_TENANT_PARAMETER: Schema = {
    "name": "X-Usher-Tenant",
    "in": "header",
    "required": False,
    "description": "Streaming brand; absent: the gateway's default.",
    "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
}
_TRACE_PARAMETER: Schema = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "description": "W3C Trace Context; continued when valid, else a trace begins. The answer carries its own.",
    "schema": _TEXT,
}
_MINIMUM_OUTCOME: Schema = {"type": "string", "enum": ["ALLOW", "ALLOW_WITH_CAUTION", "REVIEW", "BLOCK"]}


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_RETRY_HEADER: Schema = {
    "Retry-After": {"description": "Seconds until a repeat may succeed.", "schema": _WHOLE}
}


def _answer(description: str, *names: str) -> Schema:
    schema = _ref(names[0]) if len(names) == 1 else {"anyOf": [_ref(name) for name in names]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _problem(description: str, *, retry: bool = False) -> Schema:
    answer: Schema = {"description": description, "content": {PROBLEM_JSON: {"schema": _ref("Problem")}}}
    return {**answer, "headers": _RETRY_HEADER} if retry else answer


_COMMON: dict[int | str, Schema] = {
    400: _problem("The request is wrong; `reason` says how."),
    421: _problem("The Host header does not name this machine."),
    500: _problem("A defect of ours; the log holds it under the trace id."),
    503: _problem("Not ready, draining, or the mesh cannot be reached.", retry=True),
    504: _problem("The deadline passed; sending the same event again is safe."),
}
_TAKING: dict[int | str, Schema] = {
    **_COMMON,
    408: _problem("The body did not arrive in time."),
    409: _problem("The event_id was used with other content."),
    410: _problem("The event was erased."),
    413: _problem("Too many bytes or events."),
    415: _problem("Neither JSON nor JSON lines."),
    422: _problem("The event was kept under `failed_id` and not decided; `errors` names every field."),
    429: _problem("Over rate, or the queue is full.", retry=True),
}

# Keyword arguments of the routes. FastAPI is given no model: answers leave as they are made.
SUBMIT: dict[str, Any] = {
    "summary": "Submit events",
    "description": "Answers once the events are durable; they are decided afterwards. Idempotent by event_id.",
    "status_code": 202,
    "responses": {
        202: _answer("In.", "Queued", "QueuedBatch"),
        207: _answer("Some are not in; one result an event, in order.", "QueuedBatch"),
        **_TAKING,
    },
    "openapi_extra": {"requestBody": _BODY, "parameters": [_TENANT_PARAMETER, _TRACE_PARAMETER]},
}
DECIDE: dict[str, Any] = {
    "summary": "Decide events",
    "description": "Answers once the decisions are durable. Idempotent by event_id: a repeat gets the first one.",
    "responses": {
        200: _answer("Decided.", "Decision", "DecisionBatch"),
        207: _answer("Some are not decided; one result an event, in order.", "DecisionBatch"),
        **_TAKING,
    },
    "openapi_extra": {"requestBody": _BODY, "parameters": [_TENANT_PARAMETER, _TRACE_PARAMETER]},
}
LIST_DECISIONS: dict[str, Any] = {
    "summary": "Decisions, newest first",
    "responses": {
        200: _answer("A page; `next_page_token` is null at the end.", "DecisionPage"),
        422: _problem("A parameter is wrong; `errors` names it."),
        **_COMMON,
    },
    "openapi_extra": {
        "parameters": [
            _query(
                "limit", "Decisions a page.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
            ),
            _query("page_token", "`next_page_token` of the last answer; absent for the first page.", _TEXT),
            _query("minimum_outcome", "Only outcomes at least this strict.", _MINIMUM_OUTCOME),
            _query("user_id", "Only decisions of this account.", _TEXT),
            _TENANT_PARAMETER,
            _TRACE_PARAMETER,
        ]
    },
}
STREAM: dict[str, Any] = {
    "summary": "Decisions as they are committed",
    "description": (
        "Server-sent events, for people who watch. `decisions` holds a DecisionDigest: exact counts of what was "
        "decided since the last one and the newest 64 decisions of it, newest first; its id is the position. "
        "`alive` comes about every second in which nothing is decided. `end` is the last one and holds `reason` "
        "and `message`. Every single decision: usher.ingest.v1.IngestService/WatchDecisions."
    ),
    "responses": {
        200: {
            "description": "The feed.",
            "content": {"text/event-stream": {"schema": _TEXT, "example": "event: alive\ndata: {}\n\n"}},
        },
        422: _problem("A parameter is wrong; `errors` names it."),
        429: _problem("Too many streams are open.", retry=True),
        **_COMMON,
    },
    "openapi_extra": {
        "parameters": [
            _query(
                "after",
                "Only decisions after this position; 0: from the first kept; -1: only new ones.",
                {"type": "integer", "minimum": -1, "default": -1},
            ),
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "description": "The position to go on after, in place of `after`; browsers send it.",
                "schema": _TEXT,
            },
            _TENANT_PARAMETER,
            _TRACE_PARAMETER,
        ]
    },
}
GET_DECISION: dict[str, Any] = {
    "summary": "The decision on one event",
    "responses": {
        200: _answer("The decision as committed, with the event.", "Decision"),
        404: _problem("Unknown, or still waiting (DECISION_PENDING)."),
        410: _problem("Erased."),
        **_COMMON,
    },
    "openapi_extra": {"parameters": [_TENANT_PARAMETER, _TRACE_PARAMETER]},
}
_FAILURE_FIELDS: Schema = {
    "reason": _TEXT,
    "message": _TEXT,
    "errors": _list(
        _object(
            {
                "field": _TEXT,
                "reason": _TEXT,
                "message": _TEXT,
                "stage": _or_null(_STAGE),
            }
        )
    ),
}
FAILED_EVENT = _object(
    {
        "failed_id": _TEXT,
        "event_id": _TEXT,
        "failed_at": _TEXT,
        "expires_at": _or_null(_TEXT),
        "component": _TEXT,
        "component_version": _TEXT,
        **_FAILURE_FIELDS,
        "replayed": {"type": "boolean"},
        "replayed_at": _or_null(_TEXT),
        "replays": _WHOLE,
        "replay_failure": _or_null(_object(_FAILURE_FIELDS)),
        "encrypted_under": _or_null(_TEXT),
        "locked": {"type": "boolean"},
        "event": {"anyOf": [{"type": "object"}, _TEXT]},
    },
    "event",
)
_REPLAYED = _object(
    {
        "failed_id": _TEXT,
        "event_id": _or_null(_TEXT),
        "status": {"type": "string", "enum": ["decided", "duplicate", "failed", "refused"]},
        "decision": {"type": "object"},
        **_FAILURE_FIELDS,
    },
    "decision",
    *_FAILURE_FIELDS,
)
SECURITY = _object(
    {
        "since": _TEXT,
        "stages": _list(_TEXT),
        "classes": {
            "type": "object",
            "additionalProperties": _object({"patterns": _WHOLE, "hits": _WHOLE}),
        },
        "patterns": _list(
            _object(
                {
                    "pattern_id": _TEXT,
                    "attack": _TEXT,
                    "about": _TEXT,
                    "strict": {"type": "boolean"},
                    "hits": _WHOLE,
                }
            )
        ),
    }
)


def _inline(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


LIST_FAILED: dict[str, Any] = {
    "summary": "Failed events, newest first",
    "responses": {
        200: _inline(
            "A page, without the events themselves.",
            _object({"failed_events": _list(FAILED_EVENT), "next_page_token": _or_null(_TEXT)}),
        ),
        422: _problem("A parameter is wrong; `errors` names it."),
        **_COMMON,
    },
    "openapi_extra": {
        "parameters": [
            _query(
                "limit",
                "Failed events a page.",
                {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
            ),
            _query("page_token", "`next_page_token` of the last answer.", _TEXT),
            _query("reason", "Only those that failed for this reason (SECURITY).", _TEXT),
            _query("component", "Only those that this component failed (scoring).", _TEXT),
            _query("open", "Only those that wait to be replayed.", {"type": "boolean", "default": False}),
            _TENANT_PARAMETER,
            _TRACE_PARAMETER,
        ]
    },
}
GET_FAILED: dict[str, Any] = {
    "summary": "A failed event with what was sent",
    "responses": {
        200: _inline("The failed event.", FAILED_EVENT),
        404: _problem("No failed event is kept under this id."),
        **_COMMON,
    },
    "openapi_extra": {"parameters": [_TENANT_PARAMETER, _TRACE_PARAMETER]},
}
REPLAY_FAILED: dict[str, Any] = {
    "summary": "Has failed events decided after all",
    "description": (
        "Idempotent: each is decided at most once, a repeat answers that decision. With `accept_attacks` what looks like "
        "an attack is marked in the decision and no longer fails the event."
    ),
    "responses": {
        200: _inline("One result a failed id, in order.", _object({"results": _list(_REPLAYED)})),
        408: _problem("The body did not arrive in time."),
        413: _problem("Too many bytes."),
        422: _problem("The body is wrong; `errors` names what."),
        429: _problem("The queue is full.", retry=True),
        **_COMMON,
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _object(
                        {
                            "failed_ids": {**_list(_TEXT), "minItems": 1, "maxItems": 256},
                            "accept_attacks": {"type": "boolean", "default": False},
                        },
                        "accept_attacks",
                    )
                }
            },
        },
        "parameters": [_TENANT_PARAMETER, _TRACE_PARAMETER],
    },
}
SECURITY_STATUS: dict[str, Any] = {
    "summary": "Patterns of attack and how often each fitted",
    "description": "Counted by the ingest process that answers, since it started.",
    "responses": {200: _inline("The patterns.", SECURITY), **_COMMON},
    "openapi_extra": {"parameters": [_TRACE_PARAMETER]},
}
ACCOUNTING: dict[str, Any] = {
    "summary": "The books",
    "description": (
        "received = accepted + duplicate + conflict + refused; "
        "accepted = decided + failed + superseded + pending."
    ),
    "responses": {200: _answer("Counted where it happens, none derived.", "AccountingList"), **_COMMON},
    "openapi_extra": {"parameters": [_TENANT_PARAMETER, _TRACE_PARAMETER]},
}
HEALTH: dict[str, Any] = {
    "summary": "Readiness",
    "responses": {
        200: _answer("Ready: ingest is serving.", "Ready"),
        503: _problem("Not ready, or draining.", retry=True),
    },
}
METRICS: dict[str, Any] = {
    "summary": "Metrics of the gateway",
    "responses": {
        200: {
            "description": "Prometheus text",
            "content": {"text/plain": {"schema": _TEXT, "example": "usher_http_requests_total 1.0"}},
        }
    },
}


def document(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI document of the application, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas.clear()
        schemas.update(COMPONENTS)
        for path in made["paths"].values():
            for operation in path.values():
                if "requestBody" in operation:
                    # Set here: FastAPI drops what is null, and the sample has such a field.
                    operation["requestBody"]["content"]["application/json"]["example"] = EVENT_EXAMPLE
                answers = operation["responses"]
                # FastAPI adds its own validation error, which is never answered.
                for code in list(answers):
                    if "HTTPValidationError" in str(answers[code]):
                        del answers[code]
                for answer in answers.values():
                    content = answer.get("content", {})
                    # ... and an empty JSON answer beside every other media type.
                    if len(content) > 1 and content.get("application/json", {}).get("schema") == {}:
                        del content["application/json"]
        app.openapi_schema = made
    return app.openapi_schema
