"""`MountseaClient`: one method an endpoint, `upload_batch` on top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .custom_models import CustomModels
from .models import Clip
from .songs import Songs
from .upload.fields import check_deadline, check_path, encode_payload
from .upload.inputs import Urls, check_entries
from .upload.preflight import PreflightReport, preflight
from .upload.tasks import TaskHandle, clip_of, data_of
from .wire import answers, endpoints

__all__ = ["MountseaClient"]


class MountseaClient(CustomModels, Songs):
    """A client of Mountsea's Suno upload service.

    Use it as `async with MountseaClient() as client`. It may be constructed anywhere; it is used in the event loop
    in which it was entered. One client serves any number of coroutines and batches at once.

    Args:
        api_key: The key. None: the environment's `MOUNTSEA_API_KEY`.
        base_url: Where the service is. None: the environment's `MOUNTSEA_BASE_URL`, or https://api.mountsea.ai.
        balance_url: Where the account's balance is told (`credits()`). None: the environment's `MOUNTSEA_BALANCE_URL`;
            without one https://dk.mountsea.ai, or `base_url` where that isn't the service's own, so that the key goes
            nowhere else.
        http: An `aiohttp.ClientSession` to borrow; it is never closed, and its redirects, middlewares and
            `raise_for_status` are not used. Its pool must hold the concurrency of the batches.
        config: Timeouts, retries, polling and the like.
        pace: Clients with the same key can share one, so that a "too many requests" to one pauses all.
        observe: Called without arguments whenever a session begins (a batch, a custom model's, a resumed one), in the
            task that opens it; gives a plain function, which is called with each event of that session, as `on_event`
            is: in the event loop, and what either raises is logged. Such as `contrib.opentelemetry.Telemetry()`.

    Raises:
        ConfigurationError: No key, a key that can't be sent, an address that isn't one, plain http to another
            machine, an `observe` that can't be called so, `http` together with `ClientConfig.trace_configs`.
    """

    async def upload(self, audio_url: str, *, deadline: float | None = None, allow_private: bool = False) -> Clip:
        """Uploads one URL by itself. The account may differ from call to call: clips that are to be used together
        belong in one `upload_batch` or `upload_session`.

        Follows docs.mountsea.ai/api-reference/suno/upload.

        Args:
            audio_url: A public http or https URL.
            deadline: Seconds to wait for the clip, once it was accepted.
            allow_private: Let loopback and private addresses pass, for tests.

        Raises:
            InputError: The URL can't be uploaded; nothing was sent.
            ConfigurationError: The deadline isn't above 0; nothing was sent.
            TaskFailedError: The service failed the upload, or (`TaskTimedOutError`) let it time out.
            TaskPendingError: We stopped asking before it had ended; carries the `task_id`.
            MissingClipError: It succeeded without naming its clip.
            APIError: The service turned it away.
            NotSentError: The service could not be reached; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted.
        """
        check_deadline(deadline)  # before anything is paid
        handle = await self.submit_upload(audio_url, allow_private=allow_private)
        return clip_of(await handle.wait(deadline=deadline))

    async def submit_upload(self, audio_url: str, *, allow_private: bool = False) -> TaskHandle:
        """Submits one URL by itself, as `upload` does, and doesn't wait for its clip.

        Follows docs.mountsea.ai/api-reference/suno/upload.

        Args:
            audio_url: A public http or https URL.
            allow_private: Let loopback and private addresses pass, for tests.

        Returns:
            The handle of its task; when that has ended with `success`, its `clip` is there.

        Raises:
            InputError: The URL can't be uploaded; nothing was sent.
            APIError: The service turned it away.
            NotSentError: The service could not be reached; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted.
        """
        (item,) = check_entries([audio_url], allow_private=allow_private)
        return await self._submit(endpoints.upload_audio(item.audio_url), data_of)

    async def credits(self) -> float:
        """The credits that are left. Asked of a host of its own, `balance_url`, with the key in a header of its own.

        Follows docs.mountsea.ai, api-user/credits.

        Raises:
            AuthenticationError: The key was refused.
            APIError: The service refuses, or fails again and again.
            TransportError: No answer came, again and again.
        """
        return await self._open_caller().ask(endpoints.balance(), answers.balance)

    async def preflight(
        self,
        urls: Urls,
        *,
        concurrency: int = 32,
        timeout: float = 5.0,  # noqa: ASYNC109 - of each URL, not of the call
        allow_private: bool = False,
    ) -> PreflightReport:
        """Asks the host of each URL for its first bytes, once, before anything is paid. Sends nothing to the service.

        Neither the key nor a cookie nor a client's certificate goes along. It tells what this machine gets; the
        service asks for itself, from elsewhere and later. At most five redirects are followed. Nothing is connected
        to that the whole Internet can't reach; behind a proxy (as in `ClientConfig`) names are resolved by that, so
        only names and addresses that are private by their text are refused. The client needn't be open.

        For docs.mountsea.ai/api-reference/suno/upload, which downloads from the URLs.

        Args:
            urls: Strings or `UploadItem`s, from any iterable or async iterable.
            concurrency: URLs that are asked for at once, 1 to 100.
            timeout: Seconds that one URL may take, its redirects included; above 0, at most 600.
            allow_private: Let loopback and private addresses and all ports pass, for tests.

        Returns:
            What was found, entry by entry. A URL that stands there more than once is asked for once.

        Raises:
            InputError: The batch is empty, or entries can't be uploaded whatever their hosts say; nobody was asked.
            ConfigurationError: A setting is out of its range; nobody was asked.
        """
        return await preflight(
            urls, self._config, concurrency=concurrency, timeout=timeout, allow_private=allow_private
        )

    async def submit(self, path: str, payload: Mapping[str, Any]) -> TaskHandle:
        """Calls an asynchronous endpoint that has no method of its own here: one that answers with a `taskId`.

        It may cost credits, so it is sent again only where it provably was not processed.

        Args:
            path: The endpoint below the base URL, such as `/suno/v2/lyrics`.
            payload: The body, as values that JSON has. Send the fields only that the endpoint's page names.

        Raises:
            InputError: The path or the payload can't be sent; nothing was.
            APIError: The service turned it away.
            NotSentError: The service could not be reached; nothing was paid.
            UnknownOutcomeError: It may or may not have been accepted.
        """
        return await self._submit(endpoints.submit(check_path(path), encode_payload(payload)))
