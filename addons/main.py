"""What mitmproxy loads: `mitmdump -s addons/main.py`. Start reading at mitmcodex/stack.py."""

import sys

try:
    from mitmcodex.stack import build
except ImportError as error:
    # mitmproxy would log it and go on, as a forward proxy on all interfaces.
    sys.exit(f"mitmcodex: {error}: install what it needs beside mitmproxy (`make venv`, or pip install the checkout)")

addons = build()
