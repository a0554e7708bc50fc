"""servers: the servers that are measured, how each is configured and started, and what it promises.

A server runs in a directory of its own on a real disk, at a free port of loopback and, where its
label says so, at a Unix socket.  It has one core and the load generator has another.  We stop it by
its own pid.

A peer is configured for its best: no logging, no delays of its own (Nagle, floods), no limits.
PEERS says what each does with a message: nobody should compare figures of different promises
unawares.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
HOME = HERE.parent
# for stores: a real disk, or fdatasync costs nothing
PLACE = os.environ.get("BENCH_PLACE", "/var/tmp")
PYTHON = os.environ.get("BENCH_PYTHON", sys.executable)     # runs parley and the bare router
# as for a user, a start need not compile
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
SERVER_CORE, LOAD_CORE = 1, 0
START_SECONDS = 40          # ejabberd takes ten
STOP_SECONDS = 10
REST_SECONDS = 120          # the longest wait for a server to be at rest
REST_LOOK = 0.5             # after so many seconds without work a server is at rest
# of the bare routers, filled beforehand: more than a run writes, or nearly
JOURNAL_MIB = 256


class Place(NamedTuple):
    """Where a server runs and listens."""
    directory: Path
    port: int
    kind: str           # of the work: some servers are configured otherwise to keep messages

    @property
    def socket(self) -> str:
        return str(self.directory / "socket")

    def write(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text)
        return str(path)


class Peer(NamedTuple):
    """A server that is measured under a label."""
    program: str                            # must be installed for it
    command: Callable[[Place], list[str]]
    protocol: str                           # the load generator's name for its protocol
    promise: str                            # what its OK means
    kinds: tuple[str, ...] = ("live", "room", "kept", "idle")
    is_unix: bool = False
    without: tuple[str, ...] = ()           # works that it can't do; a comment says why
    knows_names: bool = False               # an absent user must have been connected before
    settle: float = 0.3                     # seconds from listening to being ready
    logins: int = 64                        # at once: beyond its listen backlog each costs a second
    crowd: int = 10_000                     # how many idle clients it can take


def parley(*options: str) -> Callable[[Place], list[str]]:
    """The daemon as a user runs it, but without the limits for one host and for messages to all."""
    def command(place: Place) -> list[str]:
        return [PYTHON, str(HOME / "daemon.py"), "--state", str(place.directory / "store"),
                "--listen", f"unix:{place.socket}", "--listen", f"127.0.0.1:{place.port}",
                "--strangers", "2000", "--strangers-each", "2000", "--all-seconds", "none",
                "--clients-each", "none", "--new-names", "none", "--names", "none",
                "--names-each", "none", *options]
    return command


def router(program: list[str], is_unix: bool = False,
           is_durable: bool = False) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        journal = [str(place.directory / "journal"), str(JOURNAL_MIB)] if is_durable else []
        return [*program, place.socket if is_unix else str(place.port), *journal]
    return command


ROUTER_C, ROUTER_PY = [str(HERE / "router")], [PYTHON, str(HERE / "router.py")]


def mosquitto(place: Place) -> list[str]:
    keeps = ""
    if place.kind == "kept":
        keeps = f"persistence true\npersistence_location {place.directory}/\n"
    return ["mosquitto", "-c", place.write("conf", f"""listener {place.port} 127.0.0.1
allow_anonymous true
user root
max_connections -1
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
sys_interval 0
log_type error
{keeps}""")]


def ngircd(place: Place) -> list[str]:
    return ["ngircd", "-n", "-f", place.write("conf", f"""[Global]
Name = irc.bench.net
Info = bench
Listen = 127.0.0.1
Ports = {place.port}
MotdPhrase = hello
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
""")]


def redis(place: Place) -> list[str]:
    keeps = ["--appendonly", "no"]
    if place.kind == "kept":
        keeps = ["--appendonly", "yes", "--appendfsync", "always"]
    return ["redis-server", "--port", str(place.port), "--bind", "127.0.0.1", "--save", "",
            "--maxclients", "12000", "--dir", str(place.directory), "--protected-mode", "no",
            *keeps]


def nats(place: Place) -> list[str]:
    keeps = ["-js", "-sd", str(place.directory)] if place.kind == "kept" else []
    return ["nats-server", "-a", "127.0.0.1", "-p", str(place.port), *keeps]


def beanstalkd(place: Place) -> list[str]:
    return ["beanstalkd", "-l", "127.0.0.1", "-p", str(place.port),
            "-b", str(place.directory), "-f0"]


ACCOUNTS = [*range(1, 2100), *range(100_001, 100_100)]      # XMPP knows its users beforehand


def prosody(place: Place) -> list[str]:
    accounts = place.directory / "data/localhost/accounts"
    accounts.mkdir(parents=True)
    for number in ACCOUNTS:
        (accounts / f"u{number}.dat").write_text('return {\n\t["password"] = "pw";\n};\n')
    conf = place.write("conf.cfg.lua", f"""pidfile = "{place.directory}/pid"
