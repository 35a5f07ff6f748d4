#!/bin/sh
# Installs the page's tools as locked and builds the page into core/http/static.
set -eu
cd "$(dirname "$0")"
npm ci
npm run build
