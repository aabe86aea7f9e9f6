"""The tree of errors: as its docstring draws it, by whose fault it is, and fit to travel."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest
from support.names import KEY

import mountsea_async
from mountsea_async import errors
from mountsea_async.errors import (
    APIError,
    AuthenticationError,
    DeadlineError,
    InputError,
    InputProblem,
    JournalError,
    MountseaError,
    NoAnswerError,
    NotSentError,
    NotSubmittedError,
    Overloaded,
    TaskError,
    TaskFailedError,
    TransportError,
    UnknownOutcomeError,
    UsageError,
)
from mountsea_async.models import UploadItem
from mountsea_async.upload.lifecycle import ItemState
from mountsea_async.upload.report import BatchFailed, BatchReport, ItemReport


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Each class of the drawing: its parent in the tree, and its second base."""
    found: dict[str, tuple[str | None, str | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    ([│├└─ ]*)(\w+)(?: \((\w+)\))?(?:\s{2,}.*)?", line)
        if match is None or not match[2][0].isupper():
            continue
        depth = len(match[1]) // 4
        found[match[2]] = (above[depth - 1] if depth else None, match[3])
        above[depth:] = [match[2]]
    return found


def tree() -> dict[str, type[MountseaError]]:
    found = {"MountseaError": MountseaError}
    queue: list[type[MountseaError]] = [MountseaError]
    for kind in queue:
        for child in kind.__subclasses__():
            if child.__module__.startswith("mountsea_async"):
                found[child.__name__] = child
                queue.append(child)
    return found


def test_the_drawing_holds_every_class_and_no_other() -> None:
    assert set(drawn()) == set(tree())


@pytest.mark.parametrize("name", sorted(tree()))
def test_a_class_hangs_where_the_drawing_shows_it(name: str) -> None:
    parent, second = drawn()[name]
    bases = [base.__name__ for base in tree()[name].__bases__]
    assert bases[0] == (parent or "Exception")
    if second is not None:
        assert bases[1:] == [second]


@pytest.mark.parametrize("name", sorted(tree()))
def test_every_error_is_public_and_described(name: str) -> None:
    kind = getattr(mountsea_async, name)
    assert kind is tree()[name]
    assert inspect.getdoc(kind)


def test_every_error_is_offered_by_the_package() -> None:
    assert set(tree()) | {"InputProblem"} <= set(mountsea_async.__all__)


@pytest.mark.parametrize("kind", [kind for kind in tree().values() if issubclass(kind, UsageError)])
def test_what_the_caller_did_wrong_is_a_value_error(kind: type[MountseaError]) -> None:
    assert issubclass(kind, ValueError)


@pytest.mark.parametrize("kind", [kind for kind in tree().values() if not issubclass(kind, UsageError)])
def test_what_the_service_or_the_network_did_is_no_value_error(kind: type[MountseaError]) -> None:
    assert not issubclass(kind, ValueError)


def test_a_deadline_is_a_timeout_and_nothing_else_is() -> None:
    assert [kind for kind in tree().values() if issubclass(kind, TimeoutError)] == [DeadlineError]


# ------------------------------------------------------------------------------------------------------- travel
REPORT = BatchReport(
    "s-1",
    (
        ItemReport(
            0,
            "a",
            "https://cdn.example.com/a.mp3",
            ItemState.FAILED,
            reason="rejected",
            error=TaskFailedError("failed", task_id="t-1", fail_code=7, fail_reason="no"),
            metadata=UploadItem("https://cdn.example.com/a.mp3", metadata={"n": 1}).metadata,
        ),
    ),
)


def an(kind: type[MountseaError]) -> MountseaError:  # noqa: C901 - one line a family
    if kind is BatchFailed:
        return BatchFailed(REPORT)
    if issubclass(kind, APIError):
        return kind("what happened", status=418, excerpt="teapot", retry_after=7.5, task_id="t-1")
    if issubclass(kind, Overloaded):
        return kind("what happened", retry_after=7.5)
    if issubclass(kind, NotSentError):
        return kind("what happened", permanent=True, task_id="t-1")
    if issubclass(kind, TaskFailedError):
        return kind("what happened", task_id="t-1", fail_code="VP", fail_reason="no")
    if issubclass(kind, TaskError):
        return kind("what happened", task_id="t-1")
    if issubclass(kind, InputError):
        return kind("what happened", problems=[InputProblem(3, "ftp://x", "no http")])
    if issubclass(kind, UnknownOutcomeError):
        return kind("what happened", cause=APIError("why", status=502, excerpt="bad", retry_after=1.0), task_id="t-1")
    if issubclass(kind, JournalError):
        return kind("what happened", path="batch.journal")
    if issubclass(kind, NotSubmittedError):
        return kind("what happened", reason="credits", cause=NotSentError("why"))
    return kind("what happened")


def facts(value: object) -> object:
    """All that an error holds, as something that can be compared."""
    if isinstance(value, BaseException):
        return (type(value), value.args, str(value), {name: facts(each) for name, each in vars(value).items()})
    if isinstance(value, BatchReport):
        return facts([value.to_dict(), [dict(item.metadata) for item in value.items]])
    if isinstance(value, list | tuple):
        return [facts(each) for each in value]
    return value


@pytest.mark.parametrize("name", sorted(tree()))
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_an_error_survives_pickling_with_all_that_it_says(name: str, protocol: int) -> None:
    error = an(tree()[name])
    assert facts(pickle.loads(pickle.dumps(error, protocol))) == facts(error)  # noqa: S301 - our own bytes


@pytest.mark.parametrize("name", sorted(tree()))
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_an_error_survives_copying_with_all_that_it_says(name: str, duplicate: object) -> None:
    assert callable(duplicate)
    error = an(tree()[name])
    assert facts(duplicate(error)) == facts(error)


@pytest.mark.parametrize("name", sorted(set(tree()) - {"BatchFailed"}))
def test_an_errors_text_is_its_message(name: str) -> None:
    error = an(tree()[name])
    assert (str(error), error.message, error.args) == ("what happened", "what happened", ("what happened",))
    assert repr(error) == f"{name}('what happened')"


def test_what_an_error_carries() -> None:
    error = an(APIError)
    assert isinstance(error, APIError)
    assert (error.status, error.excerpt, error.retry_after, error.task_id) == (418, "teapot", 7.5, "t-1")
    assert an(InputError).problems == (InputProblem(3, "ftp://x", "no http"),)  # type: ignore[attr-defined]


def test_an_unknown_outcome_carries_what_its_cause_knows() -> None:
    answered = UnknownOutcomeError("?", cause=APIError("why", status=502, excerpt="bad", retry_after=1.0))
    assert (answered.status, answered.excerpt, answered.retry_after) == (502, "bad", 1.0)
    silent = UnknownOutcomeError("?", cause=NoAnswerError("cut"))
    assert (silent.status, silent.excerpt, silent.retry_after) == (None, "", None)


def test_an_error_can_be_told_which_task_it_concerns() -> None:
    error = AuthenticationError("no", status=401)
    assert error.about("t-9") is error
    assert error.task_id == "t-9"


def test_catching_the_branches_catches_their_leaves() -> None:
    assert issubclass(NotSentError, TransportError)
    assert not issubclass(UnknownOutcomeError, TransportError | APIError)
    assert KEY not in repr(an(UnknownOutcomeError))
