# One attempt of a job, in a session and process group of its own. It needs a
# POSIX shell's builtins, and tools by their absolute paths, so that no PATH
# that the job is given can break it.
d=$1 attempt=$2 nodes=$3 procs=$4 launch=$5 deadline=$6 grace=$7 infra=$8 user=$9
shift 9
codes=$1 sleep=$2 setsid=$3 flock=$4 locks=$5 master=$6 gpus=$7 each=$8 memory=$9
shift 9
cpu=$1 data=$2
shift 2
a=$d/$attempt

# Handlers, not "ignore": the command must not inherit them.
trap : HUP INT QUIT TERM USR1 USR2
boot= stat=
read -r boot </proc/sys/kernel/random/boot_id
read -r stat </proc/$$/stat
# Exactly one supervisor gets past this line.
set -C
echo "$$ $boot
$stat
." >"$a.claim" || exit 1
set +C
# The attempt before waits for the end of this stream before it ends its group.
exec >/dev/null

for group in "$memory" "$cpu"; do
	[ -z "$group" ] || echo $$ >"$group/cgroup.procs"
done
[ "$data" -eq 0 ] || ulimit -d "$data"

asked() { [ -e "$d/cancel" ] || [ -e "$d/deadline" ] || [ -e "$a.suspend" ]; }

uptime() { # whole seconds, where /proc says; else the deadline begins anew
	now=0
	read -r now rest </proc/uptime
	now=${now%%.*}
}

oomkills() { # how often the kernel killed at the job's memory limit
	kills=0
	for f in "$memory/memory.events" "$memory/memory.oom_control"; do
		[ -n "$memory" ] && [ -r "$f" ] || continue
		while read -r key n; do
			[ "$key" = oom_kill ] && kills=$n
		done <"$f"
	done
}

