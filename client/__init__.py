"""client: the client's end of the connection.  No screen, no keyboard."""
