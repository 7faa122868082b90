#!/usr/bin/env bash
# The tests against real components, which scripts/realtools.sh has provisioned.
# Much of their time is waiting: for servers that start, for Python, for a cluster.
# So the first two parts run beside each other, and in each more tests than there
# are cores. What they run is compiled before, since a compiler beside them starves
# the servers that start. The cluster comes behind them, alone: a node whose
# heartbeat is late counts as lost. The first part is shown as it goes, the second
# when it has ended.
#
#   scripts/testreal.sh            all parts
#   scripts/testreal.sh NAME…      some of: servers packages kube rights parity
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export REQUIRE_REAL=1
export MILLWRIGHT_CACHE=${MILLWRIGHT_CACHE:-$root/.cache}
cores=$(getconf _NPROCESSORS_ONLN)
beside=$((cores + 3))

logs=$(mktemp -d)
parts=()
pids=()
finish() {
	for pid in "${pids[@]}"; do kill -- "-$pid" 2>/dev/null; done
	rm -rf "$logs"
}
trap finish EXIT
trap 'exit 130' INT TERM

# part NAME FOLDER COMMAND… runs a command in a folder, in a process group of its
# own, beside the others.
part() {
	local name=$1 folder=$2
	shift 2
	case " ${wanted[*]} " in *" $name "*) ;; *) return ;; esac
	set -m
	(cd "$folder" && exec "$@") >"$logs/$name" 2>&1 </dev/null &
	set +m
	parts+=("$name")
	pids+=("$!")
}

# show prints the parts that run, and waits for them.
show() {
	local i name shown ended
	for i in "${!parts[@]}"; do
		name=${parts[$i]}
		printf '\n== %s\n' "$name"
		if [ "$i" -eq 0 ]; then
			tail -n +1 -f --pid="${pids[$i]}" -s 0.2 "$logs/$name" &
			shown=$!
			wait "${pids[$i]}"
			ended=$?
			wait "$shown"
		else
			wait "${pids[$i]}"
			ended=$?
			cat "$logs/$name"
		fi
		printf '== %s: exit status %d after %d s\n' "$name" "$ended" "$SECONDS"
		if [ "$ended" -ne 0 ]; then status=1; fi
	done
	parts=()
	pids=()
}

status=0
wanted=("$@")
if [ $# -eq 0 ]; then wanted=(servers packages kube rights parity); fi

for module in . internal/inttest internal/kuberig internal/kuberig/parity; do
	(cd "$module" && go list -test -export -deps -f '{{.ImportPath}}' ./... >/dev/null) || exit 1
done
printf 'compiled after %d s\n' "$SECONDS"

part servers internal/inttest \
	go test -count=1 -timeout 40m -parallel "$beside" -v ./...
# shellcheck disable=SC2046 # a list of packages
part packages . \
	env MILLWRIGHT_PYTHON="$MILLWRIGHT_CACHE/venv/bin/python" \
	go test -count=1 -timeout 40m -parallel "$beside" $(
		grep -rlE 'REQUIRE_REAL|MILLWRIGHT_PYTHON|pgtest\.' --include='*_test.go' \
			--exclude-dir=.cache --exclude-dir=inttest --exclude-dir=kuberig . | xargs -n1 dirname | sort -u
	)
show
part kube internal/kuberig \
	go test -count=1 -timeout 30m -parallel "$beside" -skip '^TestRights' ./...
show
# These fill a cluster with the jobs of many accounts, so they have one to themselves.
part rights internal/kuberig \
	go test -count=1 -timeout 30m -parallel "$beside" -run '^TestRights' .
show
part parity internal/kuberig/parity \
	go test -count=1 ./...
show
exit "$status"