data_path = "{place.directory}/data"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {place.port} }}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}
c2s_direct_tls_ports = {{}}
modules_enabled = {{ "saslauth", "presence", "message", "iq", "smacks", "offline", "roster" }}
modules_disabled = {{ "s2s", "tls" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
network_backend = "epoll"
log = {{ error = "{place.directory}/log" }}
limits = {{}}
VirtualHost "localhost"
Component "conference.localhost" "muc"
    modules_enabled = {{}}
    muc_room_default_persistent = false
    muc_room_locking = false
    muc_log_by_default = false
    restrict_room_creation = false
""")
    subprocess.run(["chown", "-R", "prosody", str(place.directory)], check=True)
    return ["setpriv", "--reuid=prosody", "--regid=prosody", "--clear-groups",
            "prosody", "-F", "--config", conf]


def ejabberd(place: Place) -> list[str]:
    conf = place.write("ejabberd.yml", f"""hosts: [localhost]
loglevel: error
listen:
  - port: {place.port}
    ip: 127.0.0.1
    module: ejabberd_c2s
    max_stanza_size: 262144
    shaper: none
    access: all
    starttls: false
auth_method: internal
auth_password_format: plain
shaper_rules: {{max_user_sessions: 10, max_user_offline_messages: 1000000}}
modules:
  mod_offline: {{access_max_user_messages: max_user_offline_messages}}
  mod_muc: {{history_size: 0, max_users: 5000, min_message_interval: 0,
             access: all, access_create: all}}
  mod_stream_mgmt: {{max_ack_queue: infinity}}
  mod_roster: {{}}
""")
    register = (
        '[ejabberd_auth:try_register(<<"u",(integer_to_binary(I))/binary>>, <<"localhost">>, '
        '<<"pw">>) || I <- lists:seq(1,2100)++lists:seq(100001,100060)].')
    return ["env", f"HOME={place.directory}", "ERL_LIBS=/usr/lib/x86_64-linux-gnu",
            f"EJABBERD_CONFIG_PATH={conf}", "erl", "-noinput", "+K", "true", "+P", "250000",
            "-mnesia", "dir", f'"{place.directory}/mnesia"',
            "-ejabberd", "config", f'"{conf}"', "log_path", f'"{place.directory}/log"',
            "-s", "ejabberd", "-eval", register]


BARE = "no OK; it has no names, no rules and no queue"
BARE_SYNCED = ("the message is on disk before delivery and OK; it has no names and no rules, and "
               "never removes a message")
OURS = ("the message is on disk (fdatasync), and stays until the reader's confirmation is on disk "
        "too; lines of a group chat are not stored and have no OK")

ONE_IN_FLIGHT = ("W1w1", "W4", "W5w1")      # there a frame holds one message in any case

PEERS = {
    "parley": Peer("", parley("--console", "none"), "parley", OURS, knows_names=True),
    "parley-single": Peer("", parley("--console", "none"), "parley-single",
                          OURS + "; here each message has a frame of its own",
                          ("live", "kept"), knows_names=True, without=ONE_IN_FLIGHT),
    "parley-unix": Peer("", parley("--console", "none"), "parley", OURS,
                        is_unix=True, knows_names=True),
    "parley-log": Peer("", parley("--console", "log"), "parley",
                       OURS + "; here the event log has a line for each, in a file",
                       knows_names=True),
    "parley-receipts": Peer("", parley("--console", "none"), "parley-receipts",
                            OURS + "; here the sender hears when it was shown",
                            ("live",), knows_names=True),
    "parley-any": Peer("", parley("--console", "none",
                                  "--sender-messages", "none", "--sender-bytes", "none"),
                       "parley", OURS + "; here one sender may fill a mailbox", knows_names=True),
    "router-c": Peer("", router(ROUTER_C), "router", BARE, ("live", "room", "idle")),
    "router-py": Peer("", router(ROUTER_PY), "router", BARE, ("live", "room", "idle")),
    "router-c-durable": Peer("", router(ROUTER_C, is_durable=True), "router", BARE_SYNCED,
                             ("live", "kept")),
    "router-py-durable": Peer("", router(ROUTER_PY, is_durable=True), "router", BARE_SYNCED,
                              ("live", "kept")),
    "router-py-unix": Peer("", router(ROUTER_PY, is_unix=True), "router", BARE,
                           ("live", "room", "idle"), is_unix=True),
    "router-py-durable-unix": Peer("", router(ROUTER_PY, is_unix=True, is_durable=True), "router",
                                   BARE_SYNCED, ("live", "kept"), is_unix=True),
    "mosquitto-q1": Peer("mosquitto", mosquitto, "mqtt1",
                         "the message is in memory (QoS 1), written every half hour and never "
                         "synced",
                         knows_names=True),
    "mosquitto-q0": Peer("mosquitto", mosquitto, "mqtt0", "no OK (QoS 0)",
                         ("live", "room", "idle")),
    "ngircd": Peer("ngircd", ngircd, "irc", "no OK", ("live", "room", "idle"), logins=8),
    "redis": Peer("redis-server", redis, "redis",
                  "connected users (PUBLISH): no OK; users who are away (RPUSH): on disk"),
    "redis-stream": Peer("redis-server", redis, "redis-stream",
                         "the message is on disk (XADD); reading does not remove it", ("kept",)),
    "nats": Peer("nats-server", nats, "nats", "no OK", ("live", "room", "idle")),
    "jetstream": Peer("nats-server", nats, "jetstream",
                      "the message is written, and synced every two minutes", ("kept",)),
    "beanstalkd": Peer("beanstalkd", beanstalkd, "beanstalk",
                       "the message is on disk; so is its removal", ("kept",)),
    # Neither ends W6: prosody keeps a user's offline mail in one file.  ejabberd's room takes
    # minutes to fill.
    "prosody": Peer("prosody", prosody, "xmpp", "the message is written, not synced",
                    without=("W6",), crowd=2000),
    "ejabberd": Peer("ejabberdctl", ejabberd, "xmpp", "the message is written, not synced",
                     without=("W2", "W2q", "W6"), settle=4, crowd=2000),
}


def results_directory() -> Path:
    """Where the measurements are kept for figures.py."""
    (HERE / "results").mkdir(exist_ok=True)
    return HERE / "results"


def find_program(program: str) -> str | None:
    """Where a program is, or None.  /usr/sbin counts too: it is not in everyone's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def file_system(path: str) -> str:
    """The type of the file system that a path is on."""
    real, best, kind = os.path.realpath(path), "", ""
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, where, what, *_ = line.split()
            if (real + "/").startswith(where.rstrip("/") + "/") and len(where) >= len(best):
                best, kind = where, what
    return kind


def pin(core: int) -> Callable[[], None] | None:
    """What a child calls to run on this core alone; None where there is only one."""
    return (lambda: os.sched_setaffinity(0, {core})) if (os.cpu_count() or 1) > 1 else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One run of one server: `with Server("parley", "live") as server:`."""

    def __init__(self, label: str, kind: str) -> None:
        self.label, self.peer = label, PEERS[label]
        self._directory = tempfile.TemporaryDirectory(prefix=f"parley-bench-{label}-", dir=PLACE)
        os.chmod(self._directory.name, 0o755)           # some servers change their uid
        self.place = Place(Path(self._directory.name), free_port(), kind)
        self.host = self.place.socket if self.peer.is_unix else "127.0.0.1"
        self.started = 0.0                              # seconds until it accepted a connection
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = self.peer.command(self.place)
        command[0] = find_program(command[0]) or command[0]
        begin = time.monotonic()
        with open(self.place.directory / "output", "ab") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, cwd=self.place.directory,
                                       preexec_fn=pin(SERVER_CORE))
        while not self._answers():
            if process.poll() is not None or time.monotonic() - begin > START_SECONDS:
                self._end(process)
                said = (self.place.directory / "output").read_text(errors="replace")[-500:]
                self._directory.cleanup()
                raise RuntimeError(f"{self.label} did not start: {said}")
            time.sleep(0.002)
        self.started = time.monotonic() - begin
        time.sleep(self.peer.settle)
        return process

    def _answers(self) -> bool:
        family, where = ((socket.AF_UNIX, self.host) if self.peer.is_unix
                         else (socket.AF_INET, (self.host, self.place.port)))
        with socket.socket(family) as probe:
            return probe.connect_ex(where) == 0

    def restart(self) -> None:
        """Stop the server and start it on what it left on disk."""
        self._end(self.process)
        self.process = self._start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def _pids(self) -> list[int]:
        """Its process and its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        found = children.read_text().split() if children.exists() else []
        return [self.pid, *map(int, found)]

    def memory(self) -> int:
        """Resident memory in bytes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    for pid in self._pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _ticks(self) -> int:
        """The CPU time that it has used, in clock ticks."""
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                 for pid in self._pids()]
        return sum(int(stat[11]) + int(stat[12]) for stat in stats)

    def rest(self, seconds: float = REST_SECONDS) -> None:
        """Wait until it does nothing more of its own accord, such as putting its files in order."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            before = self._ticks()
            time.sleep(REST_LOOK)
            if self._ticks() - before <= 1:
                return

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        self._end(self.process)
        self._directory.cleanup()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
