"""Ring 4: filters, which look at a message before it enters the queue.

A filter is a program that speaks the milter protocol (:class:`Milter`) or that of spamd
(:class:`Spamd`), or an ``async`` function of the application. It takes a :class:`FilterMessage`
and returns a :class:`FilterVerdict`. ``MTA(filters=[...])`` asks them in this order.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .header_edit import AddField, ChangeField, FieldEdit
    from .message_filter import (
        Filter,
        FilterFunction,
        FilterMessage,
        FilterVerdict,
        FunctionFilter,
    )
    from .milter import Milter
    from .spamd import Spamd
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            ".header_edit": "AddField ChangeField FieldEdit",
            ".message_filter": "Filter FilterFunction FilterMessage FilterVerdict FunctionFilter",
            ".milter": "Milter",
            ".spamd": "Spamd",
        },
    )

__all__ = [
    "AddField", "ChangeField", "FieldEdit", "Filter", "FilterFunction", "FilterMessage",
    "FilterVerdict", "FunctionFilter", "Milter", "Spamd",
]  # fmt: skip
