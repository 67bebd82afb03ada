#!/bin/sh
# Brings the jars of a real Kafka to .cache/kafka/lib for the tests. Does nothing where they are there already.
# Exit 1 with a sentence when Java 17, Maven or a jar is missing.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cache=$(CDPATH= cd -- "$here/../../.." && pwd)/.cache/kafka
wanted=$(cksum < "$here/pom.xml")

fail() {
  echo "test/real/kafka/install.sh: $1" >&2
  exit 1
}

if [ -f "$cache/installed" ] && [ "$(cat "$cache/installed")" = "$wanted" ]; then exit 0; fi

command -v java > /dev/null || fail "no java on the PATH: install Java 17 or newer (Debian: openjdk-17-jre-headless)"
command -v mvn > /dev/null || fail "no mvn on the PATH: install Maven (Debian: maven)"
major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
[ "${major:-0}" -ge 17 ] || fail "java is version ${major:-unknown}; Kafka 4 needs 17 or newer"

rm -rf "$cache"
mkdir -p "$cache"
mvn -q -B -Dstyle.color=never -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$cache/lib" ||
  fail "Maven could not fetch Kafka's jars (see above)"

printf '%s\n' "$wanted" > "$cache/installed"
