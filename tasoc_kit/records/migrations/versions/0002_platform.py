"""What many people share: jobs, schedules, tokens, files that came in, objects of the sky."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UTC = sa.DateTime(timezone=True)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=True, nullable=False)


def upgrade() -> None:
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("job", sa.Integer(), nullable=True))
        runs.add_column(sa.Column("cpu_seconds", sa.Float(), nullable=True))
        runs.add_column(sa.Column("peak_bytes", sa.BigInteger(), nullable=True))
        runs.add_column(sa.Column("log", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("products") as products:
        products.add_column(sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "jobs",
        _number("job"),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(96), nullable=False),
        sa.Column("unit", sa.String(96), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("not_before", _UTC, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("most_tries", sa.Integer(), nullable=False),
        sa.Column("most_seconds", sa.Float(), nullable=False),
        sa.Column("most_bytes", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(255), nullable=False),
        sa.Column("lease_until", _UTC, nullable=True),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("submitter", sa.String(64), nullable=False),
        sa.Column("schedule", sa.Integer(), nullable=True),
        sa.Column("submitted", _UTC, nullable=False),
        sa.Column("started", _UTC, nullable=True),
        sa.Column("finished", _UTC, nullable=True),
        sa.PrimaryKeyConstraint("job", name="pk_jobs"),
    )
    op.create_index("ix_jobs_state_queue_priority", "jobs", ["state", "queue", "priority", "job"])
    op.create_index("ix_jobs_fingerprint", "jobs", ["fingerprint"])
    op.create_table(
        "job_events",
        _number("event"),
        sa.Column("job", sa.Integer(), nullable=False),
        sa.Column("before", sa.String(16), nullable=False),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("at", _UTC, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event", name="pk_job_events"),
    )
    op.create_index("ix_job_events_job", "job_events", ["job"])
    op.create_table(
        "schedules",
        _number("schedule"),
        sa.Column("title", sa.String(96), nullable=False),
        sa.Column("cron", sa.String(96), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("next_at", _UTC, nullable=False),
        sa.Column("last_job", sa.Integer(), nullable=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("made", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("schedule", name="pk_schedules"),
    )
    op.create_table(
        "tokens",
        _number("token"),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("made", _UTC, nullable=False),
        sa.Column("expires", _UTC, nullable=True),
        sa.Column("used", _UTC, nullable=True),
        sa.Column("revoked", _UTC, nullable=True),
        sa.PrimaryKeyConstraint("token", name="pk_tokens"),
    )
    op.create_index("ix_tokens_hash", "tokens", ["hash"], unique=True)
    op.create_table(
        "files",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("sector", sa.Integer(), nullable=False),
        sa.Column("camera", sa.Integer(), nullable=False),
        sa.Column("ccd", sa.Integer(), nullable=False),
        sa.Column("cadenceno", sa.Integer(), nullable=True),
        sa.Column("quality", sa.BigInteger(), nullable=True),
        sa.Column("started", _UTC, nullable=True),
        sa.Column("ended", _UTC, nullable=True),
        sa.Column("received", _UTC, nullable=False),
        sa.Column("sender", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_files"),
    )
    op.create_index("ix_files_place_started", "files", ["sector", "camera", "ccd", "started"])
    op.create_index("ix_files_started", "files", ["started"])
    op.create_table(
        "star_lists",
        _number("star_list"),
        sa.Column("unit", sa.String(96), nullable=False),
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("sector", sa.Integer(), nullable=False),
        sa.Column("camera", sa.Integer(), nullable=False),
        sa.Column("ccd", sa.Integer(), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("star_list", name="pk_star_lists"),
    )
    op.create_index("ix_star_lists_id", "star_lists", ["id", "unit"], unique=True)
    op.create_index("ix_star_lists_unit", "star_lists", ["unit"])
    op.create_index("ix_star_lists_place", "star_lists", ["sector", "camera", "ccd"])
    op.create_table(
        "objects",
        sa.Column("star_list", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("star", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tic", sa.BigInteger(), nullable=False),
        sa.Column("ra", sa.Float(), nullable=True),
        sa.Column("dec", sa.Float(), nullable=True),
        sa.Column("tmag", sa.Float(), nullable=True),
        sa.Column("x", sa.Float(), nullable=True),
        sa.Column("y", sa.Float(), nullable=True),
        sa.Column("z", sa.Float(), nullable=True),
        sa.Column("cell", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("star_list", "star", name="pk_objects"),
    )
    op.create_index("ix_objects_tic", "objects", ["tic", "star_list", "star"])
    op.create_index("ix_objects_cell", "objects", ["cell", "star_list", "star"])
    op.create_index("ix_objects_tmag", "objects", ["tmag", "star_list", "star"])
