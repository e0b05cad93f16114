"""wire/verdict.py: what an upstream's answer means (protocol.md 5, pains.md P17)."""

import json

import pytest

from mitmcodex.wire.verdict import is_meaningful, of_event, of_head, retry_after_s

JSON_HEAD = [("content-type", "application/json")]
HTML_HEAD = [("Content-Type", "text/html; charset=UTF-8"), ("Server", "cloudflare")]
NOW = 1_795_200_000.0


def head(status, body, headers=JSON_HEAD):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return of_head(status, headers, content, now=NOW)


def failed(code, message="because", **more):
    response = {"id": "r", "error": {"code": code, "message": message, **more}}
    return of_event({"type": "response.failed", "response": response}, now=NOW)


def test_a_success_has_no_verdict():
    """2xx heads and ordinary events are not judged."""
    assert of_head(200, [], b"") is None
    assert of_event({"type": "response.output_text.delta", "delta": "Selected model is at capacity"}) is None
    assert of_event({"type": "response.incomplete", "response": {}}) is None


@pytest.mark.parametrize("status", [429, 404, 403])
def test_a_usage_limit_is_429_whatever_its_status(status):
    """conformance 80: the fields that Codex and people need are kept; only a real 429 may go as it came."""
    error = {"type": "usage_limit_reached", "message": "m", "plan_type": "plus", "resets_at": NOW + 90}
    verdict = head(status, {"error": error})
    assert verdict.kind == "usage_limit" and not verdict.retryable
    assert verdict.pass_through is (status == 429)
    assert verdict.error.status_for(is_codex=True) == verdict.error.status_for(is_codex=False) == 429
    shown = verdict.error.as_object()
    assert shown["type"] == shown["code"] == "usage_limit_reached"
    assert shown["plan_type"] == "plus" and shown["resets_at"] == NOW + 90
    assert verdict.error.headers == [("retry-after", "90")]


def test_a_usage_limit_inside_a_stream_is_429_too():
    """Codex understands it only as an HTTP status (protocol.md 5.3), so it never goes as it came."""
    verdict = failed("usage_limit_reached", resets_in_seconds=30.5)
    assert verdict.kind == "usage_limit" and verdict.pass_through is False
    assert verdict.error.headers == [("retry-after", "31")]
    worded = of_event({"type": "error", "status": 429, "error": {"message": "The usage limit has been reached"}})
    assert worded.kind == "usage_limit"


def test_usage_not_included_keeps_its_type():
    """Codex shows the upgrade text by this type."""
    verdict = head(429, {"error": {"type": "usage_not_included", "message": "m"}})
    assert verdict.error.as_object()["type"] == "usage_not_included"


@pytest.mark.parametrize("code", ["server_is_overloaded", "service_unavailable_error", "overloaded_error", "slow_down"])
@pytest.mark.parametrize("key", ["code", "type"])
def test_overload_is_retryable_in_each_form(code, key):
    """code or type, HTTP or event: retried, then 503 server_is_overloaded."""
    error = {"message": "m", key: code}
    by_event = of_event({"type": "response.failed", "response": {"error": error}})
    for verdict in (head(503, {"error": error}), head(400, {"error": error}), by_event):
        assert verdict.kind == "overloaded" and verdict.retryable and not verdict.pass_through
        assert verdict.error.status_for(is_codex=True) == 503
        assert verdict.error.as_object()["code"] == "server_is_overloaded"


def test_googles_name_of_overload():
    """It stands as ``status``, beside a number as ``code``."""
    verdict = head(503, {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}})
    assert verdict.kind == "overloaded" and verdict.retryable


def test_capacity_dressed_as_a_bad_request_is_overload():
    """conformance 81, pains.md P17: the text counts, even with 400 invalid_request_error."""
    error = {"message": "Selected model is at capacity. Please try a different model.", "type": "invalid_request_error"}
    assert head(400, {"error": error}).kind == "overloaded"


def test_529_is_overload_without_a_body():
    """A status that means nothing else."""
    assert head(529, b"").kind == "overloaded"


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (403, HTML_HEAD, b"<title>Just a moment...</title>", "blocked"),
        (503, HTML_HEAD, b"<script>window._cf_chl_opt={}</script>", "blocked"),
        (403, HTML_HEAD, b"<h1>Sorry, you have been blocked</h1>", "blocked"),
        (403, HTML_HEAD, b"", "blocked"),
        (403, [*JSON_HEAD, ("cf-mitigated", "challenge")], b"{}", "blocked"),
        (503, HTML_HEAD, b"<h1>Service Temporarily Unavailable</h1>", "failed"),
        (403, [*JSON_HEAD, ("server", "cloudflare")], b'{"detail":"Account suspended"}', "forbidden"),
        (403, [("content-type", "text/html")], b"<h1>no</h1>", "forbidden"),
    ],
)
def test_cloudflare_is_told_from_the_backend(status, headers, body, kind):
    """A challenge or block page is Cloudflare's; JSON behind Cloudflare is the backend's (protocol.md 5.5)."""
    verdict = of_head(status, headers, body)
    assert verdict.kind == kind
    assert ("Cloudflare" in verdict.error.message) is (kind == "blocked")
    assert "<" not in verdict.error.message


