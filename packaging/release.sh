#!/bin/sh
# What a release is: an sdist, a wheel, parley.pyz, a Debian package, and their checksums, in dist/.
# Two runs of the same commit give the same bytes: times come from the commit.  Called by `make
# release`, which needs git, dpkg-deb, and the module build from PyPI.
#
# Before it, in this order:
#   1. `.ci/run` on a clean clone: 0 failed.
#   2. terminal/usage.py: RELEASE without ".dev0".
#   3. CHANGES: the heading has the number and the date.
#   4. `make bench-figures` after a full run, if speed has changed.
#   5. git commit, git tag -s vRELEASE, make release.
#   6. RELEASE = the next number, with ".dev0".
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
case ${RELEASE:?} in *.dev*) echo "release.sh: $RELEASE is no release: see the list in this file" >&2
    [ "${ANYWAY:-}" ] || exit 65 ;; esac
[ -z "$(git status --porcelain)" ] || [ "${ANYWAY:-}" ] ||
    { echo "release.sh: the tree is not as committed: git status" >&2; exit 65; }
here=$(pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
umask 022
git archive --format=tar HEAD | tar -x -C "$place"      # nothing that lies about in the tree
cd "$place"
rm -rf "$here/dist" && mkdir -p dist
$PYTHON -m build ${BUILD_OPTIONS:-} -o dist . >/dev/null
find . -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
make -s pyz deb PYTHON="$PYTHON"
cd dist
# tar and gzip of Python's build keep the time of the build in the sdist
for sdist in *.tar.gz; do
    mkdir again && tar -xzf "$sdist" -C again
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu \
        -C again -cf - . | gzip -9n >"$sdist.new"
    rm -r again && mv "$sdist.new" "$sdist"
done
sha256sum -- * >SHA256SUMS
cd "$here"
cp -r "$place/dist" dist
cat dist/SHA256SUMS
