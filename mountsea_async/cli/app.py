"""The commands and their flags: what `mountsea --help` says, and nothing that does the work.

Each command imports its room when it is called, so that help and usage errors come at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from .. import __version__
from .flags import (
    AcceptNewKey,
    AllowPrivate,
    BaseUrl,
    Concurrency,
    Deadline,
    Form,
    JournalFile,
    MaxCredits,
    NoJournal,
    OnUnknown,
    Output,
    Preflight,
    PricePerItem,
    Quiet,
    Results,
    RetryFailed,
    Share,
)

__all__ = ["STDIN", "app", "as_typed", "where"]

_EPILOGUE = """\
**Environment**

- `MOUNTSEA_API_KEY`: the key; there is no flag for it, since others can read a command line
- `MOUNTSEA_BASE_URL`: where the service is, if not https://api.mountsea.ai
- `MOUNTSEA_BALANCE_URL`: where the balance is told, if not https://dk.mountsea.ai

**Exit codes**

- 0: all succeeded
- 1: some failed
- 2: usage: a flag, the input or the environment is wrong; nothing was sent
- 3: something unknown, undetermined or unattributed remains
- 4: refused: the key, or no credits left
- 5: incomplete: not everything was submitted, or the journal or the service was out of order
- 130: interrupted
"""

STDIN = "\0-"
"""Stands for a lone `-` while the framework parses, which takes that for a flag. No argument can hold a NUL."""


app = App(
    name="mountsea",
    help="Upload many audio URLs to one Suno account through Mountsea, each paid for once.\n\n"
    "Try it without a key: `mountsea demo`. With a key: `mountsea upload urls.txt`.",
    help_epilogue=_EPILOGUE,
    help_format="markdown",
    version=f"mountsea {__version__}",
    default_parameter=Parameter(negative="", show_default=False),
    result_action="return_value",
    print_error=False,
    exit_on_error=False,
)
app.register_install_completion_command(help="Install completion for your shell.")


@app.command
def upload(
    *sources: str,
    concurrency: Concurrency = 32,
    deadline: Deadline = None,
    journal: JournalFile = None,
    no_journal: NoJournal = False,
    on_unknown: OnUnknown = "hold",
    retry_failed: RetryFailed = False,
    accept_new_key: AcceptNewKey = False,
    max_credits: MaxCredits = None,
    price_per_item: PricePerItem = None,
    preflight: Preflight = False,
    base_url: BaseUrl = None,
    session_id: str | None = None,
    keep_duplicates: bool = False,
    allow_private: AllowPrivate = False,
    format: Results = None,  # noqa: A002 - the flag's name
    output: Output = None,
    quiet: Quiet = False,
) -> int:
    """Upload audio URLs to one account and wait for their clips.

    ```
    mountsea upload urls.txt
    mountsea upload https://example.com/a.mp3 https://example.com/b.mp3
    cat urls.txt | mountsea upload --format json --output clips.json
    ```

    A file holds one URL a line (blank lines and lines that begin with # are skipped), or JSON Lines (strings, or
    objects with url and, if you like, key and metadata), or CSV with a column url.

    Nothing is ever paid for twice by itself. Ctrl-C once: nothing more is submitted, what was submitted is followed to
    its end. Twice: stop.

    What happens is written to a journal before it is relied on, so that `mountsea resume` goes on after any
    interruption, a crash or a power cut, too. It holds the URLs with their queries; only you can read it. While the
    journal of an earlier run of the same inputs is unfinished, the inputs are not uploaded anew.

    Args:
        sources: Files of URLs, URLs, or - for stdin. Without any, stdin is read.
        session_id: Upload to this session, and so to its account, instead of a new one.
        keep_duplicates: Upload a URL as often as it is given, instead of once.
    """
    from . import upload as room  # noqa: PLC0415 - see the module's docstring
    from .batch import Settings  # noqa: PLC0415 - as above

    settings = Settings(
        concurrency=concurrency,
        deadline=deadline,
        base_url=base_url,
        session_id=session_id,
        keep_duplicates=keep_duplicates,
        allow_private=allow_private,
        journal=as_typed(journal),
        on_unknown=on_unknown,
        retry_failed=retry_failed,
        accept_new_key=accept_new_key,
        max_credits=max_credits,
        price_per_item=price_per_item,
        quiet=quiet,
    )
    given = ["-" if source == STDIN else source for source in sources]
    form, path = where(format, output)
    return room.upload(given, settings, no_journal=no_journal, form=form, path=path, preflight=preflight)


@app.command
def resume(
    file: Path,
    /,
    *,
    concurrency: Concurrency = 32,
    deadline: Deadline = None,
    on_unknown: OnUnknown = "hold",
    retry_failed: RetryFailed = False,
    accept_new_key: AcceptNewKey = False,
    base_url: BaseUrl = None,
    format: Results = None,  # noqa: A002 - the flag's name
    output: Output = None,
    quiet: Quiet = False,
) -> int:
    """Go on with an upload where its journal says that it stopped.

    ```
    mountsea resume ~/.local/state/mountsea/2026-11-22T170311-3f2a9c1b.journal
    ```

    The inputs come from the journal. What has ended well isn't asked for again, what was accepted is followed to its
    end, what was never sent is sent; a request whose answer nobody has seen is not repeated. An interrupted upload
    prints this command. Exit codes and results are those of `mountsea upload`.

    Args:
        file: The journal.
    """
    from . import resume as room  # noqa: PLC0415 - see the module's docstring
    from .batch import Settings  # noqa: PLC0415 - as above

    settings = Settings(
        concurrency=concurrency,
        deadline=deadline,
        base_url=base_url,
        journal=as_typed(file),
        on_unknown=on_unknown,
        retry_failed=retry_failed,
        accept_new_key=accept_new_key,
        quiet=quiet,
    )
    form, path = where(format, output)
    return room.resume(settings, form=form, path=path)


@app.command
def journal(
    file: Path,
    /,
    *,
    format: Results = None,  # noqa: A002 - the flag's name
    output: Output = None,
) -> int:
    """Show what is in a journal, also while a run works on it. Needs no key and asks nobody.

    ```
    mountsea journal upload.journal
    mountsea journal --format json upload.journal
    ```

    Exit codes: 0 when it could be read, whatever it holds; 2 when it is no journal; 5 when it can't be read.

    Args:
        file: The journal.
    """
    from . import journal as room  # noqa: PLC0415 - see the module's docstring

    form, path = where(format, output)
    return room.journal(Path(str(file).replace(STDIN, "-")), form=form, path=path)


@app.command
def report(file: Path, /, *, output: Output = None, title: str | None = None) -> int:
    """Draw what is in a journal as a page to look at, also while a run works on it. Needs no key and asks nobody.

    ```
    mountsea report upload.journal -o report.html
    ```

    The page is one file that needs no other: timeline, durations, outcomes, reconciliation, items.

    Exit codes: 0 when it was drawn; 2 when the file is no journal; 5 when it can't be read, or the page not written.

    Args:
        file: The journal.
        title: The heading; without it the journal's name.
    """
    from . import report as room  # noqa: PLC0415 - see the module's docstring

    path = None if output is None or str(output) == STDIN else output
    return room.report(Path(str(file).replace(STDIN, "-")), title=title, path=path)


def as_typed(path: Path | None) -> Path | None:
    """A file's path as it was typed; it may be called `-`."""
    return None if path is None else Path(str(path).replace(STDIN, "-"))


