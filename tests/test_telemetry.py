"""Traces and metrics: one span a batch, one an item, and instruments whose sums are those of the report."""

from __future__ import annotations

import asyncio
import math
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from support.names import KEY, urls

from mountsea_async import (
    AuthenticationError,
    BatchReport,
    ClientConfig,
    ConfigurationError,
    DuplicateURLWarning,
    Event,
    ItemChanged,
    ItemReport,
    ItemState,
    MountseaClient,
    NotSentError,
    NotSubmittedError,
    RetryPolicy,
    SessionClosed,
    SessionOpened,
    TaskFailedError,
    UnknownOutcomeError,
    UploadItem,
)
from mountsea_async.contrib.opentelemetry import Telemetry
from mountsea_async.testing import Answer, Behaviour, Cut, Fault, Fixed, Hang, Outcome, Reshape, Uniform, rate_limited
from mountsea_async.testing import unauthorized as key_refused
from mountsea_async.upload.lifecycle import Trigger


class Begun(SpanProcessor):
    """Counts the spans that were begun."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.count += 1


class Seen:
    """An SDK that keeps everything in memory, and a `Telemetry` that tells it."""

    def __init__(self) -> None:
        self.exporter, self.begun = InMemorySpanExporter(), Begun()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer_provider.add_span_processor(self.begun)
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader])
        self.telemetry = Telemetry(tracer_provider=self.tracer_provider, meter_provider=self.meter_provider)
        self.tracer = self.tracer_provider.get_tracer("the caller's own")

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    @property
    def batch(self) -> ReadableSpan:
        (span,) = self.named("mountsea.batch")
        return span

    @property
    def items(self) -> dict[int, ReadableSpan]:
        spans = self.named("mountsea.item")
        by_index = {facts(span)["mountsea.item.index"]: span for span in spans}
        assert len(by_index) == len(spans), "one an item"
        return by_index

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in metrics for point in metric.data.data_points]

    def count(self, name: str) -> int:
        return sum(point.value for point in self.points(name))

    def by_state(self) -> dict[str, int]:
        return {point.attributes["mountsea.item.state"]: point.value for point in self.points("mountsea.items")}

    def recorded(self, name: str) -> tuple[int, float]:
        return sum(point.count for point in self.points(name)), sum(point.sum for point in self.points(name))

    def everything(self) -> str:
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.exporter.get_finished_spans()) + (data.to_json() if data else "")


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    yield seen
    assert seen.begun.count == len(seen.exporter.get_finished_spans()), "none is left open"
    assert KEY not in seen.everything()
    seen.tracer_provider.shutdown()
    seen.meter_provider.shutdown()


def agrees(seen: Seen, report: BatchReport) -> None:
    """Spans and sums tell what the report tells."""
    assert seen.by_state() == {state.value: count for state, count in report.counts.items()}
    assert seen.count("mountsea.unknowns") == len(report.unknown)
    assert seen.count("mountsea.retries") == sum(max(0, item.attempts - 1) for item in report.items)
    polled = [item.polls for item in report.items if item.polls is not None]
    assert seen.recorded("mountsea.item.polls") == (len(polled), sum(polled))
    took = [(item.ended_at - item.submitted_at).total_seconds() for item in report.succeeded]
    count, total = seen.recorded("mountsea.item.duration")
    assert count == len(took)
    assert total == pytest.approx(math.fsum(took), abs=1e-3)
    batch = seen.batch
    told = facts(batch)
    assert told["mountsea.session_id"] == report.session_id
    assert told["mountsea.items"] == len(report.items)
    assert {state: told[f"mountsea.{state.value}"] for state in report.counts} == report.counts
    assert sorted(seen.items) == [item.index for item in report.items]
    for item in report.items:
        tells(seen.items[item.index], item, batch)


def tells(span: ReadableSpan, item: ItemReport, batch: ReadableSpan) -> None:
    """The span of an item says what its report says, and lies within its batch's."""
    assert span.parent is not None
    assert span.parent.span_id == batch.context.span_id
    assert span.context.trace_id == batch.context.trace_id
    assert batch.start_time <= span.start_time <= span.end_time <= batch.end_time
    reported = {
        "index": item.index,
        "key": item.key,
        "state": item.state.value,
        "task_id": item.task_id,
        "clip_id": None if item.evidence != "task" else item.clip_id,
        "attempts": item.attempts,
        "polls": item.polls,
    }
    told = {name: facts(span).get(f"mountsea.item.{name}") for name in reported}
    assert told == reported
    assert abs(span.end_time / 1e9 - item.ended_at.timestamp()) < 1e-5
    wrong = item.state in (ItemState.FAILED, ItemState.TIMED_OUT, ItemState.UNKNOWN)
    assert span.status.status_code is (StatusCode.ERROR if wrong else StatusCode.UNSET)
    assert [event.name for event in span.events] == ["exception"] * (item.error is not None)
    for event in span.events:
        assert event.attributes == {
            "exception.type": type(item.error).__name__,
            "exception.message": item.error.message,
        }


