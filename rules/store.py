"""store: what the rules know of the mailbox."""


class Setting:
    """What the house keeps about a user, by kind (Mailbox.set).  Numbers are never used again; parley-store(5) has the
    layouts."""
    OWNER = 1           # the uid that first used the name at a Unix socket, or the login's of that name
    CLAIM = 2           # what a passphrase is verified with
    IGNORED = 3         # the users that this one does not want to hear
