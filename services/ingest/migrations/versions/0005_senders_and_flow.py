"""Keys of senders, reports of sources, positions of subscribers."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("rights", sa.Integer, nullable=False),
        sa.Column("requests_per_minute", sa.Integer, nullable=False),
        sa.Column("created_ms", BIG, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("revoked_ms", BIG, nullable=False),
        sa.Column("last_used_ms", BIG, nullable=False),
        sa.Column("rotated_from", sa.Text, nullable=False),
    )
    op.create_index("api_keys_by_tenant", "api_keys", ["tenant", "created_ms"])
    op.create_table(
        "sources",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("instance", sa.Text, primary_key=True),
        sa.Column("reported_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "subscribers",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", BIG, nullable=False),
        sa.Column("acked_ms", BIG, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # There the inbox may be long, and each tenant's share is read by itself. SQLite's is bounded by the queue.
        op.create_index("inbox_by_tenant", "inbox", ["tenant", "id"])


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("inbox_by_tenant", "inbox")
    for table in ("subscribers", "sources", "api_keys"):
        op.drop_table(table)
