"""Messages, alerts and deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("key", sa.LargeBinary, primary_key=True),
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("received_ms", BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text, primary_key=True),
        sa.Column("group_key", sa.LargeBinary, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("entity_kind", sa.Text, nullable=False),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("first_ns", BIG, nullable=False),
        sa.Column("last_ns", BIG, nullable=False),
        sa.Column("first_event_id", sa.Text, nullable=False),
        sa.Column("last_event_id", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("alerts_group", "alerts", ["group_key", "last_ns"])
    op.create_index("alerts_newest", "alerts", ["tenant", "last_ns", "alert_id"])
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", BIG, sa.Identity(), primary_key=True),
        sa.Column("telling_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("alert_id", sa.Text, sa.ForeignKey("alerts.alert_id"), nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("traceparent", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_ms", BIG, nullable=False),
        sa.Column("delivered_ms", BIG, nullable=True),
        sa.UniqueConstraint("telling_id", "channel", name="deliveries_once"),
    )
    op.create_index("deliveries_alert", "deliveries", ["alert_id"])
    # Only what is still to be delivered: stays small however many were.
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["due_ms"],
        sqlite_where=sa.text("delivered_ms IS NULL"),
        postgresql_where=sa.text("delivered_ms IS NULL"),
    )
