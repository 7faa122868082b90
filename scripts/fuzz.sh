#!/usr/bin/env bash
# Runs every fuzz test of the module for the given time (default 30s) each.
set -euo pipefail
cd "$(dirname "$0")/.."
fuzztime=${1:-30s}

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./... | while read -r dir; do
	# go test -list would build each package; the names are in the files.
	grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | awk '{print $2}' | while read -r name; do
		echo "== ${dir#"$PWD"/} $name"
		go test -run '^$' -fuzz "^$name\$" -fuzztime "$fuzztime" "$dir"
	done
done
