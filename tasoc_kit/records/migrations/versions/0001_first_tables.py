"""The first tables: provenance, products, tags, runs, reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "provenance",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("parents", sa.JSON(), nullable=False),
        sa.Column("libraries", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_provenance"),
    )
    op.create_table(
        "products",
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("unit", sa.String(96), nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("recorded", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("product", "unit", "id", name="pk_products"),
    )
    op.create_table(
        "tags",
        sa.Column("tag", sa.String(64), nullable=False),
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("unit", sa.String(96), nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("changed", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("tag", "product", "unit", name="pk_tags"),
    )
    op.create_table(
        "runs",
        sa.Column("run", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("pipeline", sa.String(64), nullable=False),
        sa.Column("notebook", sa.String(64), nullable=False),
        sa.Column("unit", sa.String(96), nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started", _UTC, nullable=False),
        sa.Column("finished", _UTC, nullable=True),
        sa.PrimaryKeyConstraint("run", name="pk_runs"),
    )
    op.create_index("ix_runs_unit_started", "runs", ["unit", "started"])
    op.create_table(
        "reviews",
        sa.Column("review", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("unit", sa.String(96), nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("star", sa.Integer(), nullable=False),
        sa.Column("tic", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.String(64), nullable=False),
        sa.Column("made", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("review", name="pk_reviews"),
    )
    op.create_index("ix_reviews_unit_star", "reviews", ["unit", "star"])
