"""Ring 0: what a failure or a reply means, its likely causes, who must act, and what to try.

::

    try:
        client.send(message)
    except SMTPError as error:
        print(error.diagnosis)

    print(explain("550 5.7.26 ... gsmtp"))

Everything is data and pure functions over text, so that errors can use it. All text from a peer
that comes in must be printable already, and what :func:`explain` reads is made so.
"""

from typing import TYPE_CHECKING

from ..late_names import late_names

if TYPE_CHECKING:
    from .cause import Cause, Who
    from .diagnosis import Diagnosis
    from .explaining import explain
else:
    __getattr__, __dir__ = late_names(
        __name__,
        {".cause": "Cause Who", ".diagnosis": "Diagnosis", ".explaining": "explain"},
    )

__all__ = ["Cause", "Diagnosis", "Who", "explain"]
