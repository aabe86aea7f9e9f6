"""What may be shown: no key, no query of a URL, no credentials; one line, not too long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.names import KEY

from mountsea_async.redact import excerpt, shown_text, shown_url

SECRET = "5e1f00d5ecre7"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/a/b.mp3", "https://h.example/a/b.mp3"),
        ("https://h.example/a.mp3?sig=x", "https://h.example/a.mp3"),
        ("https://h.example/a.mp3#frag", "https://h.example/a.mp3"),
        ("https://h.example:8443?sig=x", "https://h.example:8443"),
        ("HTTPS://h.example/a?sig=x", "HTTPS://h.example/a"),
        ("https://u:p@h.example/a", "https://***@h.example/a"),
        ("https://h.example/a@b", "https://h.example/a@b"),
        ("a.mp3", "a.mp3"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_query_fragment_and_credentials(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"https://h.example/a.mp3?X-Amz-Signature={SECRET}", id="presigned"),
        pytest.param(f"https://h.example/a b.mp3?X-Amz-Signature={SECRET}", id="presigned, space in the name"),
        pytest.param(f" https://h.example/a.mp3?X-Amz-Signature={SECRET}", id="presigned, leading space"),
        pytest.param(f"\ufeffhttps://h.example/a.mp3?X-Amz-Signature={SECRET}", id="presigned, byte order mark"),
        pytest.param(f"https://h.example/it's.mp3?X-Amz-Signature={SECRET}", id="presigned, quote in the name"),
        pytest.param(f"https://h.example/a.mp3?x='&X-Amz-Signature={SECRET}", id="presigned, quote in the query"),
        pytest.param(f"https://h.example/a<b>.mp3?X-Amz-Signature={SECRET}", id="presigned, angle in the name"),
        pytest.param(f"https:/h.example/a.mp3?X-Amz-Signature={SECRET}", id="presigned, one slash"),
        pytest.param(f"//h.example/a.mp3?X-Amz-Signature={SECRET}", id="presigned, no scheme"),
        pytest.param(f"h.example/a.mp3?X-Amz-Signature={SECRET}", id="presigned, bare host"),
        pytest.param(f"https://user:{SECRET}@h.example/a", id="credentials"),
        pytest.param(f"https://user:x@y{SECRET}@h.example/a", id="credentials with @"),
        pytest.param(f"https://user:{SECRET} x@h.example/a", id="credentials with a space"),
        pytest.param(f"ftp://user:{SECRET}@h.example/a", id="credentials, ftp"),
        pytest.param(f"s3://bucket/a?X-Amz-Signature={SECRET}", id="presigned, s3"),
    ],
)
def test_no_form_of_a_url_shows_its_secrets(url: str) -> None:
    assert SECRET not in shown_url(url)


@given(st.text(max_size=400))
def test_a_shown_url_is_one_short_line(text: str) -> None:
    shown = shown_url(text)
    assert len(shown) <= 200
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"bad key {KEY}!", "bad key [redacted]!"),
        (f"{KEY}{KEY}", "[redacted][redacted]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ('{"x-api-key": "abc"}', '{"x-api-key": "[redacted]"}'),
        ("see https://h.example/a?sig=x, and http://g.example/b#c.", "see https://h.example/a and http://g.example/b"),
        ("a\r\n\tb\x00c\u2028d", "a b c d"),
        ("plain words", "plain words"),
    ],
)
def test_a_text_is_shown_without_secrets(text: str, shown: str) -> None:
    assert shown_text(text, (KEY,)) == shown


def test_an_empty_secret_hides_nothing() -> None:
    assert shown_text("abc", ("",)) == "abc"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_excerpt_shows_the_key_or_is_longer_than_promised(before: bytes, after: bytes) -> None:
    shown = excerpt(before + KEY.encode() + after, (KEY,))
    assert KEY not in shown
    assert len(shown) <= 200
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize("length", range(3960, 4001, 8))
def test_a_cut_never_leaves_half_a_key_behind(length: int) -> None:
    body = b"http://h.example/?" + b"q" * (length - 19) + b" " + KEY.encode()
    assert KEY[:10] not in excerpt(body, (KEY,))
