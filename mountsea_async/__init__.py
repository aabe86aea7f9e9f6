"""The asyncio client for Mountsea's Suno upload service: many audio URLs to one account, each paid for once.

    async with MountseaClient() as client:
        report = await client.upload_batch(urls)

Names are imported when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .client import MountseaClient as MountseaClient
    from .config import MAX_IN_FLIGHT as MAX_IN_FLIGHT
    from .config import ClientConfig as ClientConfig
    from .config import PollPolicy as PollPolicy
    from .config import RetryPolicy as RetryPolicy
    from .config import Timeouts as Timeouts
    from .environment import DEFAULT_BASE_URL as DEFAULT_BASE_URL
    from .errors import AbandonedError as AbandonedError
    from .errors import APIError as APIError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BadRequestError as BadRequestError
    from .errors import BatchConflict as BatchConflict
    from .errors import BatchNotFound as BatchNotFound
    from .errors import ClientStateError as ClientStateError
    from .errors import ConfigurationError as ConfigurationError
    from .errors import DeadlineError as DeadlineError
    from .errors import InputError as InputError
    from .errors import InputProblem as InputProblem
    from .errors import InsufficientCreditsError as InsufficientCreditsError
    from .errors import JournalBusy as JournalBusy
    from .errors import JournalError as JournalError
    from .errors import JournalMismatch as JournalMismatch
    from .errors import MissingClipError as MissingClipError
    from .errors import MissingModelError as MissingModelError
    from .errors import MissingPersonaError as MissingPersonaError
    from .errors import MountseaError as MountseaError
    from .errors import NoAccountError as NoAccountError
    from .errors import NoAnswerError as NoAnswerError
    from .errors import NotFoundError as NotFoundError
    from .errors import NotSentError as NotSentError
    from .errors import NotSubmittedError as NotSubmittedError
    from .errors import Overloaded as Overloaded
    from .errors import PhraseExpiredError as PhraseExpiredError
    from .errors import RateLimitedError as RateLimitedError
    from .errors import ServerError as ServerError
    from .errors import StalledError as StalledError
    from .errors import SupervisorClosed as SupervisorClosed
    from .errors import TaskError as TaskError
    from .errors import TaskFailedError as TaskFailedError
    from .errors import TaskLostError as TaskLostError
    from .errors import TaskPendingError as TaskPendingError
    from .errors import TaskTimedOutError as TaskTimedOutError
    from .errors import TransportError as TransportError
    from .errors import UnexpectedAnswerError as UnexpectedAnswerError
    from .errors import UnknownOutcomeError as UnknownOutcomeError
    from .errors import UsageError as UsageError
    from .generation import GenerateRequest as GenerateRequest
    from .generation import GenerateTask as GenerateTask
    from .models import Clip as Clip
    from .models import GenerateField as GenerateField
    from .models import Persona as Persona
    from .models import Playlist as Playlist
    from .models import SessionAudio as SessionAudio
    from .models import Task as Task
    from .models import TaskSchema as TaskSchema
    from .models import TaskStatus as TaskStatus
    from .models import UploadItem as UploadItem
    from .models import VoicePhrase as VoicePhrase
    from .models import VoxStem as VoxStem
    from .parts import Controls as Controls
    from .parts import PersonaUse as PersonaUse
    from .parts import Sound as Sound
    from .parts import TimeRange as TimeRange
    from .songs import clips_of as clips_of
    from .upload.custom import CustomModelSession as CustomModelSession
    from .upload.events import ClipsListed as ClipsListed
    from .upload.events import Event as Event
    from .upload.events import ItemChanged as ItemChanged
    from .upload.events import ItemSettled as ItemSettled
    from .upload.events import JournalFailed as JournalFailed
    from .upload.events import Observer as Observer
    from .upload.events import Paused as Paused
    from .upload.events import Reconciled as Reconciled
    from .upload.events import SessionClosed as SessionClosed
    from .upload.events import SessionOpened as SessionOpened
    from .upload.events import SessionPlanned as SessionPlanned
    from .upload.events import SubmitsStopped as SubmitsStopped
    from .upload.events import TrainingChanged as TrainingChanged
    from .upload.inputs import DuplicateURLWarning as DuplicateURLWarning
    from .upload.lifecycle import ItemState as ItemState
    from .upload.lifecycle import Trigger as Trigger
    from .upload.past import read_journal as read_journal
    from .upload.preflight import PreflightItem as PreflightItem
    from .upload.preflight import PreflightReport as PreflightReport
    from .upload.reconcile import Reconciliation as Reconciliation
    from .upload.report import BatchFailed as BatchFailed
    from .upload.report import BatchReport as BatchReport
    from .upload.report import ItemReport as ItemReport
    from .upload.report import Stats as Stats
    from .upload.session import UploadSession as UploadSession
    from .upload.tasks import TaskHandle as TaskHandle
    from .upload.training import CustomModel as CustomModel
    from .upload.training import TrainingReport as TrainingReport
    from .voice import VoicePersona as VoicePersona
    from .wire.pacing import Pace as Pace

_HOMES = {
    "client": ("MountseaClient",),
    "config": ("MAX_IN_FLIGHT", "ClientConfig", "PollPolicy", "RetryPolicy", "Timeouts"),
    "environment": ("DEFAULT_BASE_URL",),
    "errors": (
        "AbandonedError",
        "APIError",
        "AuthenticationError",
        "SupervisorClosed",
        "Overloaded",
        "BatchNotFound",
        "BatchConflict",
        "BadRequestError",
        "ClientStateError",
        "ConfigurationError",
        "DeadlineError",
        "InputError",
        "InputProblem",
        "InsufficientCreditsError",
        "JournalBusy",
        "JournalError",
        "JournalMismatch",
        "MissingClipError",
        "MissingModelError",
        "MissingPersonaError",
        "MountseaError",
        "NoAccountError",
        "NoAnswerError",
        "NotFoundError",
        "NotSentError",
        "NotSubmittedError",
        "PhraseExpiredError",
        "RateLimitedError",
        "ServerError",
        "StalledError",
        "TaskError",
        "TaskFailedError",
        "TaskLostError",
        "TaskPendingError",
        "TaskTimedOutError",
        "TransportError",
        "UnexpectedAnswerError",
        "UnknownOutcomeError",
        "UsageError",
    ),
    "generation": ("GenerateRequest", "GenerateTask"),
    "models": (
        "Clip",
        "GenerateField",
        "Persona",
        "Playlist",
        "SessionAudio",
        "Task",
        "TaskSchema",
        "TaskStatus",
        "UploadItem",
        "VoicePhrase",
        "VoxStem",
    ),
    "parts": ("Controls", "PersonaUse", "Sound", "TimeRange"),
    "songs": ("clips_of",),
    "upload.events": (
        "ClipsListed",
        "Event",
        "ItemChanged",
        "ItemSettled",
        "JournalFailed",
        "Observer",
        "Paused",
        "Reconciled",
        "SessionClosed",
        "SessionOpened",
        "SessionPlanned",
        "SubmitsStopped",
        "TrainingChanged",
    ),
    "upload.past": ("read_journal",),
    "upload.lifecycle": ("ItemState", "Trigger"),
    "upload.preflight": ("PreflightItem", "PreflightReport"),
    "upload.reconcile": ("Reconciliation",),
    "upload.report": ("BatchFailed", "BatchReport", "ItemReport", "Stats"),
    "upload.inputs": ("DuplicateURLWarning",),
    "upload.custom": ("CustomModelSession",),
    "upload.session": ("UploadSession",),
    "upload.tasks": ("TaskHandle",),
    "upload.training": ("CustomModel", "TrainingReport"),
    "voice": ("VoicePersona",),
    "wire.pacing": ("Pace",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF, "__version__"]  # noqa: PLE0604 - the table above is the list

logging.getLogger("mountsea_async").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
