# parley: nothing is built.  `make run` and `make test` need Python 3.11 or newer, and nothing else.
PYTHON  = python3
PREFIX  = /usr/local
DESTDIR =
ARGS    =
HOME_OF = $(PREFIX)/lib/parley
MODULES = $(wildcard *.py)
MANUALS = $(wildcard man/*.[1578])
RELEASE = $(shell sed -n 's/^RELEASE = "\(.*\)".*/\1/p' usage.py)

.PHONY: run client demo test mutants lint install uninstall dist clean

run:            ## the daemon, at its default places
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
	$(PYTHON) tests/mutants.py $(ARGS)

lint:           ## ruff, mypy and mandoc, wherever they come from
	ruff check .
	mypy $(MODULES)
	mandoc -Tlint -W warning $(MANUALS)

install:
	install -d "$(DESTDIR)$(HOME_OF)" "$(DESTDIR)$(PREFIX)/bin"
	install -m 644 $(MODULES) "$(DESTDIR)$(HOME_OF)"
	for pair in parleyd:daemon parley:curses_client; do \
	    printf '#!/bin/sh\nexec $(PYTHON) "$(HOME_OF)/%s.py" "$$@"\n' "$${pair#*:}" >"$(DESTDIR)$(PREFIX)/bin/$${pair%:*}"; \
	    chmod 755 "$(DESTDIR)$(PREFIX)/bin/$${pair%:*}"; done
	for page in $(MANUALS); do \
	    install -D -m 644 "$$page" "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page#man/}"; done

uninstall:
	rm -rf "$(DESTDIR)$(HOME_OF)"
	rm -f "$(DESTDIR)$(PREFIX)/bin/parleyd" "$(DESTDIR)$(PREFIX)/bin/parley"
	for page in $(MANUALS); do rm -f "$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page#man/}"; done

dist:           ## the tree of the last commit, as a tar file
	git archive --prefix=parley-$(RELEASE)/ -o parley-$(RELEASE).tar.gz HEAD

clean:
	rm -rf __pycache__ tests/__pycache__ .mypy_cache .ruff_cache parley-*.tar.gz
