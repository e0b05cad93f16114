import base64
import random
import uuid

import pytest

from mitmcodex.wire import redact
from mitmcodex.wire.redact import REDACTED, Scrubber, scrub

JWT = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.c2lnbmF0dXJl"

SECRETS = [
    ("Authorization Bearer S", "Authorization Bearer *"),
    ("Authorization : Bearer S", "Authorization : *"),
    ("authorization: s3cr3t with blanks", "authorization: *"),
    ("b'Authorization Bearer S'", "b'Authorization Bearer *'"),
    ("b'X-Api-Key S'", "b'X-Api-Key *'"),
    (r"b'GET / HTTP/1.1\r\nX-Api-Key S\r\nAccept: a'", r"b'GET / HTTP/1.1\r\nX-Api-Key *\r\nAccept: a'"),
    ('b"GET /?key=S BAD"', 'b"GET /?key=* BAD"'),
    ("GET /?a=1&k%65y=S HTTP/1.1", "GET /?a=1&k%65y=* HTTP/1.1"),
    ("?access%5Ftoken=S&b=2", "?access%5Ftoken=*&b=2"),
    ("Cookie: a=b; c=d", "Cookie: *"),
    ("set-cookie: __cf_bm=x; path=/", "set-cookie: *"),
    ("chatgpt-account-id: acc-0000", "chatgpt-account-id: *"),
    ('{"Authorization": "Bearer S", "x": 1}', '{"Authorization": "*", "x": 1}'),
    ("use Bearer S now", "use Bearer * now"),
    (f"say {JWT}, please", "say *, please"),
    ("key sk-proj-abcdef0123 end", "key * end"),
    (r"\nsk-proj-abcdef0123\n", r"\n*\n"),
    ("rt_0123456789abcdef.x!", "*!"),
    ('{"refresh_token":"S","expires_in":3}', '{"refresh_token":"*","expires_in":3}'),
    (r"{\"access_token\":\"S\"}", r"{\"access_token\":\"*\"}"),
    ("grant_type=x&refresh_token=S&client_id=app", "grant_type=x&refresh_token=*&client_id=app"),
    ("via http://user:pw@proxy.test:1/", "via http://*@proxy.test:1/"),
]

ORDINARY = [
    "Bearer tokens are sent in the authorization header; Authorization failed.",
    "cookie jars, the token count is 12, sk-learn, task-force, sort_by_name, desk-top-publishing",
    '{"logprobs":[{"token":" the","bytes":[32]}],"total_tokens":11,"error":{"code":"rate_limit"}}',
    '{"type":"reasoning","encrypted_content":"gAAAAABk-sk-abcdefghij_eyJabc.d"}',
    "https://example.test/a?limit=3&model=gpt-5.5",
    "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(30_000)).decode(),
    base64.urlsafe_b64encode(random.Random(2).randbytes(30_000)).decode(),
    str(uuid.UUID(int=7)),
    'document.cookie = "x"; def authorization(self): return 1',
]


@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_what_looks_like_a_credential_is_masked_and_the_rest_stays(text: str, expected: str) -> None:
    """Each form of a credential is masked, and nothing around it."""
    assert scrub(text) == expected.replace("*", REDACTED)


@pytest.mark.parametrize("text", ORDINARY, ids=range(len(ORDINARY)))
def test_ordinary_text_stays(text: str) -> None:
    """Prose, code, base64, ids and token counts come through unchanged."""
    assert scrub(text) == text


@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_masking_twice_changes_nothing_more(text: str, expected: str) -> None:
    """Text that was scrubbed before keeps its form."""
    assert scrub(scrub(text)) == scrub(text)


