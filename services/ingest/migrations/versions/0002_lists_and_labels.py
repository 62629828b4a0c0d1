"""Lists and labels."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "list_entries",
        sa.Column("id", BIG, sa.Identity(), primary_key=True),
        sa.Column("entry_id", sa.Text, nullable=False, unique=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("entity_kind", sa.SmallInteger, nullable=False),
        sa.Column("entity", sa.Text, nullable=False),
        sa.Column("changed", BIG, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("ended_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("list_entries_changed", "list_entries", ["changed"])
    op.create_index("list_entries_entity", "list_entries", ["tenant", "entity"])
    # What is in force and for a time: stays small however many have ended.
    op.create_index(
        "list_entries_expiring",
        "list_entries",
        ["expires_ms"],
        sqlite_where=sa.text("ended_ms = 0 AND expires_ms > 0"),
        postgresql_where=sa.text("ended_ms = 0 AND expires_ms > 0"),
    )
    op.create_table(
        "labels",
        sa.Column("position", BIG, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("label_id", sa.Text, nullable=False),
        sa.Column("subject_kind", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("mature_ms", BIG, nullable=False),
        sa.Column("recorded_ms", BIG, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "label_id", name="labels_once"),
    )
    op.create_index("labels_subject", "labels", ["tenant", "subject"])


def downgrade() -> None:
    op.drop_table("labels")
    op.drop_table("list_entries")
