"""Reading a log as a stranger does: its tiles, and nothing that its server says about them.

`Fetcher` gets resources, `RemoteTree` believes none of them that a signed head does not bear out, `audit.RootFollower`
follows a whole log.
A witness uses this package; of tlog it needs the core only.
"""

from __future__ import annotations

from tlog.client.fetch.http import Fetcher
from tlog.client.fetch.tree import RemoteTree

__all__ = ["Fetcher", "RemoteTree"]
