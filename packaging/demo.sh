#!/bin/sh
# A daemon and three clients side by side, in a tmux server, a store and a socket of their own: it
# works beside a running daemon, and twice.  All of it is gone when the session ends.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
command -v tmux >/dev/null || { echo "make demo needs tmux" >&2; exit 69; }
place=$(mktemp -d "${TMPDIR:-/tmp}/parley-demo.XXXXXX")
tmux() { command tmux -f /dev/null -S "$place/tmux" "$@"; }
leave() {       # the daemon, whose terminal is gone, still puts what waits to rest
    tmux kill-server 2>/dev/null || true
    for _ in $(seq 50); do
        if rm -rf "$place" 2>/dev/null; then break; fi
        sleep 0.1
    done
}
trap leave EXIT
trap 'exit 1' INT TERM HUP

export XDG_STATE_HOME="$place/state" PARLEY_SERVER="unix:$place/parley/parley.sock"
tmux new-session -d -s demo -x "$(tput cols 2>/dev/null || echo 160)" -y "$(tput lines 2>/dev/null || echo 48)" \
    "$python daemon.py --state '$place/store' --listen '$PARLEY_SERVER'"
tries=0
until [ -S "$place/parley/parley.sock" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "the daemon did not start" >&2; exit 1; }
    sleep 0.1
done
for name in ann bob carol; do
    tmux split-window -t demo "$python curses_client.py --no-archive --name $name"
    tmux select-layout -t demo tiled
done
panes() { tmux list-panes -t demo -F '#{pane_id}' | while read -r pane; do tmux capture-pane -p -t "$pane"; done; }
if [ "${1:-}" = --detached ]; then      # for the test: what is seen, once, when all three are in
    tries=0
    until [ "$(panes | grep -c ' 3 online ')" = 3 ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { panes; exit 1; }
        sleep 0.1
    done
    panes
else
    TMUX='' tmux attach -t demo
fi
