"""The commands and their flags: what `mountsea --help` says, and nothing that does the work.

Each command imports its room when it is called, so that help and usage errors come at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from cyclopts import App, CycloptsError, Parameter

from .. import __version__

__all__ = ["app", "run"]

_EPILOGUE = """\
**Environment**

- `MOUNTSEA_API_KEY`: the key; there is no flag for it, since others can read a command line
- `MOUNTSEA_BASE_URL`: where the service is, if not https://api.mountsea.ai

**Exit codes**

- 0: all succeeded
- 1: some failed
- 2: usage: a flag, the input or the environment is wrong; nothing was sent
- 3: something unknown, undetermined or unattributed remains
- 4: refused: the key, or no credits left
- 5: incomplete: not everything was submitted, or the service was out of order
- 130: interrupted
"""

_STDIN = "\0-"
"""Stands for a lone `-` while the framework parses, which takes that for a flag. No argument can hold a NUL."""

Form: TypeAlias = Literal["table", "json", "jsonl", "csv"]
BaseUrl: TypeAlias = Annotated[str | None, Parameter(name="--base-url", show_default=False)]
Share: TypeAlias = Annotated[float, Parameter(show_default=True)]


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
    concurrency: Annotated[int, Parameter(show_default=True)] = 32,
    deadline: float | None = None,
    base_url: BaseUrl = None,
    session_id: str | None = None,
    keep_duplicates: bool = False,
    allow_private: bool = False,
    format: Form | None = None,  # noqa: A002 - the flag's name
    output: Path | None = None,
    quiet: bool = False,
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

    Args:
        sources: Files of URLs, URLs, or - for stdin. Without any, stdin is read.
        concurrency: Requests in flight at once, submits and polls together, 1 to 100. How many uploads the
            account works on at once is the service's business.
        deadline: Seconds after which nothing more is submitted or asked.
        base_url: Where the service is; goes before MOUNTSEA_BASE_URL.
        session_id: Upload to this session, and so to its account, instead of a new one.
        keep_duplicates: Upload a URL as often as it is given, instead of once.
        allow_private: Let loopback and private addresses pass, for tests.
        format: How the results are printed; without it, as the suffix of --output says, or as a table.
        output: Write the results to this file instead of stdout.
        quiet: Show no progress.
    """
    from . import upload as room  # noqa: PLC0415 - see the module's docstring
    from .batch import Settings  # noqa: PLC0415 - as above

    settings = Settings(
        concurrency=concurrency,
        deadline=deadline,
        session_id=session_id,
        keep_duplicates=keep_duplicates,
        allow_private=allow_private,
        quiet=quiet,
    )
    path = None if output is None or str(output) == _STDIN else output
    given = ["-" if source == _STDIN else source for source in sources]
    form = format or room.form_of(path)
    return room.upload(given, settings, base_url=base_url, form=form, path=path)


@app.command
def demo(
    *,
    items: Annotated[int, Parameter(show_default=True)] = 200,
    concurrency: Annotated[int, Parameter(show_default=True)] = 32,
    fail_share: Share = 0.0,
    timeout_share: Share = 0.0,
    seed: Annotated[int, Parameter(show_default=True)] = 0,
    format: Form | None = None,  # noqa: A002 - the flag's name
    quiet: bool = False,
) -> int:
    """See an upload of 200 made-up URLs, against an emulator of the service. Needs no key and no network.

    ```
    mountsea demo
    mountsea demo --items 500 --fail-share 0.05 --timeout-share 0.02
    mountsea demo --format json | python3 -m json.tool
    ```

    Args:
        items: How many URLs, 1 to 10000.
        concurrency: Requests in flight at once, submits and polls together, 1 to 100.
        fail_share: The share of uploads that fail, 0 to 1.
        timeout_share: The share of uploads that time out, 0 to 1.
        seed: Another seed, other failures.
        format: Print the items, too: how.
        quiet: Show no progress.
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
        base_url: Where the service is; goes before MOUNTSEA_BASE_URL.
        format: How the answer is printed.
    """
    from . import status as room  # noqa: PLC0415 - see the module's docstring

    return room.status(task_id.replace(_STDIN, "-"), base_url=base_url, form=format)


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


def run(arguments: Sequence[str]) -> int:
    """Runs one command. Returns the exit code; an expected error becomes a line on stderr.

    Args:
        arguments: Without the program's name.
    """
    try:
        code = _call([_STDIN if argument == "-" else argument for argument in arguments])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        from .wording import abandon  # noqa: PLC0415 - only in an error

        abandon(sys.stdout)
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _call(tokens: list[str]) -> int:
    from .. import MountseaError  # noqa: PLC0415 - see the module's docstring

    try:
        return int(app(tokens) or 0)
    except SystemExit as ending:  # how the framework ends an interrupt
        return ending.code if isinstance(ending.code, int) else 2
    except CycloptsError as error:
        return _misused(error)
    except MountseaError as error:
        from .exits import error_code  # noqa: PLC0415 - only in an error
        from .wording import in_flags, say_error  # noqa: PLC0415 - as above

        say_error(in_flags(error.message))
        return int(error_code(error))


def _misused(error: CycloptsError) -> int:
    """Tells a parse error in our words; never what looks like a key."""
    from .wording import one_line, say_error  # noqa: PLC0415 - only in an error

    text = one_line(str(error).replace(_STDIN, "-").replace(repr(_STDIN), "'-'"))
    if "--api-key" in text or "--api_key" in text:
        text = "there is no flag for the API key: set the environment variable MOUNTSEA_API_KEY"
    command = " ".join(("mountsea", *(error.command_chain or ())))
    say_error(f"{text}\nTry: {command} --help")
    return 2
