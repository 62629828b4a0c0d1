"""States, subjects and silences of alerts; channels' logs; incidents, snoozes, storms and the outbox."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MORE = '{"segment":0,"likelihood":0,"regulations":[],"subjects":[],"digest":[]}'
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for column in (
        sa.Column("entity_key", sa.LargeBinary, nullable=False, server_default=sa.text("''")),
        sa.Column("ring_id", sa.Text, nullable=False, server_default=""),
        sa.Column("state", sa.SmallInteger, nullable=False, server_default="1"),
        sa.Column("assignee", sa.Text, nullable=False, server_default=""),
        sa.Column("incident", sa.Text, nullable=False, server_default=""),
        sa.Column("expected_loss", sa.Float, nullable=False, server_default="0"),
        sa.Column("silence", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("digest_id", sa.Text, nullable=False, server_default=""),
        sa.Column("told", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("ended_ms", BIG, nullable=False, server_default="0"),
        sa.Column("changed", BIG, nullable=False, server_default="0"),
        sa.Column("more", sa.Text, nullable=False, server_default=MORE),
    ):
        op.add_column("alerts", column)
    # Whoever was told of an alert before was told of its severity.
    op.execute("UPDATE alerts SET told = severity")
    op.create_index("alerts_entity", "alerts", ["entity_key", "last_ns"])
    op.create_index("alerts_ring", "alerts", ["tenant", "ring_id", "last_ns"])
    op.create_index("alerts_changed", "alerts", ["tenant", "changed"])
    op.create_index("alerts_work", "alerts", ["tenant", "state", "expected_loss"])
    op.create_index("alerts_ended", "alerts", ["tenant", "ended_ms"])
    for column in (
        sa.Column("tenant", sa.Text, nullable=False, server_default=""),
        sa.Column("order_key", sa.LargeBinary, nullable=False, server_default=sa.text("''")),
        sa.Column("state", sa.SmallInteger, nullable=False, server_default="1"),
        sa.Column("step", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("status", sa.Integer, nullable=False, server_default="0"),
        sa.Column("response", sa.Text, nullable=False, server_default=""),
        sa.Column("failing_ms", BIG, nullable=False, server_default="0"),
    ):
        op.add_column("deliveries", column)
    op.execute(
        "UPDATE deliveries SET state = CASE WHEN delivered_ms IS NULL THEN 1 ELSE 2 END, "
        "tenant = (SELECT tenant FROM alerts WHERE alerts.alert_id = deliveries.alert_id), "
        "order_key = (SELECT group_key FROM alerts WHERE alerts.alert_id = deliveries.alert_id)"
    )
    op.drop_index("deliveries_due", "deliveries")
    # Only what is still to be delivered: stays small however many were.
    pending: Any = {"sqlite_where": sa.text("state = 1"), "postgresql_where": sa.text("state = 1")}
    op.create_index("deliveries_due", "deliveries", ["channel", "due_ms"], **pending)
    op.create_index("deliveries_order", "deliveries", ["channel", "order_key", "delivery_id"], **pending)
    failing: Any = {"sqlite_where": sa.text("failing_ms > 0"), "postgresql_where": sa.text("failing_ms > 0")}
    op.create_index("deliveries_failing", "deliveries", ["failing_ms"], **failing)
    op.create_index("deliveries_newest", "deliveries", ["tenant", "delivery_id"])
    op.create_table(
        "subjects",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("alert_id", sa.Text, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("subjects_alert", "subjects", ["alert_id"])
    op.create_table(
        "events",
        sa.Column("n", BIG, sa.Identity(), primary_key=True),
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
    )
    op.create_index("events_alert", "events", ["alert_id", "n"])
    op.create_index("alerts_incident", "alerts", ["tenant", "incident"])
    op.create_table(
        "incidents",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("number", sa.Text, primary_key=True),
        sa.Column("id", BIG, nullable=False, unique=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("assignee", sa.Text, nullable=False),
        sa.Column("entity_kind", sa.Text, nullable=False),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("entity_key", sa.LargeBinary, nullable=False),
        sa.Column("ring_id", sa.Text, nullable=False),
        sa.Column("deadline_ms", BIG, nullable=False),
        sa.Column("ended_ms", BIG, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("tenant", "request_id", name="incidents_once"),
    )
    op.create_index("incidents_entity", "incidents", ["entity_key"])
    op.create_index("incidents_ring", "incidents", ["tenant", "ring_id"])
    op.create_index("incidents_deadline", "incidents", ["deadline_ms"])
    op.create_table(
        "timeline",
        sa.Column("id", BIG, sa.Identity(), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("at_ms", BIG, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("timeline_of_incident", "timeline", ["tenant", "number", "id"])
    op.create_table(
        "snoozes",
        sa.Column("snooze_id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("entity_kind", sa.Text, nullable=False),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("entity_key", sa.LargeBinary, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("until_ms", BIG, nullable=False),
        sa.Column("ended", sa.SmallInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("snoozes_entity", "snoozes", ["entity_key", "ended"])
    op.create_index("snoozes_until", "snoozes", ["ended", "until_ms"])
    op.create_table(
        "storms",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("window_ms", BIG, nullable=False),
        sa.Column("told", sa.Integer, nullable=False),
    )
    op.create_table(
        "sequences",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("n", BIG, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", BIG, sa.Identity(), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("due_ms", BIG, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    for table in ("outbox", "sequences", "storms", "snoozes", "timeline", "incidents", "events", "subjects"):
        op.drop_table(table)
    op.execute("DELETE FROM deliveries WHERE state > 2")
    for index in ("deliveries_due", "deliveries_order", "deliveries_failing", "deliveries_newest"):
        op.drop_index(index, "deliveries")
    for name in ("tenant", "order_key", "state", "step", "status", "response", "failing_ms"):
        op.drop_column("deliveries", name)
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["due_ms"],
        sqlite_where=sa.text("delivered_ms IS NULL"),
        postgresql_where=sa.text("delivered_ms IS NULL"),
    )
    for index in (
        "alerts_entity",
        "alerts_ring",
        "alerts_changed",
        "alerts_work",
        "alerts_ended",
        "alerts_incident",
    ):
        op.drop_index(index, "alerts")
    for name in (
        *("entity_key", "ring_id", "state", "assignee", "incident", "expected_loss", "silence"),
        *("digest_id", "told", "ended_ms", "changed", "more"),
    ):
        op.drop_column("alerts", name)
