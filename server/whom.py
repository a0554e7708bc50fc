"""whom: whom an operator means, as the files beside the store have it."""
from __future__ import annotations

import os
import pwd

import wire
from rules.bans import HOST, LOGIN, NAME, network_of
from server.orders import Refused


def whom(kind: str, shown: str) -> str:
    """A name in small letters, a uid, an address or network.  Raises Refused."""
    if kind == NAME and not wire.is_name(shown):
        raise Refused(os.EX_USAGE, f"{shown!r} is no username")
    if kind == HOST:
        try:
            return str(network_of(shown))
        except ValueError:
            raise Refused(os.EX_USAGE, f"{shown!r} is no address and no network: write 192.0.2.7 "
                                       "or 192.0.2.0/24") from None
    if kind != LOGIN or shown.isdigit():
        return shown.lower()
    try:
        return str(pwd.getpwnam(shown).pw_uid)
    except KeyError:
        raise Refused(os.EX_NOUSER, f"no login {shown} is on this host") from None
