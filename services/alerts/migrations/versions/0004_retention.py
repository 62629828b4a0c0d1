"""What has had its time is found without reading the rest."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("messages_received", "messages", ["received_ms"])
    over: Any = {"sqlite_where": sa.text("state <> 1"), "postgresql_where": sa.text("state <> 1")}
    op.create_index("deliveries_over", "deliveries", ["due_ms"], **over)
    ended: Any = {"sqlite_where": sa.text("ended_ms > 0"), "postgresql_where": sa.text("ended_ms > 0")}
    op.create_index("alerts_over", "alerts", ["ended_ms"], **ended)
    op.create_index("incidents_over", "incidents", ["ended_ms"], **ended)


def downgrade() -> None:
    op.drop_index("incidents_over", "incidents")
    op.drop_index("alerts_over", "alerts")
    op.drop_index("deliveries_over", "deliveries")
    op.drop_index("messages_received", "messages")
