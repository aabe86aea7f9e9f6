"""Routes for batches: post one, watch it, stop it. Mounted where the application wants them, behind its own locks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Annotated, Any, TypeAlias

import attrs
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends as DependsParameter
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute
from fastapi.sse import EventSourceResponse

from ...errors import MountseaError
from ...upload.lifecycle import ItemState
from ..note import BatchSummary
from ..supervisor import Supervisor
from ..words import public_report
from .bodies import BatchIn, BatchList, BatchOut, BatchReportOut, ItemsPage, Links
from .errors import answer_to
from .lifespan import SupervisorDep
from .stream import Messages

__all__ = ["mountsea_router"]

logger = logging.getLogger("mountsea_async")

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PROBLEMS = 100
_IDLE = 15.0
"""Seconds after which a stream in which nothing happens says that it is there."""


class _Route(APIRoute):
    """Answers for our errors, whether or not the application has a handler for them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answering(request: Request) -> Response:
            try:
                return await handle(request)
            except MountseaError as error:
                return answer_to(error)
            except RequestValidationError as error:
                # What was sent is not repeated: URLs may be signed.
                told = [{name: each[name] for name in ("type", "loc", "msg")} for each in error.errors()[:_PROBLEMS]]
                return JSONResponse({"detail": told}, 422)

        return answering


@attrs.frozen
class _Place:
    """Where a reader of events goes on."""

    supervisor: Supervisor
    batch_id: str
    after: int


async def _place(
    supervisor: SupervisorDep,
    batch_id: str,
    last_event_id: Annotated[str | None, Header(description="The id of the last event that was read.")] = None,
) -> _Place:
    """Where the reader goes on; refused before the stream begins.

    Raises:
        BatchNotFound: There is no such batch.
        JournalError: Its journal can't be read.
        HTTPException: 422 where `Last-Event-ID` is no number of an event; 204, which tells browsers not to ask again,
            where everything was read of a batch that has ended.
    """
    summary = supervisor.summary(batch_id)
    given = "" if last_event_id is None else last_event_id.strip()
    if given and not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise HTTPException(422, "Last-Event-ID: give the id of an event, a whole number from 0, or leave it out")
    after = int(given) if given else -1
    if summary.state.final:
        more = await supervisor.has_events(batch_id, after=after)
        if given and not more:
            raise HTTPException(204)
    return _Place(supervisor, batch_id, after)


PlaceDep: TypeAlias = Annotated[_Place, Depends(_place)]


def _links(request: Request, batch_id: str) -> Links:
    # Beside the request's own path: names may belong to another router of the application, behind other locks.
    path = f"{request.url.path.rpartition('/batches')[0]}/batches/{batch_id}"
    return Links(self=path, items=f"{path}/items", events=f"{path}/events", view=f"{path}/view")


def _out(request: Request, summary: BatchSummary) -> BatchOut:
    return BatchOut.of(summary, _links(request, summary.id))


def mountsea_router(
    *, dependencies: Sequence[DependsParameter] = (), prefix: str = "", tag: str = "batches"
) -> APIRouter:
    """Routes for batches, for `app.include_router(...)`. The application needs `mountsea_lifespan(FOLDER)`.

    `POST /batches` (an `Idempotency-Key` makes a repeated one return the same batch), `GET /batches`,
    `GET /batches/{id}` (with the report so far), `GET /batches/{id}/items`, `GET /batches/{id}/events` (server-sent
    events; `Last-Event-ID` goes on without a gap), `GET /batches/{id}/view` (a page to watch), `DELETE /batches/{id}`
    (submits nothing more), `POST /batches/{id}/resume`.

    Args:
        dependencies: Of every route, the stream and the page included: `[Depends(authenticate)]`.
        prefix: What the paths begin with, such as `/uploads`.
        tag: Under what the routes stand in the application's documentation.
    """
    router = APIRouter(prefix=prefix, dependencies=list(dependencies), route_class=_Route, tags=[tag])
    _add_batches(router)
    _add_one_batch(router)
    _add_watching(router)
    return router


