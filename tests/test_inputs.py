"""Bad input is refused before anything is sent, by name, with the way out; good input passes."""

from __future__ import annotations

import math
import warnings
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mountsea_async.errors import ConfigurationError, InputError, UsageError
from mountsea_async.models import UploadItem
from mountsea_async.upload.fields import check_concurrency, check_deadline
from mountsea_async.upload.inputs import (
    DuplicateURLWarning,
    check_audio_url,
    check_entries,
    collect,
    warn_of_duplicates,
)

GOOD = "https://cdn.example.com/a.mp3"
SECRET = "5e1f00d5ecre7"
PRESIGNED = (
    "https://bucket.s3.eu-west-1.amazonaws.com/path/to/a%20song%20(live).mp3?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    f"&X-Amz-Credential=AKIA%2F20261122%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature={SECRET}"
    "&response-content-disposition=attachment%3B%20filename%3D%22a.mp3%22&x=" + "q" * 3000
)


@pytest.mark.parametrize(
    "url",
    [
        GOOD,
        "http://cdn.example.com/a.mp3",
        "HTTPS://CDN.EXAMPLE.COM/A.MP3",
        PRESIGNED,
        "https://example.com",
        "https://example.com/",
        "https://example.com?x=1",
        "https://example.com:8443/a.mp3",
        "http://example.com:80/a.mp3",
        "https://example.com./a.mp3",
        "https://sub_domain.example.com/a.mp3",
        "https://a-b.example.co.uk/a.mp3",
        "https://xn--bcher-kva.example/a.mp3",
        "https://bücher.example/a.mp3",
        "https://例え.jp/a.mp3",
        "https://example.com/%E6%AD%8C.mp3",
        "https://example.com/歌.mp3",
        "https://example.com/a.mp3#t=10",
        "https://example.com/a@b:c,d;e=f/(g)!$&'*+~.mp3",
        "https://8.8.8.8/a.mp3",
        "https://8.8.8.8./a.mp3",
        "https://134744072/a.mp3",
        "https://[2606:4700:4700::1111]/a.mp3",
        "https://[2606:4700:4700::1111]:8443/a.mp3",
        "https://[::ffff:8.8.8.8]/a.mp3",
        "https://172.15.255.255/a.mp3",
        "https://172.32.0.1/a.mp3",
        "https://100.128.0.1/a.mp3",
        "https://local.example.com/a.mp3",
        "https://notlocal/a.mp3".replace("notlocal", "localhost.example.com"),
        "https://mylocal.dev/a.mp3",
        "https://example.com/" + "a" * 7000,
    ],
)
def test_a_good_url_passes(url: str) -> None:
    assert check_audio_url(url) is None