def test_blocked_answers():
    """403 to Codex, 503 to others, never the page itself."""
    verdict = of_head(403, HTML_HEAD, b"Just a moment")
    assert (verdict.error.status_for(True), verdict.error.status_for(False)) == (403, 503)
    assert not verdict.retryable and not verdict.pass_through


def test_401_never_quotes_the_upstream():
    """Its words may hold a part of the key; Codex gets 400, as a 401 would burn refresh tokens."""
    verdict = head(401, {"error": {"message": "Incorrect API key provided: sk-abc", "code": "invalid_api_key"}})
    assert verdict.kind == "unauthorized" and not verdict.pass_through
    assert "sk-abc" not in verdict.error.message and "invalid_api_key" in verdict.error.message
    assert (verdict.error.status_for(True), verdict.error.status_for(False)) == (400, 401)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, {"detail": "Unsupported parameter: x"}, "refused", "Unsupported parameter: x"),
        (402, {"detail": {"code": "deactivated_workspace"}}, "forbidden", "The upstream answered 402."),
        (403, {"detail": "Account suspended"}, "forbidden", "Account suspended"),
        (404, b"", "not_found", "The upstream answered 404."),
        (413, {"error": "too big"}, "refused", "too big"),
        (422, {"error": {"message": "no"}}, "refused", "no"),
    ],
)
def test_plain_4xx_go_through_and_are_never_retried(status, body, kind, message):
    """conformance 38, 81: Codex gets them as they came; the same status and meaning is there for all others."""
    verdict = head(status, body)
    assert (verdict.kind, verdict.error.message) == (kind, message)
    assert verdict.pass_through and not verdict.retryable
    assert verdict.error.status_for(False) == status


def test_a_detail_is_read_like_an_error():
    """conformance 38: a text is the message, an object has message, code and param as an error has."""
    assert head(400, {"detail": "no"}).error.as_object()["message"] == "no"
    told = head(400, {"detail": {"message": "m", "code": "c", "param": "input"}}).error.as_object()
    assert (told["message"], told["code"], told["param"]) == ("m", "c", "input")


def test_a_bad_request_keeps_code_and_param():
    """SDKs show error.code and error.param."""
    verdict = head(400, {"error": {"message": "m", "code": "context_length_exceeded", "param": "input"}})
    shown = verdict.error.as_object()
    assert (shown["code"], shown["param"]) == ("context_length_exceeded", "input")


@pytest.mark.parametrize(("status", "others"), [(500, 502), (502, 502), (503, 503), (504, 502), (524, 502)])
def test_5xx_are_retried_then_go_through(status, others):
    """A page is not quoted; others get 502 or 503."""
    verdict = of_head(status, [("content-type", "text/html"), ("retry-after", "2")], b"<html>oops</html>")
    assert verdict.kind == "failed" and verdict.retryable and verdict.pass_through
    assert verdict.delay_s == 2
    assert verdict.error.status_for(False) == others
    assert "oops" not in verdict.error.message


def test_a_redirect_is_a_failure():
    """It is never followed or forwarded: the client would carry its request elsewhere. Codex would repeat a 502."""
    verdict = of_head(302, [("location", "https://elsewhere.invalid/")], b"")
    assert verdict.kind == "failed" and not verdict.pass_through and not verdict.retryable
    assert (verdict.error.status_for(True), verdict.error.status_for(False)) == (400, 502)


def test_429_of_another_kind_is_a_rate_limit():
    """The delay is read from the header, else from the text."""
    error = {
        "message": "Rate limit reached. Please try again in 1.5s.",
        "type": "tokens",
        "code": "rate_limit_exceeded",
    }
    by_text = head(429, {"error": error})
    assert (by_text.kind, by_text.delay_s, by_text.error.headers) == ("rate_limited", 1.5, [("retry-after", "2")])
    assert of_head(429, [("retry-after", "7")], json.dumps({"error": error}).encode()).delay_s == 7
    assert by_text.pass_through and not by_text.retryable
    error["message"] = "try again in 250 ms"
    assert head(429, {"error": error}).delay_s == 0.25


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("context_length_exceeded", "refused", 400),
        ("invalid_prompt", "refused", 400),
        ("cyber_policy", "refused", 400),
        ("invalid_audio_format", "refused", 400),
        ("insufficient_quota", "quota", 429),
        ("organization_spend_limit_exceeded", "quota", 429),
        ("rate_limit_exceeded", "rate_limited", 429),
        ("server_error", "failed", 502),
        ("stream_incomplete", "failed", 502),
        ("", "failed", 502),
    ],
)
def test_response_failed_by_its_code(code, kind, status):
    """protocol.md 5.3 and 5.6: Codex gets the event as it came, others a status with the same meaning."""
    verdict = failed(code)
    assert verdict.kind == kind
    assert verdict.pass_through and not verdict.retryable
    assert verdict.error.status_for(is_codex=False) == status
    assert verdict.error.message == "because"
    if code:
        assert verdict.error.as_object()["code"] == code