# -------------------------------------------------------------------------------------------- spans and figures
async def test_fifty_items_of_every_end_are_one_span_with_fifty_children_and_sums_that_agree(world, seen: Seen) -> None:
    faults = (
        Fault(Answer(400), nth=3),
        Fault(Cut(after_work=True), nth=10),
        Fault(Cut(), nth=20),
        Fault(rate_limited(2), nth=(15, 30)),
        Fault(Outcome("blank"), nth=7),
    )
    behaviour = Behaviour(durations=Uniform(5, 40), fail_share=0.2, timeout_share=0.1, seed=5, faults=faults)
    w = await world(behaviour, observe=seen.telemetry)
    entries = [*urls(45), *urls(3), *urls(1, stem="last"), *urls(1)]
    with pytest.warns(DuplicateURLWarning):
        report = await w.client.upload_batch(entries, on_unknown="continue")
    assert len(report.items) == 50
    assert {item.state.value for item in report.items} == {"succeeded", "failed", "timed_out", "unknown"}
    assert {item.attempts for item in report.items} == {1, 2}
    agrees(seen, report)
    assert len(seen.items) == 50
    assert seen.batch.status.status_code is StatusCode.ERROR
    assert seen.batch.status.description == "of 50 items " + ", ".join(
        f"{report.counts[state]} {state}" for state in (ItemState.FAILED, ItemState.TIMED_OUT, ItemState.UNKNOWN)
    )
    assert {span.kind for span in (seen.batch, *seen.items.values())} == {SpanKind.INTERNAL}


async def test_a_batch_that_goes_well_has_no_error(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Uniform(1, 9)), observe=seen.telemetry)
    report = await w.client.upload_batch([UploadItem(url, key=f"track {n}") for n, url in enumerate(urls(5))])
    agrees(seen, report)
    assert seen.batch.status.status_code is StatusCode.UNSET
    assert facts(seen.batch)["mountsea.consistent"] is True
    (point,) = seen.points("mountsea.item.duration")
    assert point.explicit_bounds[:2] == (1.0, 2.0)
    assert max(point.bucket_counts) < 5, "the buckets tell uploads of seconds apart"


async def test_a_batch_is_a_child_of_what_is_current_where_it_is_begun(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Fixed(5)), observe=seen.telemetry)
    roots = {}

    async def serve(name: str) -> None:
        with seen.tracer.start_as_current_span(name) as root:
            report = await w.client.upload_batch(urls(2, stem=name))
            roots[report.session_id] = root.get_span_context()

    await asyncio.gather(serve("one"), serve("other"))
    for batch in seen.named("mountsea.batch"):
        root = roots[facts(batch)["mountsea.session_id"]]
        assert batch.parent is not None
        assert (batch.parent.span_id, batch.parent.trace_id) == (root.span_id, root.trace_id)
    assert len({span.context.trace_id for span in seen.named("mountsea.item")}) == 2


def test_the_parent_is_what_was_current_when_the_session_began_and_not_when_it_is_told_of(seen: Seen) -> None:
    with seen.tracer.start_as_current_span("request") as root:
        hear = seen.telemetry()
    hear(SessionOpened(0, 10.0, "s", adopted=False))
    hear(SessionClosed(1, 12.0))
    assert seen.batch.parent == root.get_span_context()