BAD = [
    pytest.param("", "empty", id="empty"),
    pytest.param("cdn.example.com/a.mp3", "http", id="no scheme"),
    pytest.param("//cdn.example.com/a.mp3", "http", id="scheme-relative"),
    pytest.param("/music/a.mp3", "http", id="a path"),
    pytest.param("C:/music/a.mp3", "http", id="a Windows path"),
    pytest.param("ftp://cdn.example.com/a.mp3", "http", id="ftp"),
    pytest.param("file:///etc/passwd", "http", id="file"),
    pytest.param("data:audio/mp3;base64,AAAA", "http", id="data"),
    pytest.param("s3://bucket/a.mp3", "http", id="s3"),
    pytest.param("javascript:alert(1)", "http", id="javascript"),
    pytest.param("httpss://cdn.example.com/a.mp3", "http", id="nearly https"),
    pytest.param("https://cdn.example.com/a b.mp3", "space", id="space"),
    pytest.param(" https://cdn.example.com/a.mp3", "space", id="leading space"),
    pytest.param("https://cdn.example.com/a.mp3 ", "space", id="trailing space"),
    pytest.param("https://cdn.example.com/a.mp3\n", r"\n", id="newline"),
    pytest.param("https://cdn.example.com/a\r\nX: y", r"\r", id="header injection"),
    pytest.param("https://cdn.example.com/a\tb", r"\t", id="tab"),
    pytest.param("https://cdn.example.com/a\x00b", r"\x00", id="NUL"),
    pytest.param("https://cdn.example.com/a\x7fb", r"\x7f", id="DEL"),
    pytest.param("https://cdn.example.com/a\u2028b", r"\u2028", id="line separator"),
    pytest.param("https://cdn.example.com/a\xa0b", r"\xa0", id="no-break space"),
    pytest.param("https://cdn.example.com/\ud800.mp3", "ud800", id="half a character"),
    pytest.param("https://cdn.example.com/\udcff.mp3", "udcff", id="a byte that is no text"),
    pytest.param("https://cdn.example.com\\a.mp3", "\\", id="backslash"),
    pytest.param('https://cdn.example.com/"a".mp3', '"', id="quote"),
    pytest.param("<https://cdn.example.com/a.mp3>", "<", id="in angle brackets"),
    pytest.param("https://user:pass@cdn.example.com/a.mp3", "credentials", id="user and password"),
    pytest.param("https://user@cdn.example.com/a.mp3", "credentials", id="user"),
    pytest.param("https://@cdn.example.com/a.mp3", "credentials", id="empty user"),
    pytest.param("https://:pass@cdn.example.com/a.mp3", "credentials", id="password"),
    pytest.param("https://", "host", id="only a scheme"),
    pytest.param("https:///a.mp3", "host", id="no host"),
    pytest.param("https://:443/a.mp3", "host", id="only a port"),
    pytest.param("https:cdn.example.com/a.mp3", "host", id="no slashes"),
    pytest.param("https:/cdn.example.com/a.mp3", "host", id="one slash"),
    pytest.param("https://?x=1", "host", id="only a query"),
    pytest.param("https://cdn..example.com/a.mp3", "host name", id="empty label"),
    pytest.param("https://.example.com/a.mp3", "host name", id="leading dot"),
    pytest.param("https://-cdn.example.com/a.mp3", "host name", id="leading hyphen"),
    pytest.param("https://cdn%2eexample.com/a.mp3", "host name", id="escaped host"),
    pytest.param("https://" + "a" * 64 + ".example/a.mp3", "host name", id="label too long"),
    pytest.param("https://cdn,example.com/a.mp3", "host name", id="comma for a dot"),
    pytest.param("https://999.1.1.1/a.mp3", "999.1.1.1", id="no IPv4 address"),
    pytest.param("https://1.2.3.4.5/a.mp3", "1.2.3.4.5", id="five numbers"),
    pytest.param("https://[::1/a.mp3", "URL", id="bracket left open"),
    pytest.param("https://[nonsense]/a.mp3", "", id="no IPv6 address"),
    pytest.param("https://cdn.example.com:99999/a.mp3", "ort", id="port too large"),
    pytest.param("https://cdn.example.com:0/a.mp3", "ort", id="port 0"),
    pytest.param("https://cdn.example.com:-1/a.mp3", "ort", id="port negative"),
    pytest.param("https://cdn.example.com:abc/a.mp3", "ort", id="port no number"),
    pytest.param("https://cdn.example.com/" + "a" * 8000, "characters", id="too long"),
    pytest.param("https://cdn.example.com/" + "\U0001d11e" * 7000, "", id="too long once it is escaped"),
]


@pytest.mark.parametrize(("url", "says"), BAD)
def test_a_bad_url_is_refused_and_the_reason_said(url: str, says: str) -> None:
    problem = check_audio_url(url)
    assert problem is not None
    assert says in problem


@pytest.mark.parametrize(("url", "says"), BAD)
def test_no_override_lets_a_bad_url_pass(url: str, says: str) -> None:
    assert check_audio_url(url, allow_private=True) is not None


@pytest.mark.parametrize(
    "value", [None, 7, 1.5, True, b"https://x.example/a", ["https://x"], {"url": GOOD}, Path("/a")]
)
def test_what_is_no_string_is_no_url(value: object) -> None:
    problem = check_audio_url(value)
    assert problem is not None
    assert type(value).__name__ in problem


PRIVATE = [
    "0.0.0.0",  # noqa: S104 - a spelling to be refused
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F000001", "0x7f.1", "0177.0.0.1",
    "017700000001", "127.255.255.254", "0", "10.0.0.1", "10.255.255.255", "167772161", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "192.168.257", "169.254.169.254", "0xa9fea9fe", "100.64.0.1", "100.127.255.255",
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:10.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]",
    "[fe80::1%25eth0]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[2001:db8::1]", "[2002:7f00:1::]",
    "[2002:a00:1::1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a00:1]",
    "localhost", "LOCALHOST", "localhost.", "foo.localhost", "foo.local", "foo.local.", "FOO.LOCAL", "db.internal",
    "metadata.google.internal", "nas.lan", "router.home.arpa", "wiki.intranet", "host.localdomain", "intranet", "nas",
    "my_nas",
    "\uff11\uff12\uff17.0.0.1", "\uff46\uff4f\uff4f.\uff4c\uff4f\uff43\uff41\uff4c", "\u2460\u2461\u2466.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("port", ["", ":8080"], ids=["", "port"])
def test_a_loopback_or_private_address_is_refused_in_every_spelling(host: str, port: str) -> None:
    problem = check_audio_url(f"http://{host}{port}/a.mp3")
    assert problem is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "10.0.0.1", "nas", "127.1"])
