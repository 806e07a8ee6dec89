"""Work that takes longer than a request: notebooks and pipelines that workers run."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasoc_kit.api.access import Reads, Writes, still_reads
from tasoc_kit.api.paging import Cursor, Limit, decode, encode
from tasoc_kit.api.problems import Problem
from tasoc_kit.errors import JobError, NotFoundError, OutOfReachError
from tasoc_kit.identity import Identity
from tasoc_kit.pipeline.job import request_job
from tasoc_kit.pipeline.plan import load_pipelines
from tasoc_kit.pipeline.schema import notebook_names, notebook_schema, pipeline_schema
from tasoc_kit.records import jobs as queue
from tasoc_kit.records.jobs import OPEN

__all__ = ["router"]

router = APIRouter()

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_MOST_STREAMS = 50
_LARGEST = 2**31 - 1

Number = Annotated[int, Path(ge=1, le=_LARGEST, description="Number of a job.", examples=[1])]
State = Literal["held", "ready", "claimed", "running", "done", "failed", "cancelled", "removed"]


class JobRequest(BaseModel):
    """What is to be run, and how."""

    model_config = ConfigDict(allow_inf_nan=False, extra="forbid")

    kind: Literal["notebook", "pipeline"] = "notebook"
    name: str = Field(
        min_length=1, max_length=96, description="Of the notebook, without ending, or pipeline."
    )
    arguments: dict[str, Any] = Field({}, description="Those that differ from the defaults; see its schema.")
    queue: str = Field("default", max_length=64, description="Which workers take it.")
    priority: int = Field(0, ge=-1000, le=1000, description="The higher the sooner.")
    held: bool = Field(False, description="Wait until it is released.")
    not_before: datetime.datetime | None = Field(
        None, description="Time before which it does not start; UTC where it has no zone."
    )
    most_tries: int = Field(3, ge=1, le=20)
    most_seconds: float = Field(86_400.0, gt=0, le=864_000, description="Wall time that it may take.")
    most_bytes: int = Field(0, ge=0, le=2**50, description="Memory; 0 for what its worker gives.")

    @field_validator("arguments", "name", "queue")
    @classmethod
    def _text(cls, value: Any) -> Any:
        """Refuse what no database can keep: NaN, halves of characters, zero bytes."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if "\\u0000" in text.replace("\\\\", ""):
            raise ValueError("it holds a zero byte")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half a character") from None
        return value


class Job(BaseModel):
    """One job."""

    job: int
    kind: str
    name: str
    unit: str
    arguments: dict[str, Any]
    queue: str
    priority: int
    state: str
    not_before: datetime.datetime
    tries: int
    most_tries: int
    most_seconds: float
    most_bytes: int
    worker: str
    cancelled: bool
    progress: dict[str, Any]
    result: dict[str, Any]
    message: str
    submitter: str
    submitted: datetime.datetime
    started: datetime.datetime | None
    finished: datetime.datetime | None


