#!/usr/bin/env bash
# Builds the image from the Dockerfile without a Docker engine, and runs a server in it: a session is held, the health
# check is asked, SIGTERM is sent. As root, on Debian, with the packages debootstrap, buildah and redis-server.
#
#   scripts/check-image.sh [FOLDER]     where to work, 3 GB; what it holds of an earlier run is used again (a new one)
#
# What stands for `node:24-trixie-slim`, which is on Docker's registry only: Debian trixie made by debootstrap, Node 24 and
# npm from the npm registry. buildah runs the Dockerfile itself; the server runs as process 1 of a namespace of its own, as
# the image's user, without rights, on a root file system that can't be written to.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for program in debootstrap buildah redis-server; do
  command -v "$program" >/dev/null || { echo "$program is needed: apt install $program" >&2; exit 1; }
done
work=$(realpath -m "${1:-$(mktemp -d)}")
base="$work/base"
mkdir -p "$work"
store=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
case $(uname -m) in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac

say() { echo "— $*" >&2; }

make_base() {
  say 'making a Debian trixie, with Node 24 …'
  rm -rf "$base"
  debootstrap --variant=minbase trixie "$base" >"$work/debootstrap.log"
  rm -rf "$base"/var/cache/apt/* "$base"/var/lib/apt/lists/*
  (cd "$work" && npm pack --silent "node-linux-$arch@24" npm@11 >packed)
  { read -r node; read -r npm; } <"$work/packed"
  tar -xzf "$work/$node" -C "$base/usr/local" --strip-components=1 package/bin/node
  mkdir -p "$base/usr/local/lib/node_modules/npm" "$base/usr/local/etc"
  tar -xzf "$work/$npm" -C "$base/usr/local/lib/node_modules/npm" --strip-components=1
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$base/usr/local/bin/npm"
  chroot "$base" useradd --uid 1000 --create-home node
  # the registry of this machine, with its certificates
  mkdir -p "$base/etc/ssl/certs"
  cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/"
  printf 'registry=%s\ncafile=/etc/ssl/certs/ca-certificates.crt\n' "$(npm config get registry 2>/dev/null)" \
    >"$base/usr/local/etc/npmrc"
  touch "$base.done"
}

build() {
  say 'building …'
  local container
  container=$(buildah "${store[@]}" from scratch)
  buildah "${store[@]}" add --quiet "$container" "$base" / >/dev/null
  buildah "${store[@]}" config --env PATH=/usr/local/bin:/usr/bin:/bin "$container"
  buildah "${store[@]}" commit --quiet --rm "$container" localhost/node:24-trixie-slim >/dev/null
  buildah "${store[@]}" build --isolation chroot --format docker \
    --build-arg NODE_IMAGE=localhost/node:24-trixie-slim --tag localhost/openchamp . >"$work/build.log" 2>&1 ||
    { tail -n 30 "$work/build.log" >&2; exit 1; }
}

[ -e "$base.done" ] || make_base
build
image=$(buildah "${store[@]}" from localhost/openchamp)
root=$(buildah "${store[@]}" mount "$image")
trap 'buildah "${store[@]}" rm "$image" >/dev/null' EXIT
buildah "${store[@]}" inspect --type image localhost/openchamp >"$work/image.json"
node scripts/check-image.mjs "$root" "$work/image.json"
du -sm --apparent-size "$root/app" "$root/app/node_modules" "$base/usr/local/bin/node" "$root" | sed "s#$root#image#; s#$base/#…/#"