def test_the_refusal_names_the_override_and_the_override_works(host: str) -> None:
    problem = check_audio_url(f"http://{host}:8080/a.mp3")
    assert problem is not None
    assert "allow_private" in problem
    assert check_audio_url(f"http://{host}:8080/a.mp3", allow_private=True) is None


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda rest: f"https://{rest}"))
def test_any_text_is_answered_with_a_problem_or_none(text: str) -> None:
    problem = check_audio_url(text)
    assert problem is None or (problem and "\n" not in problem)


@given(st.ip_addresses())
@example(ip_address("2002:100::"))
@example(ip_address("::8.8.8.8"))
@example(ip_address("::ffff:8.8.8.8"))
@example(ip_address("::ffff:10.0.0.1"))
def test_an_address_passes_only_if_it_is_global(address: IPv4Address | IPv6Address) -> None:
    host = f"[{address}]" if ":" in str(address) else str(address)
    if check_audio_url(f"http://{host}/a") is None:
        # Python's versions differ in what they say of an IPv4 address in IPv6 form.
        meant = (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
        assert meant.is_global
        assert not meant.is_loopback


# ------------------------------------------------------------------------------------------------------- batches
async def as_async(*entries: object) -> AsyncIterator[object]:
    for entry in entries:
        yield entry


def as_generator(*entries: object) -> Iterator[object]:
    yield from entries


@pytest.mark.parametrize(
    "make", [list, tuple, iter, lambda urls: as_generator(*urls), lambda urls: as_async(*urls), dict.fromkeys]
)
async def test_a_batch_is_any_iterable_or_async_iterable(make: object) -> None:
    assert callable(make)
    urls = [f"https://cdn.example.com/{number}.mp3" for number in range(5)]
    assert [item.audio_url for item in await collect(make(urls))] == urls


async def test_items_keep_their_key_and_metadata_and_mix_with_strings() -> None:
    item = UploadItem(GOOD, key="first", metadata={"n": 1})
    items = await collect([item, "https://cdn.example.com/b.mp3"])
    assert items == (item, UploadItem("https://cdn.example.com/b.mp3"))
    assert items[0].metadata == {"n": 1}


async def test_the_order_and_repeats_of_a_batch_are_kept() -> None:
    items = await collect([GOOD, "https://cdn.example.com/b.mp3", GOOD])
    assert [item.audio_url for item in items] == [GOOD, "https://cdn.example.com/b.mp3", GOOD]


@pytest.mark.parametrize("batch", [GOOD, GOOD.encode(), UploadItem(GOOD)], ids=["str", "bytes", "UploadItem"])
async def test_a_lone_entry_is_no_batch_and_the_message_says_how_to_write_it(batch: object) -> None:
    with pytest.raises(InputError, match=r"\[url\]"):
        await collect(batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [None, 7, True, object()], ids=["None", "a number", "a truth", "an object"])
async def test_what_cannot_be_iterated_is_no_batch(batch: object) -> None:
    with pytest.raises(InputError, match=type(batch).__name__):
        await collect(batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [list, as_generator, as_async], ids=["list", "generator", "async"])
async def test_an_empty_batch_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(InputError, match="empty") as caught:
        await collect(make())
    assert caught.value.problems == ()
    assert isinstance(caught.value, UsageError)


async def test_what_a_source_raises_is_passed_on() -> None:
    async def broken() -> AsyncIterator[str]:
        yield GOOD
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        await collect(broken())


async def test_the_message_names_the_entry_its_value_and_the_way_out() -> None:
    with pytest.raises(InputError) as caught:
        await collect([GOOD, GOOD, "http://127.0.0.1:8000/a.mp3?sig=x"])
    message = str(caught.value)
    assert "entry 2" in message
    assert "http://127.0.0.1:8000/a.mp3" in message
    assert "allow_private" in message
    assert "1 of 3" in message
    (problem,) = caught.value.problems
    assert (problem.index, problem.value) == (2, "http://127.0.0.1:8000/a.mp3")


async def test_every_problem_is_kept_though_the_message_lists_a_few() -> None:
    entries = [GOOD if number % 2 else f"ftp://h.example/{number}" for number in range(40)]
    with pytest.raises(InputError) as caught:
        await collect(entries)
    assert [problem.index for problem in caught.value.problems] == list(range(0, 40, 2))
    assert "20 of 40" in str(caught.value)
    assert len(str(caught.value).splitlines()) < 12
    assert ".problems" in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        f"https://cdn.example.com/a b.mp3?X-Amz-Signature={SECRET}",
        f" https://cdn.example.com/a.mp3?X-Amz-Signature={SECRET}",
        f"https://cdn.example.com/a.mp3?X-Amz-Signature={SECRET}\n",
        f"https://127.0.0.1/a.mp3?X-Amz-Signature={SECRET}",
        f"https://cdn.example.com:99999/a.mp3?X-Amz-Signature={SECRET}",
        f"https://user:{SECRET}@cdn.example.com/a.mp3",
        f"https://user:{SECRET}@cdn.example.com:abc/a.mp3",
        f"https://user:{SECRET}@cdn\u2100.example.com/a.mp3",
        f"ftp://user:{SECRET}@cdn.example.com/a.mp3",
        f"s3://bucket/a.mp3?X-Amz-Signature={SECRET}",
        f"//cdn.example.com/a.mp3?X-Amz-Signature={SECRET}",
        f"https://cdn.example.com/{'a' * 8000}?X-Amz-Signature={SECRET}",
        f"https://cdn.example.com/a.mp3?X-Amz-Signature={SECRET}".encode(),
        {"url": f"https://cdn.example.com/a.mp3?X-Amz-Signature={SECRET}"},
    ],
    ids=lambda entry: repr(entry)[:60],
)
async def test_no_message_shows_a_signature_or_credentials(entry: object) -> None:
    with pytest.raises(InputError) as caught:
        await collect([entry])  # type: ignore[list-item]
    assert SECRET not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)


