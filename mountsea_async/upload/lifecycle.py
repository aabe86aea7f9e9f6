"""An item's states and the table of its legal transitions.

Pure. `advance` is the one function that says what a state becomes; an unknown pair raises.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["ENDS", "IllegalTransition", "ItemState", "Trigger", "advance", "diagram", "path_to"]


class ItemState(StrEnum):
    """What became of an item so far.

    The states partition a finished batch: `succeeded`; `failed` with `timed_out`; `unknown` with
    `undetermined`; `not_submitted`.
    """

    NEW = "new"
    SUBMITTING = "submitting"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    UNDETERMINED = "undetermined"
    UNKNOWN = "unknown"
    NOT_SUBMITTED = "not_submitted"

    @property
    def ended(self) -> bool:
        """Whether this run does nothing more for an item in this state."""
        return self in ENDS


class Trigger(StrEnum):
    """What can happen to an item."""

    INTEND = "intend"
    """A permit is held; the request is about to be sent."""
    RELEASE = "release"
    """The attempt provably cost nothing; it may be made again."""
    ACCEPT = "accept"
    """The service has answered with a task id."""
    REJECT = "reject"
    """The service has turned this item away for good."""
    LOSE = "lose"
    """The request may or may not have been processed."""
    SUCCEED = "succeed"
    """The item's own task ended with success and named its clip."""
    BLANK = "blank"
    """The item's own task ended with success but never named a clip."""
    FAIL = "fail"
    """The item's own task ended with `failed`."""
    TIME_OUT = "time_out"
    """The item's own task ended with `timeout`."""
    ABANDON = "abandon"
    """We stopped asking while its task was pending."""
    SKIP = "skip"
    """It was never sent, and won't be."""
    WITHHOLD = "withhold"
    """It isn't sent again after all; what came of its earlier request is as unknown as it was."""
    RESUME = "resume"
    """A later run goes on where this one stopped."""
    RETRY = "retry"
    """The caller's word: it is to be sent again, though an earlier request may have been paid for."""


ENDS: Final = frozenset(
    {
        ItemState.SUCCEEDED,
        ItemState.FAILED,
        ItemState.TIMED_OUT,
        ItemState.UNDETERMINED,
        ItemState.UNKNOWN,
        ItemState.NOT_SUBMITTED,
    }
)
"""The states in which this run does nothing more for an item."""

TABLE: Final[dict[tuple[ItemState, Trigger], ItemState]] = {
    (ItemState.NEW, Trigger.INTEND): ItemState.SUBMITTING,
    (ItemState.NEW, Trigger.SKIP): ItemState.NOT_SUBMITTED,
    (ItemState.NEW, Trigger.WITHHOLD): ItemState.UNKNOWN,
    (ItemState.SUBMITTING, Trigger.RELEASE): ItemState.NEW,
    (ItemState.SUBMITTING, Trigger.ACCEPT): ItemState.SUBMITTED,
    (ItemState.SUBMITTING, Trigger.REJECT): ItemState.FAILED,
    (ItemState.SUBMITTING, Trigger.LOSE): ItemState.UNKNOWN,
    (ItemState.SUBMITTED, Trigger.SUCCEED): ItemState.SUCCEEDED,
    (ItemState.SUBMITTED, Trigger.BLANK): ItemState.UNKNOWN,
    (ItemState.SUBMITTED, Trigger.FAIL): ItemState.FAILED,
    (ItemState.SUBMITTED, Trigger.TIME_OUT): ItemState.TIMED_OUT,
    (ItemState.SUBMITTED, Trigger.ABANDON): ItemState.UNDETERMINED,
    (ItemState.NOT_SUBMITTED, Trigger.RESUME): ItemState.NEW,
    (ItemState.UNDETERMINED, Trigger.RESUME): ItemState.SUBMITTED,
    (ItemState.UNKNOWN, Trigger.SUCCEED): ItemState.SUCCEEDED,
    (ItemState.FAILED, Trigger.SUCCEED): ItemState.SUCCEEDED,
    (ItemState.TIMED_OUT, Trigger.SUCCEED): ItemState.SUCCEEDED,
    (ItemState.UNKNOWN, Trigger.RETRY): ItemState.NEW,
    (ItemState.FAILED, Trigger.RETRY): ItemState.NEW,
    (ItemState.TIMED_OUT, Trigger.RETRY): ItemState.NEW,
}


_LATER = frozenset({Trigger.RESUME, Trigger.RETRY, Trigger.WITHHOLD})
"""Triggers that an item without a past knows nothing of."""


class IllegalTransition(RuntimeError):  # noqa: N818 - names the event, and is a bug of ours, not a user's error
    """A transition that the table doesn't know: a bug. The batch stops rather than guesses."""


def advance(state: ItemState, trigger: Trigger) -> ItemState:
    """The state after `trigger`.

    Raises:
        IllegalTransition: The table has no such transition.
    """
    try:
        return TABLE[state, trigger]
    except KeyError:
        raise IllegalTransition(f"{trigger} in state {state}") from None


def diagram() -> str:
    """The table as a Mermaid state diagram, drawn for the documentation."""
    lines = ["stateDiagram-v2", f"    [*] --> {ItemState.NEW}"]
    lines += [f"    {state} --> {after}: {trigger}" for (state, trigger), after in TABLE.items()]
    lines += [f"    {state} --> [*]" for state in ItemState if state.ended]
    return "\n".join(lines) + "\n"


def path_to(goal: ItemState) -> tuple[Trigger, ...]:
    """The shortest series of triggers of a first run from `new` to `goal`."""
    paths: dict[ItemState, tuple[Trigger, ...]] = {ItemState.NEW: ()}
    frontier = [ItemState.NEW]
    for state in frontier:
        for (start, trigger), after in TABLE.items():
            if start is state and after not in paths and trigger not in _LATER:
                paths[after] = (*paths[state], trigger)
                frontier.append(after)
    return paths[goal]
