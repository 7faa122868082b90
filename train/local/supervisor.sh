# Arguments: job folder, deadline and grace in seconds, path of sleep, command.
d=$1 deadline=$2 grace=$3 sleep=$4
shift 4
# Handlers, not "ignore": the command must not inherit them.
trap : HUP INT QUIT TERM USR1 USR2
boot= stat=
read -r boot </proc/sys/kernel/random/boot_id
read -r stat </proc/$$/stat
# Exactly one supervisor gets past this line.
set -C
echo "$$ $boot
$stat
." >"$d/claim" || exit 1
set +C
if [ "$deadline" -gt 0 ]; then
	(
		trap '' HUP INT QUIT TERM USR1 USR2
		"$sleep" "$deadline" || exit
		echo >"$d/deadline"
		kill -TERM 0
		"$sleep" "$grace"
		kill -KILL 0
	) </dev/null >/dev/null 3>&- &
fi
/bin/sh -c 'echo $$ >"$0"; exec "$@"' "$d/pid" "$@" 2>&3 3>&-
code=$?
# What the command left behind in its group ends with it, this shell too.
echo "exit $code" >"$d/exit" && kill -KILL 0
exit "$code"
