"""What an application holds for its whole life: one client, one supervisor; and how a route gets at them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Annotated, TypeAlias, Unpack

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from ...client import MountseaClient
from ...errors import ClientStateError
from ..supervisor import Supervisor, SupervisorSettings
from .signals import told_of_the_end

__all__ = ["ClientDep", "SupervisorDep", "get_client", "get_supervisor", "mountsea_lifespan"]


def mountsea_lifespan(
    journals: str | os.PathLike[str] | None = None,
    *,
    client: Callable[[], MountseaClient] = MountseaClient,
    **settings: Unpack[SupervisorSettings],
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """A lifespan that opens a client and, given a folder, a supervisor: `lifespan=mountsea_lifespan("batches")`.

    In a lifespan of your own: `async with mountsea_lifespan("batches")(app): yield`.

    At the application's start unfinished batches go on. When the server is told to end, submitting stops at once,
    streams of events end, requests on their way get `ClientConfig.shutdown` seconds for their answers, journals close.

    Args:
        journals: The folder in which each batch has its journal; one process at a time. None: no supervisor.
        client: Makes the client, which is not open yet; the default takes key and addresses from the environment.
        **settings: The `Supervisor`'s: `at_once`, `queued`, `max_items`, `keep`, `concurrency`, `accept_new_key`.

    Returns:
        What `FastAPI(lifespan=...)` takes. Entering it raises what opening the client and the supervisor does:
        `ConfigurationError` without a key, `JournalBusy` where another process has the folder.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with client() as opened:
            with _held(app, "mountsea_client", opened):
                if journals is None:
                    yield
                    return
                supervisor = Supervisor(opened, journals, **settings)
                with told_of_the_end(supervisor.begin_to_close):
                    async with supervisor:
                        with _held(app, "mountsea_supervisor", supervisor):
                            yield

    return lifespan


@contextmanager
def _held(app: FastAPI, name: str, value: object) -> Iterator[None]:
    """Something that an application holds for a while, in the place of what it held before."""
    before = getattr(app.state, name, None)
    setattr(app.state, name, value)
    try:
        yield
    finally:
        setattr(app.state, name, before)


def get_client(connection: HTTPConnection) -> MountseaClient:
    """The application's client, for `Depends(get_client)`; `app.dependency_overrides[get_client]` replaces it.

    Raises:
        ClientStateError: The application has no `mountsea_lifespan`.
    """
    found = getattr(connection.app.state, "mountsea_client", None)
    if not isinstance(found, MountseaClient):
        raise ClientStateError(
            "the application holds no client: FastAPI(lifespan=mountsea_lifespan(...)); the lifespan of a mounted "
            "application isn't run, that of the outermost one is"
        )
    return found


def get_supervisor(connection: HTTPConnection) -> Supervisor:
    """The application's supervisor, for `Depends(get_supervisor)`; replaced as `get_client` is.

    Raises:
        ClientStateError: The application has no `mountsea_lifespan` with a folder.
    """
    found = getattr(connection.app.state, "mountsea_supervisor", None)
    if not isinstance(found, Supervisor):
        raise ClientStateError("the application holds no supervisor: FastAPI(lifespan=mountsea_lifespan(FOLDER))")
    return found


ClientDep: TypeAlias = Annotated[MountseaClient, Depends(get_client)]
"""A parameter of a route: the application's client."""
SupervisorDep: TypeAlias = Annotated[Supervisor, Depends(get_supervisor)]
"""A parameter of a route: the application's supervisor."""