async def test_a_batch_of_its_own_is_a_trace_of_its_own(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Fixed(5)), observe=seen.telemetry)
    await w.client.upload_batch(urls(1))
    assert seen.batch.parent is None


async def test_what_was_never_sent_is_a_moment_with_its_reason(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Fixed(2), credits=2), observe=seen.telemetry)
    report = await w.client.upload_batch(urls(9), concurrency=1)
    assert len(report.not_submitted) == 7
    agrees(seen, report)
    for item in report.not_submitted:
        span = seen.items[item.index]
        assert facts(span)["mountsea.item.reason"] == "credits"
        assert item.attempts > 0 or span.start_time == span.end_time
    told = facts(seen.batch)
    assert (told["mountsea.stopped"], told["error.type"]) == ("credits", "InsufficientCreditsError")
    assert seen.batch.status.description == "of 9 items 7 not_submitted"


# --------------------------------------------------------------------------------------------- ends that change
async def test_an_end_that_turns_out_another_is_counted_once_as_what_it_is(world, seen: Seen) -> None:
    failed = Fault(Reshape({"status": "failed", "data": None}), on="status", url="*-00001.mp3", times=1)
    w = await world(Behaviour(durations=Fixed(1), faults=(failed,)), observe=seen.telemetry)
    heard: list[Event] = []
    report = await w.client.upload_batch(urls(3), on_event=heard.append)
    assert report.ok
    assert ItemState.FAILED in {event.state for event in heard if isinstance(event, ItemChanged)}
    agrees(seen, report)
    assert seen.by_state() == {"succeeded": 3}
    asked = [call.task_id for call in w.ledger.calls if call.endpoint == "status"]
    assert report.items[1].polls == asked.count(report.items[1].task_id) == 2


async def test_an_item_that_is_sent_again_is_one_span_and_one_retry(world, seen: Seen) -> None:
    lost = Fault(Cut(), url="*-00001.mp3", times=1)
    w = await world(
        Behaviour(durations=Fixed(1), faults=(lost,)), config=ClientConfig(settle=5), observe=seen.telemetry
    )
    report = await w.client.upload_batch(urls(3), on_unknown="resubmit")
    assert report.ok
    assert report.items[1].resubmits == 1
    agrees(seen, report)
    assert seen.count("mountsea.retries") == 1
    assert seen.count("mountsea.unknowns") == 0


async def test_a_success_is_told_at_once_and_a_failure_when_nothing_can_change_it(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(Outcome("failed"), nth=1),)), observe=seen.telemetry)
    async with w.client.upload_session() as session:
        with pytest.raises(TaskFailedError):
            await session.upload(urls(2)[0])
        await session.upload(urls(2)[1])
        await asyncio.sleep(30)
        assert seen.by_state() == {"succeeded": 1}
        assert list(seen.items) == [1]
    agrees(seen, session.report)
    assert seen.items[0].end_time < seen.batch.end_time - 29e9, "with the time of its end"


# ------------------------------------------------------------------------------------------- batches that don't
async def test_a_batch_that_is_cancelled_leaves_no_span_open_and_is_no_error(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Uniform(1, 60), latency=1), observe=seen.telemetry)
    session = w.client.upload_session(concurrency=4, on_event=lambda event: None)

    async def run() -> None:
        async with session:
            await session.upload_all(urls(30))

    running = asyncio.create_task(run())
    await asyncio.sleep(30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert {"undetermined", "succeeded"} <= {item.state.value for item in session.report.items}
    agrees(seen, session.report)
    assert facts(seen.batch)["mountsea.stopped"] == "cancelled"
    assert seen.batch.status.status_code is StatusCode.UNSET


async def test_a_deadline_that_leaves_items_open_is_an_error_of_the_batch(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Fixed(100)), observe=seen.telemetry)
    report = await w.client.upload_batch(urls(3), deadline=20)
    agrees(seen, report)
    assert seen.batch.status.description == "of 3 items 3 undetermined"


