"""How many acts of each hour were let through for the control group, over all processes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "control_hours",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("hour", BIG, primary_key=True, autoincrement=False),
        sa.Column("taken", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("control_hours")
