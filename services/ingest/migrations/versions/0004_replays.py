"""Failed events: when, why and by whom, and their replays."""

import sqlalchemy as sa
from alembic import op

from services.ingest.tables import BIG
from usher.ingest.v1 import ingest_pb2

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_AT_ONCE = 1_000


def upgrade() -> None:
    op.add_column("failed", sa.Column("failed_ms", BIG, nullable=False, server_default="0"))
    op.add_column("failed", sa.Column("reason", sa.Text, nullable=False, server_default=""))
    op.add_column("failed", sa.Column("component", sa.Text, nullable=False, server_default=""))
    op.add_column("failed", sa.Column("replayed_ms", BIG, nullable=False, server_default="0"))
    op.add_column("failed", sa.Column("replays", sa.Integer, nullable=False, server_default="0"))
    op.add_column("failed", sa.Column("replay_failure", sa.LargeBinary))
    op.create_index("failed_by_time", "failed", ["failed_ms"])
    failed = sa.table(
        "failed", *(sa.column(name) for name in ("id", "body", "failed_ms", "reason", "component"))
    )
    connection, after = op.get_bind(), 0
    while True:
        rows = connection.execute(
            sa.select(failed.c.id, failed.c.body)
            .where(failed.c.id > after)
            .order_by(failed.c.id)
            .limit(_AT_ONCE)
        ).all()
        for row_id, body in rows:
            one = ingest_pb2.FailedEvent.FromString(bytes(body))
            connection.execute(
                sa.update(failed)
                .where(failed.c.id == row_id)
                .values(
                    failed_ms=one.failed_time.ToMilliseconds(),
                    reason=one.failure.reason,
                    component=one.component,
                )
            )
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1][0]
