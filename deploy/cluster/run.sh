#!/bin/sh
# Three NATS servers and three replicas of pushbridge on loopback, to look at: make cluster. Ends with
# Ctrl-C, and leaves nothing behind. PUSHBRIDGE and NATS_SERVER name the binaries; what is
# behind the command goes to each replica, such as --remote-write.url=http://localhost:9099/api/v1/write.
set -eu
: "${PUSHBRIDGE:?names the binary of pushbridge}" "${NATS_SERVER:?names the binary of nats-server}"
dir=$(mktemp -d)
trap 'trap - EXIT INT TERM; kill $pids 2>/dev/null; wait; rm -rf "$dir"; exit 0' EXIT INT TERM
pids=
for i in 1 2 3; do
	cat >"$dir/nats$i.conf" <<CONF
server_name: n$i
listen: 127.0.0.1:1422$i
jetstream { store_dir: "$dir/nats$i", sync_interval: always }
cluster { name: pushbridge, listen: "127.0.0.1:1622$i", routes: ["nats://127.0.0.1:16221", "nats://127.0.0.1:16222", "nats://127.0.0.1:16223"] }
CONF
	"$NATS_SERVER" -c "$dir/nats$i.conf" >"$dir/nats$i.log" 2>&1 &
	pids="$pids $!"
done
# A start asks for a minute until the servers have found each other.
for i in 1 2 3; do
	"$PUSHBRIDGE" --web.listen-address=127.0.0.1:909$i --replica.id=replica$i --replica.advertise-url=http://127.0.0.1:909$i --web.enable-lifecycle --storage.nats-url=nats://127.0.0.1:14221 \
		--storage.nats-url=nats://127.0.0.1:14222 --storage.nats-url=nats://127.0.0.1:14223 "$@" &
	pids="$pids $!"
done
echo "replicas: http://localhost:9091 http://localhost:9092 http://localhost:9093; /api/v1/replicas says who leads"
wait
