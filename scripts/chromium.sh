#!/bin/sh
# Prints the path of a Chromium for the browser tests: $CHROMIUM, else an installed
# one, else the system's package where this user may install it.
set -eu

find_chromium() {
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome-stable google-chrome; do
    [ -n "$name" ] && command -v "$name" && return 0
  done
  return 1
}

find_chromium && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "==> installing the package chromium for the browser tests" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >&2
  find_chromium && exit 0
fi
echo "no Chromium: install the package \`chromium\`, or name a binary in \$CHROMIUM" >&2
exit 1