async def test_a_shown_value_is_one_short_line() -> None:
    with pytest.raises(InputError) as caught:
        await collect(["x\n" * 5000])
    assert len(caught.value.problems[0].value) <= 200
    assert "\n" not in caught.value.problems[0].value


async def test_an_items_repr_hides_its_url() -> None:
    assert SECRET not in repr(UploadItem(PRESIGNED, key="a", metadata={"url": PRESIGNED}))


@pytest.mark.parametrize(
    ("keys", "index", "says"),
    [
        (["a", "b", "a"], 2, "entry 0"),
        (["a", None, None, "a"], 3, "entry 0"),
        (["", None], 0, "non-empty"),
        ([7, None], 0, "7"),
        ([["a"], None], 0, "non-empty"),
        ([True], 0, "True"),
    ],
)
def test_keys_are_texts_that_name_one_entry_each(keys: list[object], index: int, says: str) -> None:
    entries = [UploadItem(f"https://cdn.example.com/{n}", key=key) for n, key in enumerate(keys)]  # type: ignore[arg-type]
    with pytest.raises(InputError, match=says) as caught:
        check_entries(entries, allow_private=False)
    assert [problem.index for problem in caught.value.problems] == [index]


def test_entries_without_keys_share_none() -> None:
    assert len(check_entries([UploadItem(GOOD), UploadItem(GOOD), GOOD], allow_private=False)) == 3


def test_a_repeated_url_is_warned_of_with_the_way_out() -> None:
    items = check_entries([GOOD, GOOD, GOOD, GOOD + "?v=2"], allow_private=False)
    with pytest.warns(DuplicateURLWarning, match=r"2 of 4.*keep_duplicates"):
        warn_of_duplicates(items)


def test_different_urls_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_duplicates(check_entries([GOOD, GOOD + "?v=2"], allow_private=False))


# ------------------------------------------------------------------------------------------------------- numbers
@pytest.mark.parametrize("value", [1, 2, 32, 100])
def test_a_concurrency_within_its_range_passes(value: int) -> None:
    assert check_concurrency(value, 100) == value


@pytest.mark.parametrize(
    "value", [0, -1, 101, 10**9, 1.0, 32.5, math.nan, math.inf, True, False, None, "32", Decimal(3)], ids=repr
)
def test_a_concurrency_outside_its_range_is_refused_by_name_value_and_range(value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_concurrency(value, 100)
    assert f"concurrency={value!r}" in str(caught.value)
    assert "1 to 100" in str(caught.value)


@pytest.mark.parametrize(("value", "seconds"), [(None, None), (1, 1.0), (0.001, 0.001), (86400.5, 86400.5)])
def test_a_deadline_within_its_range_passes(value: float | None, seconds: float | None) -> None:
    assert check_deadline(value) == seconds


@pytest.mark.parametrize(
    "value", [0, -1, -0.0, 0.0, math.nan, math.inf, -math.inf, True, False, "60", Decimal(3), [1]], ids=repr
)
def test_a_deadline_outside_its_range_is_refused_by_name_and_value(value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_deadline(value)
    assert f"deadline={value!r}" in str(caught.value)


@pytest.mark.parametrize("value", [10**400, -(10**400)], ids=["huge", "huge and negative"])
def test_a_deadline_that_no_clock_can_hold_is_refused(value: int) -> None:
    with pytest.raises(ConfigurationError):
        check_deadline(value)
