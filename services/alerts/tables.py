"""The tables of alerts. Alembic's history in migrations/ makes them; the statements are in store*.py."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

PENDING, DELIVERED, DEAD, CANCELLED = 1, 2, 3, 4
"""States of a delivery: usher.alerts.v1.DeliveryState."""

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True, comment="16-byte hash of tenant, event_id and kind"),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("received_ms", BIG, nullable=False),
)
alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.Text, primary_key=True),
    sa.Column("group_key", sa.LargeBinary, nullable=False, comment="16-byte hash of the group key"),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("entity_kind", sa.Text, nullable=False),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("count", BIG, nullable=False),
    sa.Column("first_ns", BIG, nullable=False, comment="nanoseconds since 1970"),
    sa.Column("last_ns", BIG, nullable=False, comment="nanoseconds since 1970"),
    sa.Column("first_event_id", sa.Text, nullable=False),
    sa.Column("last_event_id", sa.Text, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False, comment="JSON list of numbers, in order of arrival"),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("entity_key", sa.LargeBinary, nullable=False, comment="16-byte hash of tenant and entity"),
    sa.Column("ring_id", sa.Text, nullable=False),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("assignee", sa.Text, nullable=False),
    sa.Column("incident", sa.Text, nullable=False),
    sa.Column("expected_loss", sa.Float, nullable=False),
    sa.Column("silence", sa.SmallInteger, nullable=False),
    sa.Column("digest_id", sa.Text, nullable=False),
    sa.Column("told", sa.SmallInteger, nullable=False, comment="highest severity that was told; 0: none"),
    sa.Column("ended_ms", BIG, nullable=False, comment="0: not dealt with"),
    sa.Column("changed", BIG, nullable=False, comment="place in the order of changes"),
    sa.Column("more", sa.Text, nullable=False, comment="JSON of what no query asks for"),
)
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("delivery_id", BIG, primary_key=True),
    sa.Column("telling_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("change", sa.Text, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("traceparent", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_ms", BIG, nullable=False, comment="not before; a claim moves it on; when it ended"),
    sa.Column("delivered_ms", BIG, nullable=True, comment="null until delivered"),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("order_key", sa.LargeBinary, nullable=False, comment="hash of tenant and entity"),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("step", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("response", sa.Text, nullable=False),
    sa.Column("failing_ms", BIG, nullable=False, comment="when the first try failed; 0: none did"),
)
subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("alert_id", sa.Text, primary_key=True),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("n", BIG, primary_key=True, autoincrement=True),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
)
incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("id", BIG, nullable=False, unique=True, comment="order of opening"),
    sa.Column("state", sa.SmallInteger, nullable=False),
    sa.Column("assignee", sa.Text, nullable=False),
    sa.Column("entity_kind", sa.Text, nullable=False),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("entity_key", sa.LargeBinary, nullable=False),
    sa.Column("ring_id", sa.Text, nullable=False),
    sa.Column("deadline_ms", BIG, nullable=False, comment="next deadline; 0: none"),
    sa.Column("ended_ms", BIG, nullable=False, comment="0: not ended"),
    sa.Column("request_id", sa.Text, nullable=True),
    sa.Column("body", sa.Text, nullable=False, comment="JSON of usher.alerts.v1.Incident"),
)
timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("at_ms", BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
snoozes = sa.Table(
    "snoozes",
    metadata,
    sa.Column("snooze_id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("entity_kind", sa.Text, nullable=False),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("entity_key", sa.LargeBinary, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, comment="empty: all kinds"),
    sa.Column("until_ms", BIG, nullable=False),
    sa.Column("ended", sa.SmallInteger, nullable=False, comment="1: over, and what waited was told"),
    sa.Column("body", sa.Text, nullable=False, comment="JSON of usher.alerts.v1.Snooze"),
)
storms = sa.Table(
    "storms",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("window_ms", BIG, nullable=False, comment="beginning of the minute"),
    sa.Column("told", sa.Integer, nullable=False),
)
sequences = sa.Table(
    "sequences",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="changed, incident, incident:<tenant>:<year>"),
    sa.Column("n", BIG, nullable=False),
)
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("due_ms", BIG, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="serialised RecordLabelsRequest"),
)
