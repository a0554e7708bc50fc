"""server: sockets, time, and the operator."""
