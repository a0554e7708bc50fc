"""client: the client's end of the line.  No screen, no keyboard."""
