"""A log of one JSON object a line."""

from __future__ import annotations

import json
import logging

from ..grammar.printable import printable
from ..mta.queue_events import QueueEvent
from ..mta.queue_values import event_values, iso_date

__all__ = ["JSONFormatter"]


class JSONFormatter(logging.Formatter):
    """Formats each record as a JSON object on one line, in ASCII::

        handler = logging.StreamHandler()
        handler.setFormatter(JSONFormatter())
        logging.getLogger("smtpproto").addHandler(handler)

    Each has ``time``, ``level``, ``logger`` and ``message``, and ``exception`` if there was one;
    an event of the queue has its facts besides, such as ``event``, ``id`` and ``recipient``. Text
    that came from others is escaped, so that a terminal can show it.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*."""
        values = {
            "time": iso_date(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if isinstance(record.args, tuple) and len(record.args) == 1:
            [event] = record.args
            if isinstance(event, QueueEvent):
                values |= event_values(event)
        if record.exc_info:
            lines = self.formatException(record.exc_info).split("\n")
            values["exception"] = "\n".join(map(printable, lines))
        return json.dumps(values)
