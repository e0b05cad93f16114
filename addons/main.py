"""What mitmproxy loads: `mitmdump -s addons/main.py`. Start reading at mitmcodex/stack.py."""

from mitmcodex.stack import build

addons = build()