def where(form: Form | None, path: Path | None) -> tuple[Form, Path | None]:
    """The form of the results, and their file; None for stdout."""
    from .output import form_of  # noqa: PLC0415 - see the module's docstring

    path = None if path is None or str(path) == STDIN else path
    return form or form_of(path), path


@app.command
def demo(
    *,
    items: Annotated[int, Parameter(show_default=True)] = 200,
    concurrency: Concurrency = 32,
    fail_share: Share = 0.0,
    timeout_share: Share = 0.0,
    seed: Annotated[int, Parameter(show_default=True)] = 0,
    format: Form | None = None,  # noqa: A002 - the flag's name
    quiet: Quiet = False,
) -> int:
    """See an upload of 200 made-up URLs, against an emulator of the service. Needs no key and no network.

    ```
    mountsea demo
    mountsea demo --items 500 --fail-share 0.05 --timeout-share 0.02
    mountsea demo --format json | python3 -m json.tool
    ```

    Args:
        items: How many URLs, 1 to 10000.
        fail_share: The share of uploads that fail, 0 to 1.
        timeout_share: The share of uploads that time out, 0 to 1.
        seed: Another seed, other failures.
        format: Print the items, too: how.
    """
    from . import demo as room  # noqa: PLC0415 - see the module's docstring
    from .batch import Settings  # noqa: PLC0415 - as above

    what = room.Demo(items=items, fail_share=fail_share, timeout_share=timeout_share, seed=seed)
    return room.demo(what, Settings(concurrency=concurrency, quiet=quiet), form=format)


