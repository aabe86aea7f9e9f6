"""Models of your own: the upload of what they learn from, and their training, in one call or step by step."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

from .batches import Batches, journal_settings
from .errors import ConfigurationError
from .upload.budget import check_budget
from .upload.custom import CustomModelSession
from .upload.events import Event
from .upload.fields import check_name
from .upload.inputs import Urls
from .upload.kinds import CUSTOM_MODEL
from .upload.training import MIN_CLIPS, PRICE, CustomModel

__all__ = ["CustomModels"]

OnUnlisted: TypeAlias = Literal["continue", "resubmit"]
"""What a custom model session does after a request whose outcome isn't known."""


class CustomModels(Batches):
    """The calls of a client that train custom models."""

    async def train_model(
        self,
        urls: Urls,
        name: str,
        *,
        at_least: int = MIN_CLIPS,
        concurrency: int = 32,
        deadline: float | None = None,
        on_event: Callable[[Event], object] | None = None,
        allow_private: bool = False,
        on_unknown: OnUnlisted = "continue",
        journal: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
        accept_new_key: bool = False,
        max_credits: float | None = None,
        price_per_item: float | None = None,
    ) -> CustomModel:
        """Uploads URLs and trains a model of your own on them: prepare, upload, create, in one call.

        The training takes two to three minutes and 100 credits; see `CustomModelSession.train`. With a journal the
        same call goes on where it stopped, and pays for no upload and no training twice.

        Follows docs.mountsea.ai/api-reference/suno/customModel, .../customModelUpload and .../customModelCreate.

        Args:
            urls: As in `upload_batch`; at least six different ones.
            name: The model's name, of 1 to 100 characters.
            at_least: Train if so many uploads have succeeded (6 or more); else nothing is trained.
            concurrency: As in `upload_batch`.
            deadline: Seconds from now, for the uploads and the training.
            on_event: As in `upload_batch`.
            allow_private: As in `upload_batch`.
            on_unknown: As in `custom_model_session`.
            journal: As in `upload_batch`.
            retry_failed: Where the journal holds uploads, or a training, that have failed, send them again.
            accept_new_key: As in `upload_batch`.
            max_credits: As in `upload_batch`; the training's 100 are counted.
            price_per_item: As in `upload_batch`.

        Returns:
            The model; its `id` goes into `generate` as `model`.

        Raises:
            BatchFailed: Fewer uploads have succeeded than `at_least`, so nothing was trained; its `report` says what
                became of each, and the journal, or `custom_model_session(report.session_id)`, goes on.
            UsageError: As in `upload_batch`; nothing was sent.
            MountseaError: Whatever else `upload_batch` and `CustomModelSession.train` raise.
        """
        session = self._custom_model_session(
            model=_planned(check_name(name), at_least),
            concurrency=concurrency,
            deadline=deadline,
            on_event=on_event,
            allow_private=allow_private,
            on_unknown=on_unknown,
            journal=journal_settings(journal, retry_failed=retry_failed, accept_new_key=accept_new_key),
            budget=check_budget(max_credits, price_per_item, aside=PRICE),
        )
        self._open_caller()
        entries = iter(await session.read_first(urls))
        async with session:
            await session.run(entries)
            await session.finish_training()
            return await session.train()

    def custom_model_session(
        self,
        session_id: str | None = None,
        *,
        name: str | None = None,
        at_least: int = MIN_CLIPS,
        concurrency: int = 32,
        deadline: float | None = None,
        on_event: Callable[[Event], object] | None = None,
        keep_duplicates: bool = False,
        allow_private: bool = False,
        on_unknown: OnUnlisted = "continue",
        journal: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
        accept_new_key: bool = False,
        max_credits: float | None = None,
        price_per_item: float | None = None,
    ) -> CustomModelSession:
        """A session for a custom model, to be entered with `async with`: upload at least six files, then `train`.

        Follows docs.mountsea.ai/api-reference/suno/customModel and .../customModelUpload.

        Args:
            session_id: An existing custom model session to adopt. None prepares a new one.
            name: The name of the model, where it is known already: `train()` takes it from here, and a journal keeps
                it, so that `resume_batch` goes on to the model.
            at_least: On so many clips at least (6 or more), where that is known already.
            concurrency: As in `upload_session`, and so are the rest.
            deadline: Seconds from entering the session, for the training too.
            on_event: Called with each event.
            keep_duplicates: Upload a URL as often as it is handed in.
            allow_private: Let loopback and private addresses pass, for tests.
            on_unknown: What to do after a request whose outcome isn't known: "continue" leaves it, "resubmit" sends it
                again, which may pay for it twice, an upload as well as the training. The service lists nothing of such
                a session, so there is nothing to wait for.
            journal: As in `upload_session`.
            retry_failed: As in `upload_session`.
            accept_new_key: As in `upload_session`.
            max_credits: As in `upload_batch`; the training's 100 are counted.
            price_per_item: As in `upload_batch`.

        Raises:
            InputError: A name that is none.
            ConfigurationError: A setting is out of its range.
            ClientStateError: The client isn't open.
        """
        return self._custom_model_session(
            model=None if name is None else _planned(check_name(name), at_least),
            session_id=session_id,
            concurrency=concurrency,
            deadline=deadline,
            on_event=on_event,
            keep_duplicates=keep_duplicates,
            allow_private=allow_private,
            on_unknown=on_unknown,
            journal=journal_settings(journal, retry_failed=retry_failed, accept_new_key=accept_new_key),
            budget=check_budget(max_credits, price_per_item, aside=PRICE),
        )

    def _custom_model_session(self, *, concurrency: int, on_unknown: OnUnlisted, **settings: Any) -> CustomModelSession:
        if on_unknown not in get_args(OnUnlisted):
            raise ConfigurationError(f"on_unknown={on_unknown!r}: give one of {', '.join(get_args(OnUnlisted))}")
        return CustomModelSession(
            self._open_caller,
            self._config,
            rng=self._rng,
            concurrency=self._checked_concurrency(concurrency),
            on_unknown=on_unknown,
            kind=CUSTOM_MODEL,
            observe=self._observe,
            **settings,
        )


def _planned(name: str, at_least: int) -> tuple[str, int]:
    """What is known of a model beforehand.

    Raises:
        ConfigurationError: `at_least` is out of its range.
    """
    if isinstance(at_least, bool) or not isinstance(at_least, int) or at_least < MIN_CLIPS:
        raise ConfigurationError(f"at_least={at_least!r}: give a whole number from {MIN_CLIPS}")
    return name, at_least
