#!/bin/sh
# Installs the Rust toolchain that rust-toolchain.toml pins, with the targets of the
# Worker and of its tests; does nothing when all is there.
set -eu
cd "$(dirname "$0")/.."

targets="wasm32-unknown-unknown wasm32-wasip1"
channel=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)

command -v rustup >/dev/null || {
  echo "rustup is missing: install Rust with rustup (or your system's package \`rustup\`), then run this again" >&2
  exit 1
}

complete() {
  sysroot=$(rustc "+$channel" --print sysroot 2>/dev/null) || return 1
  [ -x "$sysroot/bin/cargo-clippy" ] && [ -x "$sysroot/bin/rustfmt" ] || return 1
  for target in $targets; do
    [ -d "$sysroot/lib/rustlib/$target/lib" ] || return 1
  done
}

complete && exit 0
echo "==> installing Rust $channel with rustfmt, clippy and the targets $targets"
rustup toolchain install "$channel" --profile minimal --no-self-update --component rustfmt --component clippy
# shellcheck disable=SC2086 # a list of words
rustup target add --toolchain "$channel" $targets
