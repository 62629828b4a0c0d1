"""Rings with their members and lineage, and the key of fingerprints.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rings",
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("ring_id", sa.String(21), nullable=False),
        # Millionths, so that pages are cut by equality of whole numbers.
        sa.Column("score_e6", sa.Integer, nullable=False),
        sa.Column("member_count", sa.Integer, nullable=False),
        # usher.fraud.v1.Ring without its members.
        sa.Column("card", sa.LargeBinary, nullable=False),
        # The ring that this one was merged into; empty: it stands.
        sa.Column("merged_into", sa.String(21), nullable=False, server_default=""),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "ring_id"),
    )
    op.create_index("rings_by_score", "rings", ["tenant", "merged_into", "score_e6", "ring_id"])
    op.create_table(
        "ring_members",
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("account", sa.String(255), nullable=False),
        sa.Column("ring_id", sa.String(21), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "account"),
    )
    op.create_index("ring_members_by_ring", "ring_members", ["tenant", "ring_id", "account"])
    op.create_table(
        "fingerprint_key",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    for table in ("fingerprint_key", "ring_members", "rings"):
        op.drop_table(table)