@app.command
def status(
    task_id: str,
    /,
    *,
    base_url: BaseUrl = None,
    format: Annotated[Literal["table", "json"], Parameter(show_default=True)] = "table",  # noqa: A002 - as above
) -> int:
    """Ask what became of a task, or which clips a session holds.

    ```
    mountsea status 0f6c1e0a-7d0b-4b63-9d5c-0a5b8f6f2c11
    ```

    Args:
        task_id: The id of a task or of a session.
        format: How the answer is printed.
    """
    from . import status as room  # noqa: PLC0415 - see the module's docstring

    return room.status(task_id.replace(STDIN, "-"), base_url=base_url, form=format)


@app.command
def emulator(
    *,
    port: Annotated[int, Parameter(show_default=True)] = 0,
    api_key: Annotated[str, Parameter(show_default=True)] = "emulator-key",
    duration: Annotated[tuple[float, float], Parameter(show_default=True)] = (0.4, 0.8),
    parallel: int | None = None,
    latency: Share = 0.0,
    fail_share: Share = 0.0,
    timeout_share: Share = 0.0,
    rate: float | None = None,
    burst: Annotated[int, Parameter(show_default=True)] = 1,
    credits: int | None = None,  # noqa: A002 - the flag's name
    seed: Annotated[int, Parameter(show_default=True)] = 0,
) -> int:
    """Run an emulator of the service on this machine, to test your own code against. Ctrl-C stops it.

    ```
    mountsea emulator --port 8080
    mountsea emulator --duration 1 3 --fail-share 0.1 --rate 20 --burst 40
    ```

    It prints the two lines that point a client to it, to be pasted into another shell. Only this machine can reach it.

    Args:
        port: Where to listen; 0: a free port.
        api_key: The key that it accepts.
        duration: The shortest and the longest upload, in seconds.
        parallel: How many uploads an account works on at once; without it: all.
        latency: Seconds before each answer.
        fail_share: The share of uploads that fail, 0 to 1.
        timeout_share: The share of uploads that time out, 0 to 1.
        rate: Requests a second, beyond which it answers "too many requests"; without it: no limit.
        burst: How many requests may come at once, under a rate.
        credits: How many uploads the key can pay for; without it: endless.
        seed: Another seed, other ids and failures.
    """
    from . import emulator as room  # noqa: PLC0415 - see the module's docstring

    behaviour: dict[str, Any] = {
        "parallel": parallel,
        "latency": latency,
        "fail_share": fail_share,
        "timeout_share": timeout_share,
        "credits": credits,
        "seed": seed,
    }
    built = room.build(port=port, api_key=api_key, duration=duration, rate=rate, burst=burst, **behaviour)
    return room.emulate(built)
