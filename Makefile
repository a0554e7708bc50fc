# parley: nothing is built.  `make run` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON  = python3
PREFIX  = /usr/local
DESTDIR =
ARGS    =
WORKS   =# of make bench: W1,W5; all by default
ROUNDS  = 3
PEERS   =# installed ones: mosquitto-q1 redis
HOME_OF = $(PREFIX)/lib/parley
UNITS   = $(PREFIX)/lib/systemd/system
MODULES = $(wildcard *.py)
MANUALS = $(wildcard man/*.[1578])
RELEASE = $(shell sed -n 's/^RELEASE = "\(.*\)".*/\1/p' usage.py)

.PHONY: run client demo test mutants fuzz torture bench bench-growth bench-stalls bench-client bench-figures lint \
        install uninstall dist clean

run:            ## the daemon, for oneself; README, Start, says how one serves all logins of the host
	$(PYTHON) daemon.py $(ARGS)

client:         ## a client of that daemon
	$(PYTHON) curses_client.py $(ARGS)

demo:           ## the daemon and three clients side by side, in tmux
	tmux new-session -d -s parley-demo '$(PYTHON) daemon.py'
	sleep 1
	for name in ann bob carol; do tmux split-window -t parley-demo "$(PYTHON) curses_client.py --name $$name"; \
	    tmux select-layout -t parley-demo tiled; done
	tmux attach -t parley-demo

test:           ## all tests; what needs a further tool says so and is skipped where the tool is missing
	$(PYTHON) -m unittest discover -s tests -t . $(ARGS)

mutants:        ## each safeguard taken out in turn: does a test notice?  ARGS=--write puts the table into HACKING
	$(PYTHON) tests/house/mutants.py $(ARGS)

FUZZ_SECONDS = 60
fuzz:           ## what others may send, by chance and by Hypothesis, in a virtual environment of its own
	[ -x .fuzz/bin/python ] || { $(PYTHON) -m venv .fuzz && .fuzz/bin/pip -q install hypothesis; }
	.fuzz/bin/python -m tests.torture.fuzz --hypothesis --seconds $(FUZZ_SECONDS) $(ARGS)

torture:        ## power cuts, kills at every call, disk errors, a million messages, floods: root, strace, ext4; ten minutes
	$(PYTHON) -m tests.torture.torture $(ARGS)

bench:          ## W1 to W7: parley, the bare routers, PEERS; needs a C compiler and some minutes; bench/README
	$(MAKE) -s -C bench
	$(PYTHON) bench/run.py --works "$(WORKS)" --rounds $(ROUNDS) $(ARGS) $(PEERS)

bench-growth:   ## cost against what waits, clients, recipients, size; memory: some twenty minutes, plots in bench/plots
	$(MAKE) -s -C bench
	$(PYTHON) bench/growth.py $(ARGS)

bench-stalls:   ## what one user waits while others keep the daemon busy
	$(MAKE) -s -C bench
	$(PYTHON) bench/stalls.py $(ARGS)

bench-client:   ## the curses client under a flood, beside irssi and weechat
	$(MAKE) -s -C bench
	$(PYTHON) bench/client.py $(ARGS)

bench-figures:  ## README.md's section Speed and bench/FIGURES.md, from what was measured
	$(PYTHON) bench/figures.py

lint:           ## ruff, mypy and mandoc, wherever they come from
	ruff check .
	mypy $(MODULES)
	mypy bench/*.py
	mandoc -Tlint -W warning $(MANUALS)

install:
	install -d "$(DESTDIR)$(HOME_OF)" "$(DESTDIR)$(PREFIX)/bin"
	install -m 644 $(MODULES) "$(DESTDIR)$(HOME_OF)"
	rm -rf "$(DESTDIR)$(HOME_OF)/__pycache__"
	umask 022; $(PYTHON) -m compileall -q -d "$(HOME_OF)" "$(DESTDIR)$(HOME_OF)"   # for those who cannot write there
	for pair in parleyd:daemon parley:curses_client; do \
	    printf '#!/bin/sh\nexec $(PYTHON) "$(HOME_OF)/%s.py" "$$@"\n' "$${pair#*:}" >"$(DESTDIR)$(PREFIX)/bin/$${pair%:*}"; \
	    chmod 755 "$(DESTDIR)$(PREFIX)/bin/$${pair%:*}"; done
	for page in $(MANUALS); do \
	    install -D -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page#man/}"; done
	install -d "$(DESTDIR)$(UNITS)"
	sed 's,@PREFIX@,$(PREFIX),' etc/parleyd.service >"$(DESTDIR)$(UNITS)/parleyd.service"

uninstall:
	rm -rf "$(DESTDIR)$(HOME_OF)"
	rm -f "$(DESTDIR)$(PREFIX)/bin/parleyd" "$(DESTDIR)$(PREFIX)/bin/parley" "$(DESTDIR)$(UNITS)/parleyd.service"
	for page in $(MANUALS); do rm -f "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page#man/}"; done

dist:           ## the tree of the last commit, as a tar file
	git archive --prefix=parley-$(RELEASE)/ -o parley-$(RELEASE).tar.gz HEAD

clean:
	$(MAKE) -s -C bench clean
	rm -rf __pycache__ bench/__pycache__ tests/__pycache__ .fuzz .mypy_cache .ruff_cache parley-*.tar.gz
