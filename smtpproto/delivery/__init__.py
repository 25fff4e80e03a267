"""Ring 4: the last step of a message, as far as it needs no I/O: which mailbox a recipient has, the
names of files in a Maildir and their quota, the format of an mbox, and what the exit status of a
program means.

The deliverers that do it are in ``smtpproto.adapters.maildir``, ``.mbox`` and ``.pipe``.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from ..mta.trace import delivery_fields
    from .exit_status import ExitStatus, exit_reply, status_of_reply
    from .line_ends import unix_lines
    from .maildir_names import maildir_name, size_in_name
    from .maildir_size import MaildirSize
    from .mbox_format import from_line, mbox_text
    from .place import Place, Template
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {
            "..mta.trace": "delivery_fields",
            ".exit_status": "ExitStatus exit_reply status_of_reply",
            ".line_ends": "unix_lines",
            ".maildir_names": "maildir_name size_in_name",
            ".maildir_size": "MaildirSize",
            ".mbox_format": "from_line mbox_text",
            ".place": "Place Template",
        },
    )

__all__ = [
    "ExitStatus", "MaildirSize", "Place", "Template", "delivery_fields", "exit_reply",
    "from_line", "maildir_name", "mbox_text", "size_in_name", "status_of_reply", "unix_lines",
]  # fmt: skip
