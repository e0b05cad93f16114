import http.cookiejar
import logging
import stat
import time
from pathlib import Path

import pytest

from mitmcodex.state.cookies import CookieJar

URL = "https://chatgpt.com/backend-api/codex/responses"


def _jar(tmp_path: Path, base_url: str = "") -> CookieJar:
    return CookieJar(tmp_path / "cookies" / "a.lwp", base_url)


def _names(header: str) -> set[str]:
    return {pair.partition("=")[0] for pair in header.split("; ") if pair}


def test_only_the_names_of_the_real_client_are_kept(tmp_path: Path) -> None:
    """The two columns of protocol.md 10."""
    kept = {"__cf_bm", "__cflb", "__cfruid", "__cfseq", "__cfwaitingroom", "_cfuvid", "cf_clearance", "cf_ob_info"}
    kept |= {"cf_use_ob", "__oailb", "cf_chl_rc_i"}
    dropped = {"oai-did", "oai-sc", "_account", "__Secure-next-auth.session-token", "__cfduid", "cf_foo", "__cf_foo"}
    jar = _jar(tmp_path)
    jar.store(URL, [f"{name}=v; Path=/; Secure; HttpOnly" for name in sorted(kept | dropped)])
    assert _names(jar.header(URL)) == kept


@pytest.mark.parametrize(
    ("url", "is_kept"),
    [
        ("https://chatgpt.com/x", True),
        ("https://chat.openai.com/x", True),
        ("https://chatgpt-staging.com/x", True),
        ("https://eu.chatgpt.com/x", True),
        ("wss://chatgpt.com/x", True),
        ("https://codex-backend.test:9443/x", True),
        ("http://chatgpt.com/x", False),
        ("https://api.openai.com/v1", False),
        ("https://auth.openai.com/x", False),
        ("https://notchatgpt.com/x", False),
        ("https://chatgpt.com.evil.test/x", False),
        ("http://codex-backend.test/x", False),
    ],
)
def test_only_the_hosts_of_the_real_client_and_the_providers_own(tmp_path: Path, url: str, is_kept: bool) -> None:
    """https only, the real hosts and the one extra host."""
    jar = _jar(tmp_path, "https://codex-backend.test:9443/backend-api/codex")
    jar.store(url, ["__cf_bm=v"])
    assert jar.header(url) == ("__cf_bm=v" if is_kept else "")


def test_a_hosts_cookies_go_to_that_host_only(tmp_path: Path) -> None:
    """Domain and path rules are the usual ones; a domain cookie reaches subdomains."""
    jar = _jar(tmp_path, "https://codex-backend.test:9443/backend-api/codex")
    jar.store(
        URL, ["__cf_bm=host; Path=/backend-api", "_cfuvid=all; Domain=.chatgpt.com; Path=/", "__cflb=no; Domain=.com"]
    )
    assert _names(jar.header(URL)) == {"__cf_bm", "_cfuvid"}
    assert jar.header("https://chatgpt.com/other") == "_cfuvid=all"
    assert jar.header("https://eu.chatgpt.com/backend-api/x") == "_cfuvid=all"
    assert jar.header("https://codex-backend.test/backend-api/x") == ""
    assert jar.header("http://chatgpt.com/backend-api/x") == ""


def test_cookies_outlive_the_run_with_their_expiry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new jar on the same file sends session and lasting cookies, the latter until they expire."""
    _jar(tmp_path).store(URL, ["__cf_bm=b; Max-Age=60; Secure", "_cfuvid=s; Secure"])
    assert _names(_jar(tmp_path).header(URL)) == {"__cf_bm", "_cfuvid"}
    later = time.time() + 61
    monkeypatch.setattr(http.cookiejar.time, "time", lambda: later)  # type: ignore[attr-defined]
    assert _jar(tmp_path).header(URL) == "_cfuvid=s"


def test_an_expired_cookie_is_sent_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expiry holds within a run, too, and a server can take a cookie back."""
    jar = _jar(tmp_path)
    jar.store(URL, ["__cf_bm=b; Max-Age=60", "__cflb=old"])
    jar.store(URL, ["__cflb=; Max-Age=0"])
    assert jar.header(URL) == "__cf_bm=b"
    later = time.time() + 61
    monkeypatch.setattr(http.cookiejar.time, "time", lambda: later)  # type: ignore[attr-defined]
    assert jar.header(URL) == ""


def test_the_file_is_private_and_written_only_on_a_change(tmp_path: Path) -> None:
    """Mode 0600 in a folder of 0700; the same cookies again leave the file alone."""
    path = tmp_path / "cookies" / "a.lwp"
    jar = _jar(tmp_path)
    jar.store(URL, ["oai-did=x"])
    assert not path.exists()
    jar.store(URL, ["_cfuvid=x"])
    assert [stat.S_IMODE(entry.stat().st_mode) for entry in (path, path.parent)] == [0o600, 0o700]
    inode = path.stat().st_ino
    jar.store(URL, ["_cfuvid=x"])
    assert path.stat().st_ino == inode
    jar.store(URL, ["_cfuvid=y"])
    assert path.stat().st_ino != inode


def test_a_challenge_drops_them_for_good(tmp_path: Path) -> None:
    """After drop() neither this jar nor the next has any, and it can be filled again."""
    jar = _jar(tmp_path)
    jar.store(URL, ["_cfuvid=x"])
    jar.drop()
    assert (jar.header(URL), _jar(tmp_path).header(URL)) == ("", "")
    jar.store(URL, ["_cfuvid=x"])
    assert _jar(tmp_path).header(URL) == "_cfuvid=x"


@pytest.mark.parametrize("content", [b"garbage SECRET", b"#LWP-Cookies-2.0\nSet-Cookie3: SECRET\n", b"\xff\xfe\x00"])
def test_a_broken_file_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    """The jar starts empty, says so without quoting the file, and writes a good one."""
    path = tmp_path / "cookies" / "a.lwp"
    path.parent.mkdir()
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        jar = _jar(tmp_path)
    assert jar.header(URL) == "" and "can't be read" in caplog.text and "SECRET" not in caplog.text
    jar.store(URL, ["_cfuvid=x"])
    assert _jar(tmp_path).header(URL) == "_cfuvid=x"


def test_an_unwritable_folder_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The jar goes on in memory."""
    (tmp_path / "cookies").write_text("a file where the folder should be")
    jar = _jar(tmp_path)
    jar.store(URL, ["_cfuvid=x"])
    assert jar.header(URL) == "_cfuvid=x" and "can't be written" in caplog.text
