"""The witness's log lines on standard error: for people, or one JSON object per line."""

from __future__ import annotations

import logging
import time
from copy import copy

import orjson


class JsonLines(logging.Formatter):
    """One object per line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and `error` with a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without newline. Control characters in the message are escaped by JSON."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


class TextLines(logging.Formatter):
    """Time, level, logger and message, with nothing in it that could begin another line or colour a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it; what is not printable in the message is escaped."""
        text = record.getMessage()
        clean = copy(record)
        clean.msg = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
        clean.args = ()
        return super().format(clean)


def configure(log_format: str) -> None:
    """Send log lines of level INFO and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