def _add_batches(router: APIRouter) -> None:
    @router.post("/batches", status_code=202, name="mountsea_create")
    async def create(
        body: BatchIn,
        request: Request,
        response: Response,
        supervisor: SupervisorDep,
        idempotency_key: Annotated[
            str | None, Header(description="Your own name for this request: the same again gives the same batch.")
        ] = None,
    ) -> BatchOut:
        """Takes in a batch of URLs. Once answered it is on disk, and is uploaded whatever happens to the caller."""
        supervisor.check_size(len(body.urls))
        summary, new = await supervisor.create(
            body.entries(), idempotency_key=idempotency_key, keep_duplicates=body.keep_duplicates
        )
        out = _out(request, summary)
        response.headers["Location"] = out.links.self
        if not new:
            response.headers["Idempotent-Replayed"] = "true"
        return out

    @router.get("/batches", name="mountsea_batches")
    async def batches(
        request: Request,
        supervisor: SupervisorDep,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        before: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    ) -> BatchList:
        """The batches, the newest first."""
        found = supervisor.summaries()
        if before is not None:
            supervisor.summary(before)
            found = found[next(place for place, one in enumerate(found, 1) if one.id == before) :]
        page = found[:limit]
        return BatchList(
            batches=[_out(request, summary) for summary in page], next=page[-1].id if len(found) > limit else None
        )


def _add_one_batch(router: APIRouter) -> None:
    @router.get("/batches/{batch_id}", name="mountsea_batch")
    async def batch(batch_id: str, request: Request, supervisor: SupervisorDep) -> BatchReportOut:
        """A batch and its report so far."""
        report = public_report(await supervisor.report(batch_id))
        out = _out(request, supervisor.summary(batch_id))
        return BatchReportOut(**out.model_dump(), report=report.to_dict())

    @router.get("/batches/{batch_id}/items", name="mountsea_items")
    async def items(
        batch_id: str,
        supervisor: SupervisorDep,
        state: Annotated[list[ItemState] | None, Query(description="Only items in these states.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        after: Annotated[int, Query(ge=-1, description="The `next` of the page before.")] = -1,
    ) -> ItemsPage:
        """The items of a batch, page by page."""
        report = public_report(await supervisor.report(batch_id))
        return ItemsPage.of([item for item in report.items if not state or item.state in state], after, limit)

    @router.delete("/batches/{batch_id}", status_code=202, name="mountsea_stop")
    async def stop(batch_id: str, request: Request, supervisor: SupervisorDep) -> BatchOut:
        """Submits nothing more of a batch; what was submitted is followed to its end. The report stays."""
        return _out(request, await supervisor.stop(batch_id))

    @router.post("/batches/{batch_id}/resume", status_code=202, name="mountsea_resume")
    async def resume(
        batch_id: str, request: Request, supervisor: SupervisorDep, *, retry_failed: bool = False
    ) -> BatchOut:
        """Goes on with a batch that has ended where something is left: credits were missing, or it was stopped."""
        return _out(request, await supervisor.resume(batch_id, retry_failed=retry_failed))


async def _stream(place: _Place, request: Request, messages: Messages) -> AsyncGenerator[bytes, None]:
    """All that there is at a time in one piece: with many readers that is most of the cost."""
    watched = place.supervisor.watch_commits(place.batch_id, after=place.after, idle=_IDLE)
    try:
        async with aclosing(watched) as told:
            async for each in told:
                if isinstance(each, BatchSummary):
                    yield messages.summary(_out(request, each))
                else:
                    yield messages.events(place.batch_id, each)
    except MountseaError as error:
        logger.warning("stream.broken", extra={"batch_id": place.batch_id, "error": error.message})
        yield messages.error(error)


def _add_watching(router: APIRouter) -> None:
    messages = Messages()

    @router.get(
        "/batches/{batch_id}/events",
        name="mountsea_events",
        response_model=None,
        responses={
            200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}},
            204: {"description": "The batch has ended, and everything was read."},
        },
    )
    async def events(place: PlaceDep, request: Request) -> EventSourceResponse:
        """What happens in a batch, as it happens. An event's id is its place; ask with `Last-Event-ID` to go on."""
        return EventSourceResponse(_stream(place, request, messages), headers=_HEADERS | {"X-Accel-Buffering": "no"})

    @router.get("/batches/{batch_id}/view", name="mountsea_view", response_class=HTMLResponse)
    async def view(batch_id: str, supervisor: SupervisorDep) -> HTMLResponse:
        """A page to watch a batch."""
        from ...upload.view import Live, csp, document  # noqa: PLC0415 - few applications show it

        summary, after, report = await supervisor.snapshot(batch_id)
        live = Live(stream="events", after=after, state=summary.state.value)
        page = await asyncio.to_thread(document, public_report(report), title=f"Batch {batch_id[:8]}", live=live)
        policy = f"{csp(live=True)}; frame-ancestors 'self'"
        return HTMLResponse(page, headers={**_HEADERS, "Content-Security-Policy": policy})