def test_a_top_level_error_event_in_both_forms():
    """The code stands in the event itself or in its ``error``; the event's own type is no error type."""
    flat = of_event({"type": "error", "code": "context_length_exceeded", "message": "m", "param": None})
    deep = of_event({"type": "error", "error": {"code": "context_length_exceeded", "message": "m"}})
    assert flat.kind == deep.kind == "refused"
    assert flat.error.as_object() == deep.error.as_object()


OVERFLOWS = {
    "anthropic": ("prompt is too long: 210000 tokens > 200000 maximum", 210000, 200000),
    "anthropic without numbers": ("Prompt is too long", None, None),
    "gemini": (
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        1048577,
        1048576,
    ),
    "vllm": ("This model's maximum context length is 4096 tokens. You requested 5000 tokens.", None, 4096),
    "chat": (
        "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
        5000,
        4096,
    ),
}


@pytest.mark.parametrize(("message", "tokens", "limit"), OVERFLOWS.values(), ids=OVERFLOWS)
@pytest.mark.parametrize("status", [400, 413])
def test_overflow_is_known_by_its_words(status, message, tokens, limit):
    """pains P31: services without a code for it; each client's form wants the code, Claude Code the numbers."""
    event = of_event({"type": "error", "error": {"type": "invalid_request_error", "message": message}})
    for verdict in (head(status, {"error": {"message": message}}), event):
        assert (verdict.kind, verdict.error.status_for(False), verdict.error.message) == ("refused", 400, message)
        shown = verdict.error.as_object()
        assert (shown["code"], shown.get("tokens"), shown.get("limit")) == ("context_length_exceeded", tokens, limit)


def test_a_limit_that_names_the_context_stays_a_limit():
    """The words count only where nothing says overload or a limit of the rate."""
    assert head(429, {"error": {"message": "maximum context length is 5 tokens a minute"}}).kind == "rate_limited"


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e400", "1" + "0" * 400, "1e300", '"soon"', "[1]"])
@pytest.mark.parametrize("key", ["resets_in_seconds", "resets_at"])
def test_a_reset_that_nobody_can_wait_for_counts_as_none(key, number):
    """Python's JSON reads all of these: no exception, no delay, and no JSON that other readers refuse."""
    body = f'{{"error":{{"type":"usage_limit_reached","message":"m","{key}":{number}}}}}'.encode()
    for verdict in (head(429, body), failed("usage_limit_reached", **{key: json.loads(number)})):
        assert (verdict.kind, verdict.delay_s, verdict.error.headers) == ("usage_limit", 0, [])
        json.dumps(verdict.error.as_object(), allow_nan=False)


def test_a_delay_in_words_that_nobody_can_wait_for_counts_as_none():
    """As many digits as one likes: no exception."""
    assert head(429, {"error": {"message": "try again in " + "9" * 500 + "s"}}).error.headers == []


@pytest.mark.parametrize("event", [{"type": "response.failed"}, {"type": "error"}, {"type": "error", "error": [1]}])
def test_a_failure_without_words_is_still_one(event):
    """Odd shapes are judged, never an exception."""
    assert of_event(event).kind == "failed"


@pytest.mark.parametrize("body", [b"[", b"[]", b"null", b'{"error":5}', b'{"detail":[1]}', b"\xff", b"[" * 100_000])
def test_odd_error_bodies_are_judged_by_their_status(body):
    """A body that can't be read leaves the status."""
    assert head(400, body).kind == "refused"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], 0),
        ([("Retry-After", "3")], 3),
        ([("retry-after", "9"), ("retry-after-ms", "1500")], 1.5),
        ([("retry-after", "Fri, 20 Nov 2026 18:40:30 GMT")], 30),
        ([("retry-after", "-5")], 0),
        ([("retry-after", "inf")], 0),
        ([("retry-after", "nan")], 0),
        ([("retry-after", "1e300")], 0),
        ([("retry-after", "soon")], 0),
    ],
)
def test_retry_after(headers, seconds):
    """Seconds, milliseconds or a date; nonsense counts as absent."""
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    "kind",
    ["", "response.created", "response.in_progress", "response.queued", "keepalive", "codex.rate_limits"]
    + ["codex.response.metadata", "response.metadata"],
)
def test_openers_are_not_the_commit_point(kind):
    """conformance 81: they may be sent twice without harm, so a retry is still possible after them."""
    assert not is_meaningful(kind)
    assert is_meaningful("response.output_item.added")
    assert is_meaningful("response.failed")
    assert is_meaningful("something.new")
