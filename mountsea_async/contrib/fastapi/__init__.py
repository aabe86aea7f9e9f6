"""Inside FastAPI: one client for the process, batches that outlive a request, live progress, a page to watch.

    app = FastAPI(lifespan=mountsea_lifespan("batches"))
    app.include_router(mountsea_router(dependencies=[Depends(authenticate)]))
    app.add_exception_handler(MountseaError, mountsea_error_handler)

Needs the extra `fastapi`.
"""

from __future__ import annotations

from ..note import BatchState, BatchSummary
from ..supervisor import Supervisor
from .errors import http_status, mountsea_error_handler
from .lifespan import ClientDep, SupervisorDep, get_client, get_supervisor, mountsea_lifespan
from .router import mountsea_router

__all__ = [
    "BatchState",
    "BatchSummary",
    "ClientDep",
    "Supervisor",
    "SupervisorDep",
    "get_client",
    "get_supervisor",
    "http_status",
    "mountsea_error_handler",
    "mountsea_lifespan",
    "mountsea_router",
]