finish() { # exit code, rank, command: records the end, and ends what is left
	next=end oom= kind=user
	oomkills
	[ "$1" -eq 0 ] || [ "$kills" -le "$before" ] || oom=" oom"
	case $1$oom in 129 | 130 | 137 | 143) kind=infra ;; esac
	case " $codes " in
	*" $1:retry "*) kind=infra ;;
	*" $1:fail "*) kind=none ;;
	esac
	if [ "$deadline" -gt 0 ] && [ "$1" -ne 0 ]; then
		uptime
		deadline=$((deadline - now + began))
		[ "$deadline" -gt 0 ] || echo >"$d/deadline"
	fi
	if [ -e "$d/cancel" ] || [ -e "$d/deadline" ]; then
		:
	elif [ -e "$a.suspend" ]; then
		next=suspend
	elif [ "$1" -ne 0 ] && [ $kind = infra ] && [ "$infra" -gt 0 ]; then
		next=infra infra=$((infra - 1))
	elif [ "$1" -ne 0 ] && [ $kind = user ] && [ "$user" -gt 0 ]; then
		next=user user=$((user - 1))
	fi
	set -C
	# One of several that want to says it; the others wait for their end. Where
	# nobody can, as when the disk is full or the folder gone, all end at once.
	echo "exit $1 $2 $next$oom" >"$a.exit" || {
		nap 1
		[ ! -s "$a.exit" ] || nap 60
		kill -KILL 0
	}
	set +C
	shift 2
	case $next$setsid in
	infra/* | user/*) # in a new session; it goes on here once that has its claim
		: "$("$setsid" /bin/sh "$d/supervisor.sh" "$d" $((attempt + 1)) "$nodes" "$procs" "$launch" \
			"$deadline" "$grace" "$infra" "$user" "$codes" "$sleep" "$setsid" "$flock" "$locks" "$master" \
			"$gpus" "$each" "$memory" "$cpu" "$data" "$@" </dev/null &)"
		;;
	esac
	kill -KILL 0
}

nap() { # seconds: a sleep that the group's signals do not end
	(
		trap '' HUP INT QUIT TERM USR1 USR2
		exec "$sleep" "$1"
	)
}

take() { # locks as many GPUs of one type as are needed, or none
	release
	last=
	for gpu in $gpus; do # "type:descriptor:uuid"
		type=${gpu%%:*} rest=${gpu#*:}
		[ "$type" = "$last" ] || release
		last=$type
		"$flock" -n "${rest%%:*}" || continue
		held="$held ${rest%%:*}" have="$have ${rest#*:}" got=$((got + 1))
		[ $got -lt $((each * nodes)) ] || return 0
	done
	release
	return 1
}

release() {
	for fd in $held; do "$flock" -u "$fd"; done
	held= have= got=0
}

share() { # node: its part of the GPUs
	part= k=0
	for gpu in $have; do
		[ $((k / each)) -ne "$1" ] || part="$part${part:+,}$gpu"
		k=$((k + 1))
	done
}

rank() { # number, command: one process
	i=$1
	shift
	MILLWRIGHT_ATTEMPT=$attempt
	export MILLWRIGHT_ATTEMPT
	case $launch in
	torchrun) PET_NODE_RANK=$((i / procs)) && export PET_NODE_RANK ;;
	*)
		RANK=$i LOCAL_RANK=$((i % procs)) GROUP_RANK=$((i / procs)) JAX_PROCESS_ID=$i
		export RANK LOCAL_RANK GROUP_RANK
		[ "$launch" != jax ] || export JAX_PROCESS_ID
		;;
	esac
	if [ "$each" -gt 0 ]; then
		share $((i / procs))
		CUDA_VISIBLE_DEVICES=$part
		export CUDA_VISIBLE_DEVICES
	fi
	/bin/sh -c 'echo $$ >"$0"; exec "$@"' "$a.$i.pid" "$@" >>"$a.$i.out" 2>>"$a.$i.err"
	code=$?
}

oomkills
before=$kills began=0 have= held= got=0
if [ "$each" -gt 0 ]; then
	# Who waits for GPUs waits in line.
	until asked || "$flock" "$master"; do "$sleep" 1; done
	until asked || take; do "$sleep" 1; done
	"$flock" -u "$master"
	for gpu in $have; do echo "${d##*/}" >"$locks/$gpu.job"; done
fi
asked && finish 143 0 "$@"

uptime
began=$now
echo "$have" >"$a.began"
if [ "$deadline" -gt 0 ]; then
	(
		trap '' HUP INT QUIT TERM USR1 USR2
		"$sleep" "$deadline" || exit
		echo >"$d/deadline"
		kill -TERM 0
		"$sleep" "$grace"
		finish 137 0
	) </dev/null &
fi
all=$((nodes * procs))
if [ "$all" -eq 1 ]; then
	rank 0 "$@"
	finish $code 0 "$@"
fi

# Several processes: the first to fail ends the others, as with torchrun.
pids= n=0
while [ $n -lt "$all" ]; do
	(
		trap : HUP INT QUIT TERM USR1 USR2
		rank $n "$@"
		echo "exit $code" >"$a.$n.exit"
		[ "$code" -ne 0 ] || exit 0
		set -C
		echo "$n $code" >"$a.failed" || exit 0
		set +C
		asked || kill -TERM 0
		(
			trap : HUP INT QUIT TERM USR1 USR2
			nap "$grace"
			finish "$code" "$n" "$@"
		) &
	) &
	pids="$pids $!" n=$((n + 1))
done
asked && kill -TERM 0
for pid in $pids; do
	while :; do # signals end a wait early
		wait "$pid"
		[ $? -ne 127 ] && kill -0 "$pid" || break
	done
done
who=0 code=0 n=0
while [ $n -lt "$all" ]; do
	[ -e "$a.$n.exit" ] || code=143 # ended before it began
	n=$((n + 1))
done
[ -e "$a.failed" ] && read -r who code <"$a.failed"
finish "$code" "$who" "$@"
