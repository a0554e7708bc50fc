#!/bin/sh
# Shows a daemon and three clients side by side.  They have a tmux server, a store and a socket of
# their own, so the demo runs beside a daemon or another demo.  All of it goes with the session.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
command -v tmux >/dev/null || { echo "make demo needs tmux" >&2; exit 69; }
place=$(mktemp -d "${TMPDIR:-/tmp}/parley-demo.XXXXXX")
tmux() { command tmux -f /dev/null -S "$place/tmux" "$@"; }
leave() {       # the daemon's terminal is gone, but it still writes to the store for a moment
    tmux kill-server 2>/dev/null || true
    for _ in $(seq 50); do
        if rm -rf "$place" 2>/dev/null; then break; fi
        sleep 0.1
    done
}
trap leave EXIT
trap 'exit 1' INT TERM HUP

export XDG_STATE_HOME="$place/state" PARLEY_SERVER="unix:$place/parley/parley.sock"
tmux new-session -d -s demo \
    -x "$(tput cols 2>/dev/null || echo 160)" -y "$(tput lines 2>/dev/null || echo 48)" \
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
panes() {       # what all panes show
    tmux list-panes -t demo -F '#{pane_id}' | while read -r pane; do
        tmux capture-pane -p -t "$pane"
    done
}
if [ "${1:-}" = --detached ]; then      # for the test: print the panes once all three are logged in
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