async def test_a_session_that_is_refused_has_no_span(world, seen: Seen) -> None:
    w = await world(Behaviour(faults=(Fault(key_refused(), on="any"),)), observe=seen.telemetry)
    with pytest.raises(AuthenticationError):
        await w.client.upload_batch(urls(1))
    with pytest.raises(AuthenticationError):
        await w.client.train_model(urls(6), "mine")
    assert seen.begun.count == 0


async def test_a_session_that_ends_while_it_is_opened_leaves_no_span_open(world, seen: Seen, tmp_path: Path) -> None:
    failed = Fault(Outcome("failed"), url="*-00000.mp3", times=1)
    w = await world(Behaviour(durations=Fixed(5), faults=(failed,)))
    await w.client.upload_batch(urls(2), journal=tmp_path / "j")
    w.emulator.add_fault(Fault(Hang(), on="status", times=1))
    async with MountseaClient(KEY, base_url=w.emulator.base_url, observe=seen.telemetry) as client:
        with pytest.raises(NotSubmittedError):
            await client.resume_batch(tmp_path / "j", retry_failed=True, deadline=5)
    assert facts(seen.batch)["mountsea.items"] == 0


async def test_a_batch_that_is_resumed_is_a_second_span_of_what_was_left(world, tmp_path: Path) -> None:
    first, second = Seen(), Seen()
    faults = (Fault(Outcome("failed", duration=3), nth=2, times=1),)
    w = await world(Behaviour(durations=Uniform(5, 60), parallel=4, faults=faults), observe=first.telemetry)
    left = await w.client.upload_batch(urls(20), journal=tmp_path / "j", deadline=40, concurrency=4)
    assert {"succeeded", "undetermined", "failed"} <= {item.state.value for item in left.items}
    agrees(first, left)
    async with MountseaClient(KEY, base_url=w.emulator.base_url, observe=second.telemetry) as client:
        report = await client.resume_batch(tmp_path / "j", retry_failed=True)
    assert report.ok
    again = [item.index for item in left.items if item.state is not ItemState.SUCCEEDED]
    assert sorted(second.items) == again
    assert second.by_state() == {"succeeded": len(again)}
    assert facts(second.batch)["mountsea.session_id"] == report.session_id
    assert first.batch.context.trace_id != second.batch.context.trace_id
    both = first.recorded("mountsea.item.polls")[1] + second.recorded("mountsea.item.polls")[1]
    assert both == sum(item.polls for item in report.items)
    assert second.count("mountsea.retries") == 1, "the one that had failed"
    assert first.begun.count == len(first.exporter.get_finished_spans())
    assert second.begun.count == len(second.exporter.get_finished_spans())


async def test_a_training_is_told_of_in_its_sessions_span(world, seen: Seen) -> None:
    failed = Fault(Outcome("failed"), on="model_create", times=1)
    w = await world(Behaviour(durations=Fixed(1), faults=(failed,)), observe=seen.telemetry)
    with pytest.raises(TaskFailedError):
        await w.client.train_model(urls(6), "mine")
    told = facts(seen.batch)
    assert (told["mountsea.kind"], told["mountsea.training.state"]) == ("custom_model", "failed")
    assert told["error.type"] == "TaskFailedError"
    assert seen.batch.status.description == "training failed"
    assert len(seen.items) == 6


def test_what_comes_before_the_beginning_or_after_the_end_begins_no_span(seen: Seen) -> None:
    hear = seen.telemetry()
    skipped = ItemChanged(0, 9.0, 0, None, Trigger.SKIP, ItemState.NEW, ItemState.NOT_SUBMITTED)
    hear(skipped)
    hear(SessionOpened(1, 10.0, "s", adopted=False))
    hear(ItemChanged(2, 11.0, 0, None, Trigger.INTEND, ItemState.NEW, ItemState.SUBMITTING))
    hear(SessionClosed(3, 12.0))
    for late in (skipped, SessionOpened(5, 14.0, "s", adopted=False), SessionClosed(6, 15.0)):
        hear(late)
    assert Counter(span.name for span in seen.exporter.get_finished_spans()) == {
        "mountsea.batch": 1,
        "mountsea.item": 1,
    }
    assert facts(seen.items[0])["mountsea.item.state"] == "submitting"


