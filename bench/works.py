"""works: what is measured, and what is to be reached.

A work is one run of the load generator (load.c has its options) against a server that was started
for it.  Each message has 100 bytes of text, and goes over TCP on loopback unless a label says unix.
REACH is the one place for figures to reach: run.py, growth.py and stalls.py compare with it what
they measured, and print what was missed.
"""
from typing import NamedTuple


class Work(NamedTuple):
    """One kind of load."""
    title: str
    # live: both ends are connected; kept: the reader is not; idle: beside a crowd
    kind: str
    load: str           # the generator's options
    metric: str         # the figure that ratios compare


WORKS = {
    "W1": Work("50 senders to 50 receivers, each with 32 messages in flight",
               "live", "-m pair -n 50 -w 32", "rate"),
    "W1w1": Work("the same, each with 1 message in flight", "live", "-m pair -n 50 -w 1", "rate"),
    "W2q": Work("one sender to 200, 32 in flight; parley: to all, through the queues",
                "room", "-m room -n 200 -k 1 -w 32", "rate"),
    "W2": Work("one sender to 200, 32 in flight; parley: lines of a group chat",
               "room", "-m room -n 200 -k 1 -w 32 -W 1.5", "rate"),
    "W3": Work("100 in a room, all speaking, 32 in flight; parley: lines of a group chat",
               "room", "-m room -n 100 -k 100 -w 32 -W 1.5", "rate"),
    "W4": Work("ping-pong: one message in flight between two", "live", "-m ping", "delivery_p50"),
    "W5": Work("50 senders to 50 absent users, each with 32 unacknowledged",
               "kept", "-m enqueue -n 50 -w 32", "rate"),
    "W5w1": Work("one sender to one absent user, 1 unacknowledged",
                 "kept", "-m enqueue -n 1 -w 1", "ack_p50"),
    "W6": Work("an absent user returns and takes 100,000, from connecting to the last confirmation",
               "kept", "-m drain -c 100000", "rate"),
    "W7": Work("10,000 idle clients log in; then ping-pong beside them",
               "idle", "-m ping -i 10000 -S 20", "logins_s"),
}
TAKEN = 100_000             # messages of W6


class Reach(NamedTuple):
    """A figure to reach: an amount, or a factor of a peer's figure in the same run."""
    work: str
    label: str
    metric: str
    amount: float
    of: str = ""                # a peer, whose figure `amount` is a factor of; "" for an amount
    then: bool = False          # a goal for later: not reaching it is no failure
    of_work: str = ""           # compare with the peer's figure in this other work


REACH = [
    Reach("W1", "parley", "rate", 300_000), Reach("W1", "parley", "rate", 4, "mosquitto-q1"),
    Reach("W1", "parley", "rate", 500_000, then=True),
    Reach("W1w1", "parley", "rate", 50_000), Reach("W1w1", "parley-unix", "rate", 60_000),
    Reach("W1w1", "parley", "rate", 1, "mosquitto-q1", then=True),
    Reach("W2q", "parley", "rate", 1_000_000), Reach("W2q", "parley", "rate", 5, "mosquitto-q1"),
    Reach("W2", "parley", "rate", 2_500_000), Reach("W2", "parley", "rate", 1, "nats"),
    Reach("W2", "parley", "rate", 1, "redis", then=True),
    Reach("W3", "parley", "rate", 2_000_000), Reach("W3", "parley", "rate", 1, "nats"),
    Reach("W3", "parley", "rate", 1, "redis", then=True),
    Reach("W4", "parley", "delivery_p50", 35), Reach("W4", "parley", "delivery_p99", 80),
    Reach("W4", "parley-unix", "delivery_p50", 20), Reach("W4", "parley", "ack_p50", 200),
    Reach("W5", "parley", "rate", 350_000), Reach("W5", "parley", "rate", 1, "jetstream"),
    Reach("W5", "parley", "rate", 2.5, "mosquitto-q1"),
    Reach("W5", "parley", "rate", 1, "redis-stream", then=True),
    Reach("W5", "parley", "rate", 1, "redis", then=True),
    Reach("W5w1", "parley", "ack_p50", 220), Reach("W5w1", "parley", "ack_p50", 1, "redis-stream"),
    Reach("W5w1", "parley", "ack_p50", 1, "router-py-durable", then=True),
    Reach("W6", "parley", "rate", 1_000_000), Reach("W6", "parley", "rate", 2_000_000, then=True),
    Reach("W7", "parley", "idle_kb", 1.5), Reach("W7", "parley", "logins_s", 15_000),
    Reach("W7", "parley", "delivery_p50", 1.1, "parley", of_work="W4"),
    Reach("W7", "parley", "idle_kb", 1, then=True),
    Reach("W7", "parley", "logins_s", 20_000, then=True),
]

# For growth.py.  A figure has a maximum; for "plot: curve" the dearest point may cost at most so
# many times the cheapest.
GROWTH = {
    "waiting: a message between two, live": 1.1,
    "clients: all speak, 1 in flight each": 2,
    "clients: 50 pairs beside idle ones, 32": 2,
    "ms to start, nothing there": 60,
    "ms to start over 1M waiting": 60,
}


def is_less_better(metric: str) -> bool:
    return metric not in ("rate", "logins_s")