@pytest.mark.parametrize("padding", [0, redact._PATIENCE - 50, redact._PATIENCE + redact.LOOKAHEAD], ids=str)
@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_a_cut_at_any_place_gives_the_same_output(text: str, expected: str, padding: int) -> None:
    """A secret cut by a chunk boundary is masked, near a line's start and deep in a long line."""
    cuts = range(padding, padding + len(text) + 1, 7 if padding else 1)
    text = "x " * (padding // 2) + text + " y" * (padding // 2) + "\n" + text
    whole = scrub(text)
    for cut in cuts:
        scrubber = Scrubber()
        assert scrubber.feed(text[:cut]) + scrubber.feed(text[cut:]) + scrubber.finish() == whole, cut


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_size_give_the_same_output(seed: int) -> None:
    """A long text full of secrets gives the same output in pieces of any size, its lines being short or long."""
    chance = random.Random(seed)
    words = [source for source, _ in SECRETS] + ["plain words", '"', "sk-" + "a1" * 4000, "z" * 3000] + ["\n"] * seed
    text = " ".join(chance.choice(words) for _ in range(200))
    scrubber, out, at = Scrubber(), "", 0
    while at < len(text):
        size = chance.choice([1, 50, 5000, 20_000])
        out += scrubber.feed(text[at : at + size])
        at += size
    assert out + scrubber.finish() == scrub(text)


def test_a_whole_line_is_not_held_back() -> None:
    """A stream's line is out as soon as its end has come."""
    assert Scrubber().feed("data: hello\n\ndata: w") == "data: hello\n\n"


def test_what_is_held_back_is_bounded() -> None:
    """A line without an end is handed out bit by bit."""
    scrubber = Scrubber()
    out = sum(len(scrubber.feed("ab " * 100)) for _ in range(1000))
    assert out >= 300_000 - redact._PATIENCE - 300


def test_a_secret_without_end_is_swallowed() -> None:
    """A secret longer than everything that is held back leaves only the mask."""
    scrubber = Scrubber()
    out = scrubber.feed("Bearer A") + "".join(scrubber.feed("b" * 5000) for _ in range(20)) + scrubber.feed(" end\n")
    assert out + scrubber.finish() == f"Bearer {REDACTED} end\n"


@pytest.mark.parametrize("name", [*redact.CREDENTIAL_HEADERS, "Set-Cookie", "X-Auth-Token", "Api-Key ", "x-my-secret"])
def test_credential_headers_are_masked_whatever_they_hold(name: str) -> None:
    """The value of a credential header goes, its name stays as it was."""
    assert redact.headers([(name, "plain")]) == [(name, REDACTED)]


def test_headers_keep_order_duplicates_and_quota() -> None:
    """Only values change: order, case, duplicates and quota headers stay; a JWT in any header is masked."""
    pairs = [("B", "1"), ("cookie", "a"), ("a", JWT), ("B", "1"), ("x-ratelimit-remaining-tokens", "9")]
    expected = [("B", "1"), ("cookie", REDACTED), ("a", REDACTED), ("B", "1"), ("x-ratelimit-remaining-tokens", "9")]
    assert redact.headers(pairs) == expected


def test_url_masks_query_credentials_and_user_info() -> None:
    """Keys are compared decoded and without case; other parameters and their order stay."""
    source = f"https://u:p@h.test:1/p?a=1&K%45y=S'x&api-key=S&sig=&limit=2&x={JWT}"
    expected = (
        f"https://{REDACTED}@h.test:1/p?a=1&K%45y={REDACTED}&api-key={REDACTED}&sig={REDACTED}&limit=2&x={REDACTED}"
    )
    assert redact.url(source) == expected
    assert redact.url("/v1/responses") == "/v1/responses"


def test_json_values_are_masked_by_key_and_by_form() -> None:
    """Texts under credential-like keys go whole; other texts are scrubbed; numbers, nulls and schemas stay."""
    schema = {"api_key": {"type": "string"}, "token": "the", "access_token": None, "expires_in": 3}
    value = {"Access-Token": "S", "account_id": "a", "list": [f"see {JWT}", 1, True], "schema": schema}
    expected = {
        "Access-Token": REDACTED,
        "account_id": REDACTED,
        "list": [f"see {REDACTED}", 1, True],
        "schema": schema,
    }
    assert redact.json_value(value) == expected