async def test_without_an_sdk_nothing_happens(world) -> None:
    w = await world(Behaviour(durations=Fixed(1), fail_share=0.5), observe=Telemetry())
    report = await w.client.upload_batch(urls(5))
    assert report.finished


# ------------------------------------------------------------------------------------------------------ secrets
async def test_no_span_and_no_figure_holds_the_key_or_a_signature(world, seen: Seen) -> None:
    echo = Answer(400, body=f'{{"message": "no: Bearer {KEY} for https://h.example/a?sig=SIGNED&b=SIGNED"}}')
    w = await world(Behaviour(durations=Fixed(1), faults=(Fault(echo, nth=1),)), observe=seen.telemetry)
    report = await w.client.upload_batch([f"{url}?sig=SIGNED" for url in urls(3)])
    assert len(report.failed) == 1
    text = seen.everything()
    assert "BadRequestError" in text
    assert KEY not in text
    assert "SIGNED" not in text


# --------------------------------------------------------------------------------------------------- HTTP spans
def traced(seen: Seen, **settings: Any) -> ClientConfig:
    config = create_trace_config(tracer_provider=seen.tracer_provider, meter_provider=seen.meter_provider)
    return ClientConfig(trace_configs=(config,), **settings)


async def test_the_official_instrumentation_sees_each_request_and_never_the_key(world, seen: Seen) -> None:
    faults = (Fault(Cut(after_work=True), nth=2), Fault(Answer(500), on="status", nth=1))
    w = await world(Behaviour(durations=Fixed(2), faults=faults), config=traced(seen, settle=5), observe=seen.telemetry)
    with seen.tracer.start_as_current_span("request") as root:
        report = await w.client.upload_batch(urls(5), on_unknown="continue")
        assert await w.client.credits() > 0
    assert len(report.unknown) == 1
    spans = [span for span in seen.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]
    assert len(spans) == len(w.ledger.calls)
    assert {span.context.trace_id for span in spans} == {root.get_span_context().trace_id}
    assert any(event.name == "exception" for span in spans for event in span.events)
    assert KEY not in seen.everything()
    agrees(seen, report)


async def test_a_paid_request_that_never_left_is_still_known_to_have_cost_nothing(world, seen: Seen) -> None:
    config = traced(seen, retry=RetryPolicy(max_tries=1))
    with socket.socket() as nobody:  # bound, but it doesn't listen
        nobody.bind(("127.0.0.1", 0))
        async with MountseaClient(KEY, base_url=f"http://127.0.0.1:{nobody.getsockname()[1]}", config=config) as client:
            with pytest.raises(NotSentError):
                await client.submit_upload(urls(1)[0])
    w = await world(Behaviour(faults=(Fault(Cut(after_work=True), on="upload"),)), config=config)
    with pytest.raises(UnknownOutcomeError):
        await w.client.submit_upload(urls(1)[0])
    assert w.ledger.posts(urls(1)[0]) == 1


async def test_what_a_trace_adds_to_one_request_is_not_in_the_next(world, seen: Seen) -> None:
    w = await world(Behaviour(durations=Fixed(2)), config=traced(seen))
    await w.client.upload_batch(urls(3))
    parents = [call.headers["traceparent"] for call in w.ledger.calls]
    assert len(set(parents)) == len(parents) > 6


async def test_a_preflight_of_signed_urls_is_not_traced(world, seen: Seen) -> None:
    w = await world(config=traced(seen))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/1.mp3?sig=SIGNED"
        report = await w.client.preflight([url], allow_private=True)
    assert report.problems
    assert seen.begun.count == 0


async def test_a_borrowed_session_brings_its_own_traces(seen: Seen) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(ConfigurationError, match="trace_configs"):
            MountseaClient(KEY, http=http, config=traced(seen))


def test_the_global_providers_are_taken_where_none_are_given() -> None:
    hear = Telemetry()()
    hear(SessionOpened(0, 10.0, "s", adopted=False))
    hear(SessionClosed(1, 12.0))
    assert not trace.get_current_span().is_recording()
