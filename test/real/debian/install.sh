#!/bin/sh
# Brings strace (where there is none on the PATH) and libfaketime to .cache/debian for the tests: Debian's own packages, unpacked
# there and not installed. Does nothing where they are there already. Exit 1 with a sentence when that cannot be done.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cache=$(CDPATH= cd -- "$here/../../.." && pwd)/.cache/debian
wanted="libfaketime$(command -v strace > /dev/null || echo ' strace libunwind8 liblzma5')"

fail() {
  echo "test/real/debian/install.sh: $1" >&2
  exit 1
}

if [ -f "$cache/installed" ] && [ "$(cat "$cache/installed")" = "$wanted" ]; then exit 0; fi

command -v apt-get > /dev/null || fail "no apt-get on the PATH: install $wanted by hand (README of the tests)"
command -v dpkg-deb > /dev/null || fail "no dpkg-deb on the PATH"

rm -rf "$cache"
mkdir -p "$cache/packages"
cd "$cache/packages"
fetch() { apt-get -q -o APT::Sandbox::User=root download $wanted; }
# Without its lists apt-get knows no package; only root may fetch them.
fetch > /dev/null 2>&1 || { apt-get -q update > /dev/null && fetch > /dev/null; } || fail "apt-get could not fetch $wanted (see above)"
for package in *.deb; do dpkg-deb -x "$package" "$cache/root"; done
rm -rf "$cache/packages"

printf '%s\n' "$wanted" > "$cache/installed"
