"""The protocol module, without I/O: calls as requests, answers as values or typed errors, outcomes of paid requests."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.names import KEY

from mountsea_async.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    InsufficientCreditsError,
    MountseaError,
    NoAccountError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnexpectedAnswerError,
    UnknownOutcomeError,
)
from mountsea_async.wire import decode, endpoints
from mountsea_async.wire.endpoints import MIB, Request
from mountsea_async.wire.protocol import (
    Accepted,
    Cause,
    NotSent,
    Rejected,
    Response,
    SendFailure,
    Unknown,
    classify_submit,
    decipher,
    error_from,
    stops_submits,
    transport_error,
)

PRESIGNED = "https://bucket.s3.amazonaws.com/a/b.mp3?X-Amz-Signature=5e1f00d5ecre7&X-Amz-Expires=600"
SIGNATURE = "5e1f00d5ecre7"


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


# ----------------------------------------------------------------------------------------------------- requests
@pytest.mark.parametrize(
    ("request_", "method", "target", "body", "paid"),
    [
        pytest.param(
            endpoints.prepare_session(), "POST", "/suno/v2/audio/upload/session", None, False, id="prepare has no body"
        ),
        pytest.param(
            endpoints.submit_item("5e55-10n", PRESIGNED),
            "POST",
            "/suno/v2/audio/upload/session/item",
            b'{"sessionId":"5e55-10n","audioUrl":"' + PRESIGNED.encode() + b'"}',
            True,
            id="item",
        ),
        pytest.param(
            endpoints.submit_item('a"b\\c', "https://x.example/ü.mp3"),
            "POST",
            "/suno/v2/audio/upload/session/item",
            b'{"sessionId":"a\\"b\\\\c","audioUrl":"https://x.example/\\u00fc.mp3"}',
            True,
            id="item with values that JSON must escape",
        ),
        pytest.param(
            endpoints.upload_audio("https://x.example/a.mp3"),
            "POST",
            "/suno/v2/upload",
            b'{"audioUrl":"https://x.example/a.mp3"}',
            True,
            id="single upload",
        ),
        pytest.param(
            endpoints.task_status("7d1c-abc"), "GET", "/suno/v2/status?taskId=7d1c-abc", None, False, id="status"
        ),
        pytest.param(
            endpoints.task_status("a b/c?d&e=ü%#+"),
            "GET",
            "/suno/v2/status?taskId=a%20b%2Fc%3Fd%26e%3D%C3%BC%25%23%2B",
            None,
            False,
            id="status quotes an odd id",
        ),
    ],
)
def test_a_call_is_exactly_this_request(
    request_: Request, method: str, target: str, body: bytes | None, paid: bool
) -> None:
    assert (request_.method, request_.target, request_.body, request_.paid) == (method, target, body, paid)


@pytest.mark.parametrize(("ids", "most"), [(0, MIB), (8192, MIB), (8193, 8193 * 128), (100_000, 12_800_000)])
def test_a_session_status_may_be_as_large_as_its_ids_need(ids: int, most: int) -> None:
    assert endpoints.task_status("s", audio_ids=ids).max_bytes == most


def test_only_uploads_cost_and_their_answers_are_capped() -> None:
    assert endpoints.prepare_session().max_bytes == MIB
    assert endpoints.submit_item("s", "u").max_bytes == MIB
    assert endpoints.upload_audio("u").max_bytes == MIB


def test_a_requests_repr_hides_the_url_that_it_carries() -> None:
    assert SIGNATURE not in repr(endpoints.submit_item("s", PRESIGNED))
    assert SIGNATURE not in repr(endpoints.upload_audio(PRESIGNED))


def test_bodies_of_answers_are_not_in_reprs() -> None:
    assert "swordfish" not in repr(Response(200, b"swordfish"))
    assert "swordfish" not in repr(SendFailure(Cause.MALFORMED, "cut", True, 1, 1, 200, b"swordfish"))


# ------------------------------------------------------------------------------------------- errors by status
NEST = as_json({"statusCode": 400, "message": ["audioUrl must be a URL"], "error": "Bad Request"})
NO_ACCOUNT = as_json({"statusCode": 503, "message": "No available account", "error": "Service Unavailable"})
NO_CREDITS = as_json({"statusCode": 400, "message": "Insufficient credits", "error": "Bad Request"})
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

ERRORS = [
    pytest.param(400, NEST, BadRequestError, id="400 with a list of messages"),
    pytest.param(400, as_json({"message": "text"}), BadRequestError, id="400 with one message"),
    pytest.param(400, b"", BadRequestError, id="400 empty"),
    pytest.param(401, b"", AuthenticationError, id="401"),
    pytest.param(402, b"", InsufficientCreditsError, id="402"),
    pytest.param(403, b"", AuthenticationError, id="403"),
    pytest.param(404, b"", NotFoundError, id="404"),
    pytest.param(405, b"", BadRequestError, id="405"),
    pytest.param(408, b"", BadRequestError, id="408"),
    pytest.param(409, b"", BadRequestError, id="409"),
    pytest.param(413, b"", BadRequestError, id="413"),
    pytest.param(415, b"", BadRequestError, id="415"),
    pytest.param(418, b"", BadRequestError, id="418"),
    pytest.param(422, b"", BadRequestError, id="422"),
    pytest.param(429, b"", RateLimitedError, id="429"),
    pytest.param(500, b"", ServerError, id="500"),
    pytest.param(502, HTML, ServerError, id="502 in HTML"),
    pytest.param(503, b"", ServerError, id="503"),
    pytest.param(503, b"upstream connect error", ServerError, id="503 of a gateway"),
    pytest.param(503, NO_ACCOUNT, NoAccountError, id="503 no available account"),
    pytest.param(503, b"no account available", NoAccountError, id="503 no account available"),
    pytest.param(503, b"NO ACCOUNT IS AVAILABLE", NoAccountError, id="503 no account is available"),
    pytest.param(503, b"There are no available Suno accounts", NoAccountError, id="503 no available suno accounts"),
    pytest.param(500, NO_ACCOUNT, ServerError, id="the text of a 503 in a 500"),
    pytest.param(504, HTML, ServerError, id="504 in HTML"),
    pytest.param(599, b"", ServerError, id="599"),
    pytest.param(301, b"", UnexpectedAnswerError, id="301"),
    pytest.param(302, b"", UnexpectedAnswerError, id="302"),
    pytest.param(303, b"", UnexpectedAnswerError, id="303"),
    pytest.param(307, b"", UnexpectedAnswerError, id="307"),
    pytest.param(308, b"", UnexpectedAnswerError, id="308"),
    pytest.param(304, b"", UnexpectedAnswerError, id="304"),
    pytest.param(600, b"", UnexpectedAnswerError, id="600"),
    pytest.param(999, b"", UnexpectedAnswerError, id="999"),
    pytest.param(101, b"", UnexpectedAnswerError, id="101"),
    pytest.param(400, NO_CREDITS, InsufficientCreditsError, id="400 insufficient credits"),
    pytest.param(403, b"insufficient_balance", InsufficientCreditsError, id="403 insufficient_balance"),
    pytest.param(500, b"Insufficient account balance", InsufficientCreditsError, id="500 insufficient balance"),
    pytest.param(429, b"insufficient credits", InsufficientCreditsError, id="429 insufficient credits"),
    pytest.param(422, b"You are out of credits", InsufficientCreditsError, id="422 out of credits"),
    pytest.param(400, b"not enough credits left", InsufficientCreditsError, id="400 not enough credits"),
    pytest.param(400, b"credit card name missing", BadRequestError, id="400 that speaks of credit otherwise"),
    pytest.param(302, b"insufficient credits", UnexpectedAnswerError, id="a redirect is no refusal"),
]


@pytest.mark.parametrize(("status", "body", "kind"), ERRORS)
def test_each_error_status_has_its_class(status: int, body: bytes, kind: type[APIError]) -> None:
    with pytest.raises(APIError) as caught:
        decipher(Response(status, body), decode.session_id)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.task_id is None
    assert f"HTTP {status}" in str(caught.value)


def test_what_the_service_said_is_in_the_message_and_the_excerpt() -> None:
    error = error_from(Response(400, NEST))
    assert "audioUrl must be a URL" in error.excerpt
    assert error.excerpt in str(error)


def test_an_excerpt_is_one_line_of_at_most_200_characters() -> None:
    error = error_from(Response(500, b"a\r\nb\x00c\x1b[31m" + b"x" * 100_000))
    assert len(error.excerpt) <= 200
    assert error.excerpt.isprintable()


def test_a_body_that_is_no_utf8_is_shown_as_well_as_it_can_be() -> None:
    assert "caf" in error_from(Response(500, b"caf\xe9 \xff\xfe")).excerpt


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), (None, None), ("soon", None), ("Wed, 21 Oct 2026 07:28:10 GMT", 10.0)]
)
def test_the_servers_hint_is_on_the_error(header: str | None, seconds: float | None) -> None:
    response = Response(429, b"", retry_after=header, date="Wed, 21 Oct 2026 07:28:00 GMT")
    assert error_from(response).retry_after == seconds


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(HTML, id="HTML"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"sessionId":"abc', id="cut short"),
        pytest.param(b'"abc"', id="a string"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no id"),
        pytest.param(b'{"sessionId":""}', id="empty id"),
        pytest.param(b'{"sessionId":"  "}', id="blank id"),
        pytest.param(b'{"sessionId":null}', id="null id"),
        pytest.param(b'{"sessionId":17}', id="number id"),
        pytest.param(b'{"sessionId":["a"]}', id="list id"),
        pytest.param(b"[" * 200_000, id="nested deep"),
    ],
)
def test_a_200_that_isnt_what_was_asked_for_is_an_unexpected_answer(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        decipher(Response(200, body), decode.session_id)
    assert caught.value.status == 200
    assert len(caught.value.excerpt) <= 200


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_any_2xx_with_what_was_asked_for_is_a_success(status: int) -> None:
    assert decipher(Response(status, b'{"sessionId":"s-1"}'), decode.session_id) == "s-1"


# -------------------------------------------------------------------------------------------- no whole answer
def failure(
    cause: Cause = Cause.DISCONNECTED,
    *,
    written: int = 111,
    attempts: int = 1,
    has_body: bool = True,
    status: int | None = None,
    partial: bytes = b"",
) -> SendFailure:
    return SendFailure(cause, "the connection broke", has_body, written, attempts, status, partial)


@pytest.mark.parametrize(
    ("result", "proven"),
    [
        pytest.param(failure(written=0), True, id="body, no byte, one attempt"),
        pytest.param(failure(written=0, attempts=0), True, id="body, no byte, no attempt"),
        pytest.param(failure(written=1), False, id="one byte"),
        pytest.param(failure(written=0, attempts=2), False, id="two attempts"),
        pytest.param(failure(written=0, has_body=False), False, id="no body to prove it by"),
        pytest.param(failure(written=0, status=502), False, id="an answer had begun"),
        pytest.param(failure(written=0, status=400), False, id="a refusal had begun"),
    ],
)
def test_only_a_body_of_which_no_byte_left_in_one_attempt_is_proven_unsent(result: SendFailure, proven: bool) -> None:
    assert result.proves_unsent is proven
    assert isinstance(transport_error(result), NotSentError) is proven
    assert isinstance(classify_submit(result, decode.task_id), NotSent) is proven


@pytest.mark.parametrize("cause", Cause)
def test_unsent_for_good_are_only_a_bad_certificate_and_a_client_that_refuses(cause: Cause) -> None:
    error = transport_error(failure(cause, written=0))
    assert isinstance(error, NotSentError)
    assert error.permanent is (cause in {Cause.CERTIFICATE, Cause.CLIENT})


@pytest.mark.parametrize("cause", Cause)
def test_no_whole_answer_is_a_transport_error(cause: Cause) -> None:
    with pytest.raises(TransportError) as caught:
        decipher(failure(cause), decode.session_id)
    assert type(caught.value) is NoAnswerError
    assert "the connection broke" in str(caught.value)
    assert caught.value.permanent is (cause in {Cause.CERTIFICATE, Cause.CLIENT})


def test_an_answer_that_is_too_large_is_an_unexpected_answer() -> None:
    error = transport_error(failure(Cause.TOO_LARGE, status=200))
    assert isinstance(error, UnexpectedAnswerError)
    assert error.status == 200


# --------------------------------------------------------------------------------- outcomes of a paid request
REJECTED = {400, 401, 402, 403, 404, 413, 415, 422, 429}


@pytest.mark.parametrize("status", sorted(REJECTED))
def test_a_whole_refusal_on_the_list_is_rejected(status: int) -> None:
    outcome = classify_submit(Response(status, b""), decode.task_id)
    assert isinstance(outcome, Rejected)
    assert outcome.error.status == status


@pytest.mark.parametrize("status", sorted(set(range(300, 600)) - REJECTED))
def test_every_other_answer_leaves_the_outcome_unknown(status: int) -> None:
    outcome = classify_submit(Response(status, b"some text"), decode.task_id)
    assert isinstance(outcome, Unknown)
    assert outcome.error.status == status


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(NO_ACCOUNT, Rejected, id="known text"),
        pytest.param(b"no  available account for this session", Rejected, id="known text, spaced"),
        pytest.param(b"", Unknown, id="empty"),
        pytest.param(b"Service Unavailable", Unknown, id="other text"),
        pytest.param(b"account locked", Unknown, id="speaks of an account"),
        pytest.param(HTML, Unknown, id="HTML"),
    ],
)
def test_a_503_is_a_refusal_only_with_the_known_text(body: bytes, kind: type) -> None:
    outcome = classify_submit(Response(503, body), decode.task_id)
    assert type(outcome) is kind
    assert isinstance(outcome, Rejected | Unknown)
    if kind is Rejected:
        assert isinstance(outcome.error, NoAccountError)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503, 504])
def test_the_text_insufficient_credits_stops_submits_but_the_class_comes_from_the_status(status: int) -> None:
    outcome = classify_submit(Response(status, NO_CREDITS), decode.task_id)
    assert isinstance(outcome, Rejected if status in REJECTED else Unknown)
    assert stops_submits(outcome.error) == "credits"


ACCEPTED = [
    pytest.param(b'{"taskId":"t-1"}', "t-1", id="plain"),
    pytest.param(b'\n {"extra":[1,{"a":null}],"taskId":"t-1","status":"queued"} ', "t-1", id="extra fields"),
    pytest.param(b'{"data":{"taskId":"t-1"}}', "t-1", id="envelope data"),
    pytest.param(b'{"code":0,"result":{"taskId":"t-1"}}', "t-1", id="envelope result"),
    pytest.param(b'{"taskId":"t-0","taskId":"t-1"}', "t-1", id="a key twice: the last, as JSON readers do"),
    pytest.param(b'{"taskId":null,"data":{"taskId":"t-1"}}', "t-1", id="null outside, id inside"),
    pytest.param(b'{"taskId":"\\u0074-1"}', "t-1", id="escaped"),
    pytest.param(b'{"taskId":"t-1","message":"cut sho', "t-1", id="cut short after the id"),
    pytest.param(b'{"taskId":"t-1"', "t-1", id="cut short right after the id"),
    pytest.param(b'{ "x" : 1 , "taskId" : "t-1" , ', "t-1", id="cut short, spaced"),
]
NOT_ACCEPTED = [
    pytest.param(b"", id="empty"),
    pytest.param(b"OK", id="text"),
    pytest.param(HTML, id="HTML"),
    pytest.param(b'<a data="{"taskId":"t-1"}">', id="HTML that quotes an id"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"t-1"', id="a string"),
    pytest.param(b'[{"taskId":"t-1"}]', id="a list"),
    pytest.param(b"{}", id="no id"),
    pytest.param(b'{"taskId":""}', id="empty id"),
    pytest.param(b'{"taskId":"  "}', id="blank id"),
    pytest.param(b'{"taskId":"\\n"}', id="id of a newline"),
    pytest.param(b'{"taskId":null}', id="null id"),
    pytest.param(b'{"taskId":17}', id="number id"),
    pytest.param(b'{"taskId":true}', id="boolean id"),
    pytest.param(b'{"taskId":["t-1"]}', id="list id"),
    pytest.param(b'{"taskID":"t-1"}', id="another name"),
    pytest.param(b'{"taskId":"t-', id="cut short in the id"),
    pytest.param(b'{"taskId":"t-1', id="cut short before the closing quote"),
    pytest.param(b'{"taskId":"t-1\\', id="cut short in an escape"),
    pytest.param(b'{"taskId":', id="cut short before the id"),
    pytest.param(b'{"taskId":"  ","x', id="blank id, cut short after it"),
    pytest.param(b'{"message":"\\"taskId\\": \\"t-1\\" is', id="cut short, id only quoted in a text"),
    pytest.param(b"{" * 200_000, id="nested deep"),
]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(("body", "task_id"), ACCEPTED)
def test_a_2xx_with_a_whole_task_id_is_accepted(status: int, body: bytes, task_id: str) -> None:
    assert classify_submit(Response(status, body), decode.task_id) == Accepted(task_id)


@pytest.mark.parametrize("status", [200, 201, 204])
@pytest.mark.parametrize("body", NOT_ACCEPTED)
def test_a_2xx_without_a_whole_task_id_leaves_the_outcome_unknown(status: int, body: bytes) -> None:
    outcome = classify_submit(Response(status, body), decode.task_id)
    assert isinstance(outcome, Unknown)
    assert outcome.error.status == status
    assert isinstance(outcome.error.cause, UnexpectedAnswerError)


@pytest.mark.parametrize(("body", "task_id"), ACCEPTED)
def test_a_task_id_that_arrived_whole_before_the_connection_broke_is_accepted(body: bytes, task_id: str) -> None:
    assert classify_submit(failure(status=201, partial=body), decode.task_id) == Accepted(task_id)


@pytest.mark.parametrize("body", NOT_ACCEPTED)
def test_a_broken_2xx_without_a_whole_task_id_leaves_the_outcome_unknown(body: bytes) -> None:
    assert isinstance(classify_submit(failure(status=201, partial=body), decode.task_id), Unknown)


@pytest.mark.parametrize("status", [None, 200, 300, 400, 404, 429, 500, 503])
def test_a_broken_answer_is_never_a_refusal(status: int | None) -> None:
    partial = NO_ACCOUNT if status == 503 else b""
    assert isinstance(classify_submit(failure(status=status, partial=partial), decode.task_id), Unknown)


@pytest.mark.parametrize("status", [300, 400, 429, 500, 503])
def test_a_task_id_in_a_broken_error_is_not_taken(status: int) -> None:
    assert isinstance(classify_submit(failure(status=status, partial=b'{"taskId":"t-1"}'), decode.task_id), Unknown)


SECTION_2 = [
    pytest.param(failure(Cause.CONNECT, written=0), NotSent, id="DNS failure"),
    pytest.param(failure(Cause.CONNECT, written=0), NotSent, id="connection refused"),
    pytest.param(failure(Cause.CONNECT, written=0), NotSent, id="TLS to a plain server"),
    pytest.param(failure(Cause.TLS, written=0), NotSent, id="TLS handshake cut"),
    pytest.param(failure(Cause.CERTIFICATE, written=0), NotSent, id="certificate"),
    pytest.param(failure(Cause.DISCONNECTED), Unknown, id="reset right after accept"),
    pytest.param(failure(Cause.DISCONNECTED), Unknown, id="idle connection reset on reuse"),
    pytest.param(failure(Cause.DISCONNECTED), Unknown, id="reset after processing"),
    pytest.param(failure(Cause.DISCONNECTED), Unknown, id="FIN after processing"),
    pytest.param(failure(Cause.TIMEOUT), Unknown, id="no answer in time"),
    pytest.param(failure(Cause.MALFORMED, status=201), Unknown, id="body shorter than Content-Length"),
    pytest.param(failure(Cause.MALFORMED), Unknown, id="bad status line"),
    pytest.param(failure(Cause.MALFORMED, status=201), Unknown, id="bad chunk"),
    pytest.param(failure(Cause.MALFORMED, status=201), Unknown, id="broken gzip"),
    pytest.param(failure(Cause.TOO_LARGE, status=201), Unknown, id="too large"),
    pytest.param(failure(Cause.DISCONNECTED, written=0, attempts=2), Unknown, id="sent again by the library"),
    pytest.param(failure(Cause.CLIENT, written=3), Unknown, id="the client failed half-way"),
]


@pytest.mark.parametrize(("result", "kind"), SECTION_2)
def test_every_failure_of_a_paid_request_has_its_outcome(result: SendFailure, kind: type) -> None:
    outcome = classify_submit(result, decode.task_id)
    assert type(outcome) is kind
    if isinstance(outcome, Unknown):
        assert isinstance(outcome.error, UnknownOutcomeError)
        assert isinstance(outcome.error.cause, MountseaError)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, None),
        (AuthenticationError("no", status=401), "unauthorized"),
        (AuthenticationError("no", status=403), "unauthorized"),
        (InsufficientCreditsError("no", status=402), "credits"),
        (NotFoundError("no", status=404), "session_gone"),
        (RateLimitedError("no", status=429), "rate_limited"),
        (NoAccountError("no", status=503), "no_account"),
        (NotSentError("no"), "unreachable"),
        (BadRequestError("no", status=400), None),
        (ServerError("no", status=500), None),
        (UnexpectedAnswerError("no", status=200), None),
        (NoAnswerError("no"), None),
        (UnknownOutcomeError("no", cause=ServerError("no", status=500)), None),
        (UnknownOutcomeError("no", cause=NoAnswerError("no")), None),
        (UnknownOutcomeError("no", cause=InsufficientCreditsError("no", status=500)), "credits"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_which_refusals_concern_every_further_submit(error: MountseaError | None, word: str | None) -> None:
    assert stops_submits(error) == word


# ------------------------------------------------------------------------------------------------------ secrets
ECHOES = [
    pytest.param(f"bad key {KEY}".encode(), id="key"),
    pytest.param(f"Authorization: Bearer {KEY}".encode(), id="header"),
    pytest.param(
        as_json({"message": f"unknown key '{KEY}'", "headers": {"authorization": f"Bearer {KEY}"}}), id="json"
    ),
    pytest.param(as_json({"message": [f"audioUrl {PRESIGNED} can't be read"]}), id="presigned URL"),
    pytest.param(as_json({"url": PRESIGNED}).replace(b"/", b"\\/"), id="presigned URL with escaped slashes"),
    pytest.param(f"<p>{PRESIGNED}</p> {KEY}".encode(), id="HTML"),
    pytest.param(b"x" * 190 + KEY.encode(), id="key across the cut"),
    pytest.param(b"http://h/?" + b"q" * (4000 - 10 - 20) + b" " + KEY.encode(), id="key across the inner cut"),
    pytest.param(b"https://user:" + SIGNATURE.encode() + b"@host.example/path", id="credentials in a URL"),
    pytest.param(b"X-API-Key: other-" + SIGNATURE.encode(), id="somebody's key"),
]


def everything_shown(error: BaseException) -> str:
    parts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    linked = [error.__cause__, None if error.__suppress_context__ else error.__context__, *vars(error).values()]
    parts.extend(everything_shown(each) for each in linked if isinstance(each, BaseException))
    return "\n".join(parts)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 429, 500, 503])
@pytest.mark.parametrize("body", ECHOES)
def test_no_error_shows_a_secret_that_the_server_echoes(status: int, body: bytes) -> None:
    response = Response(status, body)
    with pytest.raises(APIError) as caught:
        decipher(response, decode.session_id, (KEY,))
    outcome = classify_submit(response, decode.task_id, (KEY,))
    assert isinstance(outcome, Rejected | Unknown)
    for shown in (everything_shown(caught.value), everything_shown(outcome.error), repr(outcome)):
        assert KEY not in shown
        assert KEY[:12] not in shown
        assert SIGNATURE not in shown


# ---------------------------------------------------------------------------------------------------- arbitrary
WORDS = [
    b'"taskId"', b":", b'"t"', b'"', b"{", b"}", b"[", b"]", b",", b'"data"', b'"result"', b'"status"', b'"success"',
    b'"audioIds"', b'"id"', b"null", b"\\ud800", b"\\", b" ", b"1e999", b"NaN", b"-", b"9" * 5000, b"\xff", b"\x00",
    b'"failReason"', b'"createdAt"', b"insufficient credits", b"no available account",
]  # fmt: skip
BODIES = st.binary(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join)
HEADERS = st.none() | st.text(max_size=30) | st.from_regex(r"\A-?[0-9]{1,12}(\.[0-9]{1,8})?\Z")
RESPONSES = st.builds(Response, st.integers(100, 999), BODIES, HEADERS, HEADERS)
FAILURES = st.builds(
    SendFailure,
    st.sampled_from(Cause),
    st.text(max_size=20),
    st.booleans(),
    st.integers(0, 200),
    st.integers(0, 3),
    st.none() | st.integers(100, 999),
    BODIES,
)
THOROUGH = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def id_is_in(body: bytes, task_id: str) -> bool:
    found = re.findall(rb'"taskId"\s*:\s*("(?:[^"\\]|\\.)*")', body)
    values = [json.loads(raw.decode("utf-8", "replace"), strict=False) for raw in found]
    return task_id in values


@THOROUGH
@given(RESPONSES | FAILURES)
@example(Response(201, b'{"taskId":"\\ud800"}'))
@example(Response(201, b'{"taskId":"   ","'))
@example(Response(201, b'{"taskId":"t","n":' + b"9" * 5000 + b"}"))
@example(Response(429, b"", "Thu, 01 Jan 99999 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"))
def test_whatever_comes_back_a_paid_request_gets_a_class_and_is_accepted_only_by_an_id_in_a_2xx(
    result: Response | SendFailure,
) -> None:
    outcome = classify_submit(result, decode.task_id, (KEY,))
    if not isinstance(outcome, Accepted):
        assert isinstance(outcome.error, MountseaError)
        return
    body = result.body if isinstance(result, Response) else result.partial
    assert result.status is not None
    assert 200 <= result.status < 300
    assert outcome.value.strip()
    assert id_is_in(body, outcome.value)
    endpoints.task_status(outcome.value)  # an accepted id can be asked for


@THOROUGH
@given(RESPONSES | FAILURES, st.sampled_from(["task", "task_id", "session_id"]))
@example(Response(200, b'{"status":"success","data":{"id":1e999}}'), "task")
@example(Response(200, b'{"status":"failed","createdAt":"' + b"9" * 50 + b'"}'), "task")
def test_whatever_comes_back_is_a_value_or_one_of_our_errors(result: Response | SendFailure, what: str) -> None:
    reader: decode.Reader[object] = {
        "task": decode.task("t"),
        "task_id": decode.task_id,
        "session_id": decode.session_id,
    }[what]
    try:
        value = decipher(result, reader, (KEY,))
    except MountseaError as error:
        assert str(error)  # noqa: PT017 - an error is one of two good ends
    else:
        assert isinstance(result, Response)
        assert 200 <= result.status < 300
        assert value
