"""The rival: what plain `mitmdump --mode reverse:https://…` needs to stream over the same upstream protocol."""

import json
import os
from pathlib import Path

from mitmproxy import ctx, http, tls


def tls_start_server(data: tls.TlsData) -> None:
    # A clear-text client offers no ALPN, and plain mitmdump mirrors that: it would speak HTTP/1.1 to the upstream.
    data.conn.alpn_offers = (b"h2",)


def responseheaders(flow: http.HTTPFlow) -> None:
    # By default the whole answer is collected first.
    assert flow.response is not None
    flow.response.stream = True
    # Passed from HTTP/2 to HTTP/1.1 an answer has no length and would end with its connection, so that each request
    # cost plain mitmdump a TLS handshake: unfair to it.
    flow.response.headers["transfer-encoding"] = "chunked"


def running() -> None:
    port = ctx.master.addons.get("proxyserver").listen_addrs()[0][1]
    staged = Path(os.environ["BENCH_SERVER_INFO"] + ".new")
    staged.write_text(json.dumps({"port": port, "pid": os.getpid()}))
    staged.rename(os.environ["BENCH_SERVER_INFO"])
