# parley runs from a clone: `make run` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON  = python3
PREFIX  = /usr/local
DESTDIR =
ARGS    =
WORKS   =# of make bench: W1,W5; all by default
ROUNDS  = 3
PEERS   =# installed ones: mosquitto-q1 redis
HOME_OF = $(PREFIX)/lib/parley
SYSTEMD = parleyd.service:systemd/system/parleyd.service parleyd.socket:systemd/system/parleyd.socket \
          user.service:systemd/user/parleyd.service sysusers.conf:sysusers.d/parley.conf \
          tmpfiles.conf:tmpfiles.d/parley.conf
ROOMS   = net store rules server client ui terminal
MODULES = $(wildcard *.py) $(wildcard $(ROOMS:%=%/*.py))
MANUALS = $(wildcard man/*.[1578])
SHELLS  = parley.bash:bash-completion/completions/parley \
          parley.bash:bash-completion/completions/parleyd \
          _parley:zsh/site-functions/_parley parley.fish:fish/vendor_completions.d/parley.fish
# What the installed programs start: looked for once, and only for install.
CHOSEN  = $(eval CHOSEN := $(shell sh packaging/python.sh /usr/bin/python3 \
          $(if $(filter file,$(origin PYTHON)),,"$(PYTHON)")))$(CHOSEN)
RELEASE = $(shell sed -n 's/^RELEASE = "\(.*\)".*/\1/p' terminal/usage.py)

.DEFAULT_GOAL = help
.PHONY: help run client demo test test-all mutants fuzz torture bench bench-growth bench-stalls \
        bench-client bench-figures lint install uninstall wheel pyz deb release dist clean

help:           ## this list
	@sed -n 's/^\([a-z-]*\): *[a-z. ]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run:            ## the daemon, for yourself; README, Start: how to serve all logins of the host
	$(PYTHON) daemon.py $(ARGS)

client:         ## a client of that daemon
	$(PYTHON) curses_client.py $(ARGS)

demo:           ## a daemon and three clients side by side, in tmux: of its own, and gone at the end
	PYTHON="$(PYTHON)" sh packaging/demo.sh

test:           ## all tests; ARGS=store runs one room; tests that lack a tool are skipped by name
	$(PYTHON) -m tests $(ARGS)

test-all:       ## the same, with the long searches at full size: minutes more
	PARLEY_TESTS=all $(PYTHON) -m tests $(ARGS)

mutants:        ## the program without one safeguard after the other: does a test notice?
	$(PYTHON) tests/house/mutants.py $(ARGS)

FUZZ_SECONDS = 60
fuzz:           ## random input, also by Hypothesis, in a virtual environment of its own
	[ -x .fuzz/bin/python ] || { $(PYTHON) -m venv .fuzz && .fuzz/bin/pip -q install hypothesis; }
	.fuzz/bin/python -m tests.torture.fuzz --hypothesis --seconds $(FUZZ_SECONDS) $(ARGS)

torture:        ## power cuts, kills, disk errors, floods: root, strace, ext4; ten minutes
	$(PYTHON) -m tests.torture.torture $(ARGS)

bench:          ## W1 to W7: parley, the bare routers, PEERS; needs a C compiler; bench/README
	$(MAKE) -s -C bench
	$(PYTHON) bench/run.py --works "$(WORKS)" --rounds $(ROUNDS) $(ARGS) $(PEERS)

bench-growth:   ## cost by load and size, with plots in bench/plots: twenty minutes
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

install:        ## the programs and manuals, under PREFIX (and DESTDIR)
	@[ -n "$(CHOSEN)" ]
	install -d $(ROOMS:%="$(DESTDIR)$(HOME_OF)/%") "$(DESTDIR)$(PREFIX)/bin"
	@for module in $(MODULES); do install -m 644 $$module "$(DESTDIR)$(HOME_OF)/$$module"; done
	find "$(DESTDIR)$(HOME_OF)" -name __pycache__ -exec rm -rf {} +
	# Users can't write there, so the modules are compiled now.
	umask 022; $(CHOSEN) -m compileall -q -d "$(HOME_OF)" "$(DESTDIR)$(HOME_OF)"
	for pair in parleyd:daemon parley:curses_client; do \
	    program="$(DESTDIR)$(PREFIX)/bin/$${pair%:*}"; \
	    printf '#!/bin/sh\nexec %s "$(HOME_OF)/%s.py" "$$@"\n' "$(CHOSEN)" "$${pair#*:}" >"$$program"; \
	    chmod 755 "$$program"; done
	for page in $(MANUALS); do \
	    install -D -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page#man/}"; done
	for place in $(SHELLS); do install -D -m 644 "packaging/completions/$${place%%:*}" \
	    "$(DESTDIR)$(PREFIX)/share/$${place#*:}"; done
	for file in $(SYSTEMD); do \
	    install -D -m 644 "packaging/systemd/$${file%%:*}" "$(DESTDIR)$(PREFIX)/lib/$${file#*:}"; \
	    sed -i 's,@PREFIX@,$(PREFIX),' "$(DESTDIR)$(PREFIX)/lib/$${file#*:}"; done
	install -D -m 755 packaging/rc/parleyd "$(DESTDIR)$(PREFIX)/share/parley/rc/parleyd"
	sed -i 's,@PREFIX@,$(PREFIX),' "$(DESTDIR)$(PREFIX)/share/parley/rc/parleyd"

uninstall:      ## what install has put there
	rm -rf "$(DESTDIR)$(HOME_OF)"
	rm -f "$(DESTDIR)$(PREFIX)/bin/parleyd" "$(DESTDIR)$(PREFIX)/bin/parley"
	for file in $(SYSTEMD); do rm -f "$(DESTDIR)$(PREFIX)/lib/$${file#*:}"; done
	rm -rf "$(DESTDIR)$(PREFIX)/share/parley"
	for page in $(MANUALS); do \
	    rm -f "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page#man/}"; done
	for place in $(SHELLS); do rm -f "$(DESTDIR)$(PREFIX)/share/$${place#*:}"; done

wheel:          ## dist/: a wheel and an sdist; needs the module build, from PyPI
	$(PYTHON) -m build -o dist .

pyz:            ## dist/parley.pyz: both programs in one file
	rm -rf build/pyz && mkdir -p $(ROOMS:%=build/pyz/%) dist
	@for module in $(MODULES); do cp $$module build/pyz/$$module; done
	cp packaging/__main__.py build/pyz/
	[ -z "$(SOURCE_DATE_EPOCH)" ] || find build/pyz -exec touch -d "@$(SOURCE_DATE_EPOCH)" {} +
	$(PYTHON) -m zipapp -p '/usr/bin/env python3' -o dist/parley.pyz build/pyz
	chmod 755 dist/parley.pyz

deb:            ## dist/parley_RELEASE_all.deb; needs dpkg-deb
	RELEASE=$(RELEASE) sh packaging/debian/build.sh

release:        ## dist/: sdist, wheel, pyz, deb, SHA256SUMS, the same bytes each time; packaging/release.sh
	RELEASE=$(RELEASE) PYTHON="$(PYTHON)" sh packaging/release.sh

dist:           ## the tree of the last commit, as a tar file
	git archive --prefix=parley-$(RELEASE)/ -o parley-$(RELEASE).tar.gz HEAD

clean:          ## what the above have made
	$(MAKE) -s -C bench clean
	find . -name __pycache__ -not -path './.git/*' -exec rm -rf {} +
	rm -rf build dist parley.egg-info .fuzz .mypy_cache .ruff_cache .test-times parley-*.tar.gz
