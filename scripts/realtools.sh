#!/usr/bin/env bash
# Provisions the real components of test ring 3: S3 servers (versitygw, MinIO), a
# Python environment with foreign readers, and promtool. What it builds stays in
# ${MILLWRIGHT_CACHE:-.cache}, one folder a version; a second run finds it there
# and does nothing. It needs Go, Python 3 with venv, and for promtool apt-get (or
# a promtool on the PATH); it does not need root.
#
#   scripts/realtools.sh              everything
#   scripts/realtools.sh NAME…        some of: versitygw minio python promtool
#
# The tests find the tools at $CACHE/bin/{versitygw,minio,promtool} and
# $CACHE/venv/bin/python.
set -euo pipefail

versitygw_version=v1.8.0
minio_version=v0.0.0-20260212201848-7aac2a2c5b7c

root=$(cd "$(dirname "$0")/.." && pwd)
requirements=$root/internal/inttest/testdata/requirements.txt
mkdir -p "${MILLWRIGHT_CACHE:-$root/.cache}"
cache=$(cd "${MILLWRIGHT_CACHE:-$root/.cache}" && pwd)
mkdir -p "$cache/bin" "$cache/tools"

say() { printf 'realtools: %s\n' "$*"; }

# die NAME REASON [LOG] ends with the reason and the end of the log.
die() {
	{
		printf 'realtools: %s: %s\n' "$1" "$2"
		if [ -n "${3:-}" ] && [ -s "$3" ]; then
			printf 'realtools: the last lines of %s:\n' "$3"
			tail -n 15 "$3"
		fi
	} >&2
	exit 1
}

# One run at a time; a second one waits and then finds all done. The lock goes
# with its process, however that ends.
if command -v flock >/dev/null; then
	exec 9>"$cache/realtools.lock"
	flock 9
fi

work=$(mktemp -d "$cache/tools/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# go_tool NAME PACKAGE VERSION installs a Go program into its version's folder.
go_tool() {
	local name=$1 package=$2 version=$3 dir=$cache/tools/$1/$3 began=$SECONDS
	if [ -x "$dir/$name" ]; then
		ln -sfn "$dir/$name" "$cache/bin/$name"
		say "$name $version: cached"
		return
	fi
	command -v go >/dev/null || die "$name" "there is no go on the PATH to build it with"
	say "$name $version: building, which takes minutes the first time …"
	# With a version go install heeds only the program's own go.mod. The settings
	# are those of the project's builds, so that what is compiled is shared.
	(cd "$work" && GOBIN="$work" go install -ldflags '-s -w' "$package@$version") \
		>"$cache/tools/$name.log" 2>&1 9>&- ||
		die "$name" "go install $package@$version failed (is the module proxy reachable?)" "$cache/tools/$name.log"
	mkdir -p "$dir"
	mv "$work/$name" "$dir/$name"
	ln -sfn "$dir/$name" "$cache/bin/$name"
	say "$name $version: built in $((SECONDS - began)) s"
}

# python_env makes the virtual environment that requirements.txt describes.
python_env() {
	local python key dir began=$SECONDS log=$cache/tools/python.log
	python=$(command -v python3) || die python "there is no python3 on the PATH"
	# Another interpreter or other pins are another environment.
	key=$({ "$python" -c 'import sys; print(sys.version, sys.prefix)' && cat "$requirements"; } | cksum | tr -s ' \t' -)
	dir=$cache/tools/venv/$key
	if [ -e "$dir/complete" ]; then
		ln -sfn "$dir" "$cache/venv"
		say "python: cached ($dir)"
		return
	fi
	say "python: making a virtual environment from ${requirements#"$root"/} …"
	rm -rf "$dir" # one that was broken off; a venv cannot be moved into place
	mkdir -p "$(dirname "$dir")"
	"$python" -m venv "$dir" >"$log" 2>&1 9>&- ||
		die python "python3 -m venv failed (on Debian it needs the package python3-venv)" "$log"
	"$dir/bin/python" -m pip install --disable-pip-version-check --only-binary :all: -r "$requirements" >>"$log" 2>&1 9>&- ||
		die python "pip install failed (is the package index reachable, and is there a wheel of every pin for $("$python" -V)?)" "$log"
	"$dir/bin/python" -c 'import deltalake, pyarrow, tritonclient.http' >>"$log" 2>&1 ||
		die python "the packages are installed and cannot be imported" "$log"
	touch "$dir/complete"
	ln -sfn "$dir" "$cache/venv"
	say "python: done in $((SECONDS - began)) s"
}

# promtool comes out of Debian's package prometheus, unpacked and not installed.
# Debian serves one version at a time, so it cannot be pinned.
promtool() {
	local found deb version dir began=$SECONDS log=$cache/tools/promtool.log
	if [ -x "$cache/bin/promtool" ]; then
		say "promtool: cached ($(readlink "$cache/bin/promtool"))"
		return
	fi
	if found=$(type -P promtool); then
		ln -sfn "$found" "$cache/bin/promtool"
		say "promtool: the one on the PATH ($found)"
		return
	fi
	if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
		die promtool "there is no promtool on the PATH and no apt-get to fetch it with: install Prometheus"
	fi
	say "promtool: fetching Debian's package prometheus …"
	: >"$log"
	if ! apt_download >>"$log" 2>&1; then
		# The machine's package lists are absent or old. Ours need no root.
		apt_private update >>"$log" 2>&1 9>&- || die promtool "apt-get update failed (is the package mirror reachable?)" "$log"
		apt_download apt_private >>"$log" 2>&1 || die promtool "apt-get download prometheus failed" "$log"
	fi
	deb=$(find "$work" -maxdepth 1 -name 'prometheus_*.deb' | head -n 1)
	version=$(dpkg -f "$deb" Version)
	dir=$cache/tools/prometheus/$version
	mkdir -p "$work/prometheus" "$(dirname "$dir")"
	dpkg -x "$deb" "$work/prometheus" >>"$log" 2>&1 || die promtool "dpkg -x failed" "$log"
	"$work/prometheus/usr/bin/promtool" --version >>"$log" 2>&1 || die promtool "the unpacked promtool does not run here" "$log"
	rm -rf "$dir"
	mv "$work/prometheus" "$dir"
	ln -sfn "$dir/usr/bin/promtool" "$cache/bin/promtool"
	say "promtool $version: done in $((SECONDS - began)) s"
}

apt_download() { (cd "$work" && "${1:-apt-get}" -o APT::Sandbox::User="$(id -un)" download prometheus 9>&-); }

# apt_private is apt-get with lists and a cache of its own.
apt_private() {
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
	apt-get -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
		-o Dir::State::status=/var/lib/dpkg/status -o APT::Sandbox::User="$(id -un)" "$@"
}

[ $# -gt 0 ] || set -- versitygw minio python promtool
for name in "$@"; do
	case $name in
	versitygw) go_tool versitygw github.com/versity/versitygw/cmd/versitygw "$versitygw_version" ;;
	minio) go_tool minio github.com/minio/minio "$minio_version" ;;
	python) python_env ;;
	promtool) promtool ;;
	*) die "$name" "is none of: versitygw minio python promtool" ;;
	esac
done
say "all in $cache"
