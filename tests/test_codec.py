"""Events as rows and back: nothing is lost on the way, and what can't be read says where it stands."""

from __future__ import annotations

import inspect
import json
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mountsea_async import errors
from mountsea_async.errors import InputProblem, JournalError, MountseaError, ServerError, UnknownOutcomeError
from mountsea_async.models import Clip
from mountsea_async.upload import codec
from mountsea_async.upload.events import Event, ItemChanged, SessionClosed, SessionOpened, SubmitsStopped
from mountsea_async.upload.lifecycle import ItemState, Trigger
from mountsea_async.upload.store import EventRow

ERRORS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, MountseaError)]
TEXT = st.text(max_size=30)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PROBLEM = st.builds(InputProblem, index=st.integers(0, 9), value=TEXT, problem=TEXT)


def an_error(kind: type[MountseaError], causes: st.SearchStrategy[MountseaError]) -> st.SearchStrategy[MountseaError]:
    """An error as its constructor makes it; a parameter that isn't known here fails, and is to be added."""
    known: dict[str, st.SearchStrategy[Any]] = {
        "message": TEXT,
        "task_id": st.none() | TEXT,
        "status": st.integers(100, 599),
        "excerpt": TEXT,
        "retry_after": st.none() | NUMBER,
        "permanent": st.booleans(),
        "may_arrive": st.booleans(),
        "cause": causes,
        "reason": TEXT,
        "fail_code": st.none() | TEXT | NUMBER | st.integers(),
        "fail_reason": st.none() | TEXT,
        "problems": st.lists(PROBLEM, max_size=2),
        "path": TEXT,
    }
    if issubclass(kind, errors.TaskError):
        known["task_id"] = TEXT
    return st.builds(kind, **{name: known[name] for name in inspect.signature(kind).parameters})


A_CAUSE = st.sampled_from([kind for kind in ERRORS if "cause" not in inspect.signature(kind).parameters]).flatmap(
    lambda kind: an_error(kind, st.nothing())
)
AN_ERROR = st.sampled_from(ERRORS).flatmap(lambda kind: an_error(kind, A_CAUSE))


