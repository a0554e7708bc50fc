"""measure: one work against one server, by the load generator.

A result is what the generator printed (load.c: print_result), with the label and the work.  The
result of a run that failed has `error`.
"""
import json
import subprocess
from typing import Any

from servers import HERE, LOAD_CORE, PEERS, Server, pin
from works import TAKEN, WORKS

LIMIT = 600                 # seconds for one run of the generator
FILLING = 500               # messages unacknowledged while a queue is filled
# seconds for the server to put a filled queue in order, as before a return
AT_REST = 10.0

Result = dict[str, Any]


class Failed(Exception):
    """The load generator ended with an error, whose line this is."""


def load(server: Server, options: str, protocol: str = "") -> Result:
    """One run of the generator."""
    command = [str(HERE / "load"), "-p", protocol or server.peer.protocol, "-h", server.host,
               "-o", str(server.place.port), "-P", str(server.pid), "-l", str(server.peer.logins),
               *options.split()]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace",
                             timeout=LIMIT, preexec_fn=pin(LOAD_CORE))
    except subprocess.TimeoutExpired:
        raise Failed(f"ran for more than {LIMIT} s") from None
    if ran.returncode:
        raise Failed(ran.stderr.strip()[-300:] or f"exit code {ran.returncode}")
    result: Result = json.loads(ran.stdout)
    if result["wrong"]:
        raise Failed(f"{result['wrong']} texts came damaged")
    return result


def can(label: str, work: str) -> bool:
    """Whether this server can do this work."""
    peer = PEERS[label]
    return WORKS[work].kind in peer.kinds and work not in peer.without


def measure(label: str, work: str, seconds: float) -> Result:
    """One work on a fresh server."""
    try:
        with Server(label, WORKS[work].kind) as server:
            result = _run(server, work, seconds)
    except (Failed, RuntimeError) as error:
        result = {"error": str(error)}
    return result | {"label": label, "work": work}


def _run(server: Server, work: str, seconds: float) -> Result:
    peer, options = server.peer, WORKS[work].load
    if WORKS[work].kind == "kept" and peer.knows_names:
        load(server, "-m register -n 50")
    if work == "W6":
        load(server, f"-m enqueue -w {FILLING} -c {TAKEN}")
        server.rest(AT_REST)
        return load(server, options)
    if work == "W7":
        options = options.replace("-i 10000", f"-i {peer.crowd}")
    if seconds < 0.5:                           # no measurement but a trial of the bench itself
        options += f" -W {seconds}"
    is_to_all = work == "W2q" and peer.protocol == "parley"
    return load(server, f"{options} -t {seconds}", "parley-all" if is_to_all else "")
