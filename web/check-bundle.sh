#!/bin/sh
# Rebuilds the page into a temporary folder and compares it with the bundle that is committed.
# Expects `npm ci` to have run. Exit status 1, with the files that differ, when the bundle is stale.
set -eu
cd "$(dirname "$0")"
committed=../core/http/static
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npm run --silent build -- --outDir "$fresh" --emptyOutDir --logLevel warn
if ! diff -rq "$committed" "$fresh"; then
  echo "core/http/static is not what web/ builds: run web/build.sh and commit the result" >&2
  exit 1
fi
echo "core/http/static is what web/ builds"
