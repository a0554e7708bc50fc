#!/bin/sh
# The Debian package: what `make install` installs, with the unit, the system user, the rotation of the
# log and the completions.  RELEASE=0.2 sh packaging/debian/build.sh; called by `make deb`.
set -eu
cd "$(dirname "$0")/../.."
command -v dpkg-deb >/dev/null || { echo "make deb needs dpkg-deb" >&2; exit 69; }
place=build/deb
umask 022
rm -rf "$place" && mkdir -p "$place/DEBIAN" dist
make -s install PREFIX=/usr DESTDIR="$place" PYTHON=/usr/bin/python3 >/dev/null
find "$place" -name __pycache__ -prune -exec rm -rf {} +            # postinst compiles, for the Python that is there
gzip -9n "$place"/usr/share/man/man*/*
install -D -m 644 packaging/logrotate "$place/etc/logrotate.d/parley"
for paper in README.md CHANGES HACKING; do install -D -m 644 "$paper" "$place/usr/share/doc/parley/$paper"; done
install -D -m 644 LICENSE "$place/usr/share/doc/parley/copyright"
printf '/etc/logrotate.d/parley\n' >"$place/DEBIAN/conffiles"
version=$(echo "$RELEASE" | sed 's/\.dev/~dev/')                 # before the release, not after it
sed "s/@RELEASE@/$version/; s/@KILOBYTES@/$(du -sk "$place" | cut -f1)/" packaging/debian/control >"$place/DEBIAN/control"
for script in postinst prerm postrm; do install -m 755 "packaging/debian/$script" "$place/DEBIAN/$script"; done
dpkg-deb --root-owner-group -Zxz --build "$place" "dist/parley_${version}_all.deb"