def of(hint: Any) -> st.SearchStrategy[Any]:
    if get_origin(hint) in (Union, UnionType):
        return st.one_of([of(each) for each in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(of(get_args(hint)[0]), max_size=4).map(tuple)
    if hint is NoneType:
        return st.none()
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    if issubclass(hint, MountseaError):
        return (
            AN_ERROR.filter(lambda error: isinstance(error, hint)) if hint is MountseaError else an_error(hint, A_CAUSE)
        )
    if attrs.has(hint):
        return st.builds(hint, **{name: of(each) for name, each in get_type_hints(hint).items()})
    plain: dict[type, st.SearchStrategy[Any]] = {
        str: TEXT,
        int: st.integers(0, 10**9),
        float: NUMBER,
        bool: st.booleans(),
    }
    return plain[hint]


AN_EVENT = st.sampled_from(get_args(Event)).flatmap(of)


def comparable(value: Any) -> Any:
    if isinstance(value, MountseaError):
        held = {name: comparable(each) for name, each in value.__dict__.items()}
        return type(value), value.args, str(value), held
    if attrs.has(type(value)):
        return type(value), [(name, comparable(getattr(value, name))) for name in attrs.fields_dict(type(value))]
    return type(value), value


def changed(**fields: Any) -> ItemChanged:
    return ItemChanged(3, 1.5, 7, None, Trigger.LOSE, ItemState.SUBMITTING, ItemState.UNKNOWN, **fields)


def test_every_class_of_event_has_a_word() -> None:
    assert set(codec.KINDS.values()) == set(get_args(Event))


@given(AN_EVENT)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert comparable(codec.decode(codec.encode(event))) == comparable(event)


@given(AN_ERROR)
def test_an_error_comes_back_as_it_was(error: MountseaError) -> None:
    back = codec.decode(codec.encode(SubmitsStopped(0, 0.0, "credits", error)))
    assert isinstance(back, SubmitsStopped)
    assert comparable(back.error) == comparable(error)


def test_a_row_holds_columns_apart_and_leaves_out_what_is_none() -> None:
    row = codec.encode(changed(clip=Clip("c", status="complete")))
    assert (row.seq, row.at, row.kind, row.index) == (3, 1.5, "item_changed", 7)
    assert row.data == (
        '{"trigger":"lose","previous":"submitting","state":"unknown","clip":{"id":"c","status":"complete"}}'
    )


def test_an_event_without_anything_is_an_empty_object() -> None:
    assert codec.encode(SessionClosed(9, 2.0)) == EventRow(9, 2.0, "session_closed", None, "{}")


def test_polls_are_written_where_they_are_known_and_a_row_of_before_they_were_is_read() -> None:
    row = codec.encode(changed(polls=3))
    assert row.data == '{"trigger":"lose","previous":"submitting","state":"unknown","polls":3}'
    assert codec.decode(row) == changed(polls=3)
    older = attrs.evolve(row, data='{"trigger":"lose","previous":"submitting","state":"unknown"}')
    assert codec.decode(older) == changed()


def test_an_unknown_outcome_keeps_its_cause() -> None:
    cause = ServerError("bad gateway", status=502, excerpt="<html>", retry_after=3.0)
    back = codec.decode(codec.encode(changed(error=UnknownOutcomeError("it may be paid", cause=cause))))
    assert isinstance(back, ItemChanged)
    assert isinstance(back.error, UnknownOutcomeError)
    assert (back.error.status, back.error.retry_after) == (502, 3.0)
    assert type(back.error.cause) is ServerError


def test_a_note_on_an_error_survives_and_an_odd_attribute_does_no_harm() -> None:
    error = MountseaError("it broke")
    error.add_note("at night")
    error.odd = object()  # type: ignore[attr-defined]
    back = codec.decode(codec.encode(changed(error=error)))
    assert isinstance(back, ItemChanged)
    assert back.error is not None
    assert back.error.__dict__ == {"message": "it broke", "task_id": None, "__notes__": ["at night"], "odd": "object"}


@pytest.mark.parametrize("name", ["TornadoError", "InputProblem", "Any", "attrs", ""])
def test_an_error_class_of_a_later_version_is_a_plain_error(name: str) -> None:
    data = {"reason": "x", "error": {"type": name, "message": "swept away", "speed": 12}}
    back = codec.decode(EventRow(0, 0.0, "submits_stopped", None, json.dumps(data)))
    assert isinstance(back, SubmitsStopped)
    assert type(back.error) is MountseaError
    assert str(back.error) == "swept away"
    assert back.error.__dict__ == {"message": "swept away", "task_id": None, "speed": 12}


def test_fields_that_an_earlier_version_didnt_have_take_their_default() -> None:
    row = EventRow(0, 0.0, "session_opened", None, '{"session_id":"s","adopted":false,"of_a_later_version":1}')
    assert codec.decode(row) == SessionOpened(0, 0.0, "s", adopted=False)


@pytest.mark.parametrize(
    ("kind", "index", "data", "reason"),
    [
        pytest.param("eclipse", None, "{}", "eclipse", id="unknown kind"),
        pytest.param("session_closed", None, "{", "Expecting", id="broken JSON"),
        pytest.param("session_closed", None, "[]", "no JSON object", id="a list"),
        pytest.param("session_closed", None, "[" * 100_000, "recursion", id="bottomless"),
        pytest.param("paused", None, "{}", "seconds", id="a missing field"),
        pytest.param("paused", None, '{"seconds":"3"}', "float", id="a text for a number"),
        pytest.param("session_opened", None, '{"session_id":"s","adopted":1}', "bool", id="a number for a flag"),
        pytest.param("item_changed", None, codec.encode(changed()).data, "index", id="no index"),
        pytest.param("item_changed", 1, codec.encode(changed()).data.replace("lose", "win"), "win",
                     id="unknown trigger"),
        pytest.param("submits_stopped", None, '{"reason":"x","error":{"type":"ServerError"}}', "message",
                     id="an error without words"),
    ],
)  # fmt: skip
def test_a_row_that_cant_be_read_is_named(kind: str, index: int | None, data: str, reason: str) -> None:
    with pytest.raises(JournalError, match=rf"journal /j\.db: event 41 can't be read: .*{reason}") as caught:
        codec.decode(EventRow(41, 0.0, kind, index, data), "/j.db")
    assert caught.value.path == "/j.db"


def test_words_are_short_and_never_change() -> None:
    assert {word: kind.__name__ for word, kind in codec.KINDS.items()} == {
        "session_planned": "SessionPlanned",
        "session_opened": "SessionOpened",
        "item_changed": "ItemChanged",
        "training_changed": "TrainingChanged",
        "item_settled": "ItemSettled",
        "paused": "Paused",
        "submits_stopped": "SubmitsStopped",
        "clips_listed": "ClipsListed",
        "reconciled": "Reconciled",
        "journal_failed": "JournalFailed",
        "session_closed": "SessionClosed",
    }