class Jobs(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[Job]
    next: str | None = Field(description="What `cursor` takes for the next page; null on the last.")


class Event(BaseModel):
    """One change of a job."""

    before: str
    after: str
    at: datetime.datetime
    actor: str
    detail: str


class Notebook(BaseModel):
    """Something that a job can run."""

    kind: str
    name: str
    schema_at: str = Field(description="Where the JSON schema of its arguments is.")


_EXAMPLE = {"name": "17_sky", "arguments": {"sector": 1, "camera": 1, "ccd": 2}, "held": True}


@router.post("/jobs", status_code=202)
def submit(asked: Annotated[JobRequest, Body(examples=[_EXAMPLE])], who: Writes) -> Job:
    """
    Put a notebook or a pipeline into a queue, once its arguments fit its schema.

    An equal request that has not ended yet is given back, not doubled.
    """
    options = asked.model_dump(exclude={"kind", "name", "arguments"})
    return _job(request_job(asked.kind, asked.name, asked.arguments, submitter=who.name, **options))


@router.get("/jobs")
def jobs(
    who: Reads,
    state: Annotated[State | None, Query(description="Only these.")] = None,
    queue_name: Annotated[str | None, Query(alias="queue", max_length=64, description="Only of it.")] = None,
    unit: Annotated[str | None, Query(max_length=96, description="As s0001-1-2.")] = None,
    submitter: Annotated[str | None, Query(max_length=64, description="Who asked for them.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Jobs:
    """List jobs, the newest first; those that were removed only where `state` asks for them."""
    after = decode(cursor, int)
    found = queue.list_jobs(
        state=state,
        queue=queue_name,
        unit=unit,
        submitter=submitter,
        after=after and after[0],
        limit=limit + 1,
    )
    page = [_as_job(row) for row in found.head(limit).to_dict("records")]
    return Jobs(jobs=page, next=encode((page[-1].job,) if len(found) > limit else None))


def _as_job(row: dict[str, Any]) -> Job:
    # In a table, a time that is not there is NaT.
    return Job.model_validate({name: None if value != value else value for name, value in row.items()})


def _job(number: int) -> Job:
    found = queue.get_job(number)
    if found is None:
        raise NotFoundError(f"job {number}: there is none of this number; expected one of /jobs. Correct it.")
    return _as_job(found)


@router.get("/jobs/{job}")
def job(job: Number, who: Reads) -> Job:
    """Show one job: what it runs, its state, its progress, and how it ended."""
    return _job(job)


@router.get("/jobs/{job}/events")
def events(job: Number, who: Reads) -> list[Event]:
    """Show every change of a job: when, by whom, and why."""
    _job(job)
    return [Event.model_validate(row) for row in queue.job_events(job).to_dict("records")]


@router.post(
    "/jobs/{job}/{action}",
    responses={409: {"description": "The job is in no state for this."}},
)
def change(
    job: Number,
    action: Annotated[
        Literal["cancel", "hold", "release", "retry", "remove"], Path(description="What is done to it.")
    ],
    who: Writes,
) -> Job:
    """
    Cancel a job, hold one that waits, release one that is held, retry or remove one that has ended.

    Who has the scope write changes their own jobs; admins change all.
    """
    _own(_job(job), who)
    try:
        queue.change_job(job, action, who.name)
    except JobError as error:
        raise Problem(409, str(error)) from None
    return _job(job)


def _own(found: Job, who: Identity) -> None:
    if not who.may_change(found.submitter):
        raise Problem(
            403,
            f"job {found.job}: it is {found.submitter or 'nobody'}'s, not {who.name}'s; expected one's own. "
            "Ask them, or an admin.",
        )


def _room(job: Number, request: Request, who: Reads) -> None:
    """Refuse to follow what is not there, or one job too many, while an answer can still say so."""
    _job(job)
    if getattr(request.app.state, "streams", 0) >= _MOST_STREAMS:
        raise Problem(
            503,
            f"{_MOST_STREAMS} jobs are being followed; expected fewer. Ask for /jobs/{job} now and then.",
            {"Retry-After": "30"},
        )


@router.get("/jobs/{job}/progress", response_class=EventSourceResponse, dependencies=[Depends(_room)])
async def progress(
    job: Number,
    request: Request,
    seconds: Annotated[
        float, Query(gt=0, le=3600, allow_inf_nan=False, description="End after this time.")
    ] = 3600,
) -> AsyncIterator[ServerSentEvent]:
    """
    Follow a job: a server-sent event `progress` at each change, and `end` when it has ended.

    The stream ends by itself after `seconds`, or when the token or the database is gone; ask again to go on.
    """
    state = request.app.state
    state.streams = getattr(state, "streams", 0) + 1
    try:
        ends, told = asyncio.get_running_loop().time() + seconds, ""
        while True:
            try:
                if not await run_in_threadpool(still_reads, request):
                    return
                found = await run_in_threadpool(_job, job)
            except OutOfReachError as error:
                _log.warning("job %d is followed no longer: %s", job, error)
                return
            text = found.model_dump_json(include={"job", "state", "progress", "message", "result"})
            if text != told:
                yield ServerSentEvent(raw_data=text, event="progress" if found.state in OPEN else "end")
                told = text
            left = ends - asyncio.get_running_loop().time()
            if found.state not in OPEN or left <= 0:
                return
            await asyncio.sleep(min(_LOOK_SECONDS, left))
    finally:
        state.streams -= 1


@router.get("/notebooks")
def notebooks(who: Reads) -> list[Notebook]:
    """List the notebooks and pipelines that a job can run."""
    found = [
        Notebook(kind="pipeline", name=name, schema_at=f"/pipelines/{name}/schema")
        for name in load_pipelines()
    ]
    return found + [
        Notebook(kind="notebook", name=name, schema_at=f"/notebooks/{name}/schema")
        for name in notebook_names()
    ]


@router.get("/notebooks/{name}/schema")
def schema_of_notebook(
    name: Annotated[str, Path(max_length=96, description="Without ending.", examples=["17_sky"])], who: Reads
) -> dict[str, Any]:
    """Give the JSON schema of the parameters of a notebook: types, defaults, bounds, units, meanings."""
    if name not in notebook_names():
        raise NotFoundError(f"notebooks: there is no {name[:80]!r}; expected one of /notebooks. Correct it.")
    return notebook_schema(name)


@router.get("/pipelines/{name}/schema")
def schema_of_pipeline(
    name: Annotated[str, Path(max_length=64, description="Name of it.", examples=["photometry"])], who: Reads
) -> dict[str, Any]:
    """Give the JSON schema of what a pipeline takes: its frames, first and last step, settings by step."""
    if name not in load_pipelines():
        raise NotFoundError(f"pipelines: there is no {name[:80]!r}; expected one of /notebooks. Correct it.")
    return pipeline_schema(name)
