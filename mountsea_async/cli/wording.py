"""The words of the command line: the library's messages name its keywords, here they become flags.

Pure functions over strings, and the ways in which lines reach stderr.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import textwrap
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from ..redact import shown_text

__all__ = ["abandon", "go_on_command", "in_flags", "one_line", "say", "say_error", "say_wrapped"]

_KEYWORDS = (
    "concurrency|deadline|session_id|base_url|balance_url|journal|on_unknown|items|port"
    "|max_credits|price_per_item|at_least|name"
)
_SWITCHES = "keep_duplicates|allow_private|retry_failed|accept_new_key"
_FIELDS = (
    "model|clip_id|audio_url|playlist_id|range|title|tags|negative_tags|prompt|gpt_description_prompt|continue_at"
    "|vocal_gender|mashup_clip_ids"
)
_BY_FIELD = "infill_lyrics|infill_type|infill_context_range|continued_aligned_prompt|controls|sound"
_REWORDED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r",? or give MountseaClient\(api_key=\.\.\.\)"), ""),
    (re.compile(r", or ClientConfig\(allow_http=True\)"), ""),
    (re.compile(r", or None for no deadline"), ", or leave it out for no deadline"),
    (re.compile(r", or None for a new session"), ", or leave it out for a new session"),
    (re.compile(r" or None, got"), ", got"),
    (
        re.compile(r": wait for its end, or name another$"),
        ": wait for its end (mountsea journal FILE shows how far it is), or begin anew with upload --journal OTHER",
    ),
    (re.compile(r"\(resume_batch takes them"), "(mountsea resume FILE takes them"),
    (re.compile(r"or name another journal\b"), "or name another with --journal"),
    (re.compile(r"\bleave session_id out"), "leave --session_id out"),
    (re.compile(rf"(?<![\w/.-])({_SWITCHES})(?:=True)?(?![\w/.])"), r"--\1"),
    (re.compile(rf"(?<![\w/.-])({_KEYWORDS})=(?=[,;:)]|\.?$)"), r"--\1"),
    (re.compile(rf"(?<![\w/.-])({_KEYWORDS})="), r"--\1 "),
    (re.compile(r"^(?:Behaviour|RateLimit|Uniform)\.(\w+) must"), r"--\1 must"),
    (re.compile(r"^(port|api_key) must"), r"--\1 must"),
    (re.compile(r"(?<![\w-])(max_credits|price_per_item|balance_url)\b(?!=)"), r"--\1"),
    (re.compile(rf"^({_FIELDS})="), r"--\1 "),
    (re.compile(rf"^({_FIELDS})(?=:| has )"), r"--\1"),
    (re.compile(rf"^({_BY_FIELD})(?=: task )"), r"--field \1=..."),
    (re.compile(r"^persona\.persona_id="), "--persona_id "),
    (re.compile(r"^clips: "), "CLIP_IDS: "),
    (re.compile(r", or take a group of report\.clip_groups\(\)$"), ", or give --report FILE and a --group of it"),
    (
        re.compile(
            r"one client\.upload_batch\(\.\.\.\) or upload_session are, "
            r"those of separate client\.upload\(\.\.\.\) calls"
        ),
        "one mountsea upload (or of one --session_id) are, those of separate uploads",
    ),
    (re.compile(r"playlist_id='([\w-]+)'\)$"), r"go on with mountsea generate inspiration --playlist_id \1)"),
    (re.compile(r"^task='"), "TASK '"),
    (re.compile(r"^task_id="), "TASK_ID "),
)
_FLAG = re.compile(r"--[a-z_]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def in_flags(message: str) -> str:
    """The library's message with its keywords as flags: `concurrency=0` becomes `--concurrency 0`."""
    for pattern, flag in _REWORDED:
        message = pattern.sub(flag, message)
    return _FLAG.sub(lambda match: match[0].replace("_", "-"), message)


def go_on_command(journal: Path, base_url: str | None = None) -> str:
    """The command that goes on with a journal, as it can be typed in any folder.

    Args:
        journal: The journal's file.
        base_url: What --base-url was given, if it was.
    """
    more = [] if base_url is None else ["--base-url", base_url]
    return shlex.join(["mountsea", "resume", str(journal.absolute()), *more])


def one_line(text: str) -> str:
    """The text on one line, with nothing in it that a terminal would obey and without the queries of URLs."""
    return _CONTROL.sub(" ", shown_text(text)).strip()


def say(text: str) -> None:
    """Prints lines on stderr; a stderr that is closed or that can't hold a character stops nothing."""
    if sys.stderr is None:
        return
    encoding = sys.stderr.encoding or "utf-8"
    try:
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """Points a stream that nobody reads any more to nowhere: Python's own flush at exit would complain otherwise."""
    with suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def say_wrapped(text: str) -> None:
    """Prints a line on stderr, broken between words where a terminal would break it anywhere. A line that is a command
    is left whole: it is there to be typed as it stands."""
    if sys.stderr is None or not sys.stderr.isatty() or text.lstrip().startswith("mountsea "):
        say(text)
        return
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    width = max(40, shutil.get_terminal_size().columns - 1)
    say(textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))


def say_error(text: str) -> None:
    """Prints an error as `mountsea: error: ...` on stderr."""
    for line in f"mountsea: error: {text}".split("\n"):
        say_wrapped(line)
