#!/bin/sh
# One step of a batch job, typed on a machine whose lines end with CR and LF: crlf.sh URL JOB push|add|delete
set -eu
group="$1/metrics/job/$2/instance@base64/aG9zdC8x"

send() {
	curl -sS --fail-with-body -X "$1" --data-binary @- "$group"
}

case "$3" in
push)
	send PUT <<'END'
# HELP client_runs_total Runs.
# TYPE client_runs_total counter
client_runs_total 3
# TYPE client_room_celsius gauge
client_room_celsius{room="a \"b\" \\ c"} 21.5
# TYPE client_seconds histogram
client_seconds_bucket{le="1"} 1
client_seconds_bucket{le="5"} 2
client_seconds_bucket{le="+Inf"} 2
client_seconds_sum 3.5
client_seconds_count 2
END
	;;
add)
	printf '# TYPE client_extra gauge\r\nclient_extra 1\r\n' | send POST
	;;
delete)
	curl -sS --fail-with-body -X DELETE "$group"
	;;
esac
