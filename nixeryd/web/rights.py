"""What may change anything: the admin socket, and our own page's buttons.

The law: on TCP a change is made only for our own page, on this machine. A
browser lets no other page send this header to us without asking first, and the
guard answers no; nor can another page send our Origin. A program on this machine
can pretend all that, and could as well ask for a build.
"""

from quart import request

from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.web.guard import is_own_page, is_this_machine
from nixeryd.web.ports import ListenerKind


def check_may_change(listener_kind: ListenerKind) -> None:
    """Raise DENIED unless this request may change something."""
    if listener_kind is ListenerKind.ADMIN:
        return
    fields = [(name.lower(), text) for name, text in request.headers]
    client = request.scope["client"]
    if is_own_page("POST", fields) and client and is_this_machine(client[0]):
        return
    raise RegistryError(
        ErrorCode.DENIED,
        "this is done on the admin socket only: use the nixeryd command"
        " or the page's buttons, on the machine itself",
    )
