#!/bin/sh
# prometheus-cpp 1.0.1 (Debian's) has its methods the wrong way round: Push, whose namesakes in the clients for Go and
# Python replace a group with PUT, sends POST, and PushAdd sends PUT. So PushAdd takes away what the group had, with
# a 200 from Pushgateway (Debian's 1.5.1), and what Push no longer has stays for good.
. "$(dirname "$0")/lib.sh"
debian prometheus-pushgateway 1.5.1
debian prometheus-cpp-dev 1.0.1
base=http://127.0.0.1:$(port)
prometheus-pushgateway --web.listen-address="${base#http://}" >server.log 2>&1 &
pids="$pids $!"
ready "$base/-/ready"
cat >push.cpp <<'CPP'
#include <iostream>
#include <memory>
#include <string>

#include <prometheus/gateway.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

using namespace prometheus;

int main(int, char** argv) {
  auto registry = std::make_shared<Registry>();
  BuildGauge().Name(argv[3]).Help("One.").Register(*registry).Add({}).Set(1);
  Gateway gateway("127.0.0.1", argv[1], "job");
  gateway.RegisterCollectable(registry);
  std::cout << argv[2] << " " << argv[3] << " " << (argv[2] == std::string("Push") ? gateway.Push() : gateway.PushAdd()) << std::endl;
}
CPP
g++ -o push push.cpp -lprometheus-cpp-push -lprometheus-cpp-core
for step in 'Push first' 'Push second' 'PushAdd third'; do
	./push "${base##*:}" $step >>got
	curl -s "$base/metrics" | grep -E '^(first|second|third)\{' >>got
done
cat >want <<'WANT'
Push first 200
first{instance="",job="job"} 1
Push second 200
first{instance="",job="job"} 1
second{instance="",job="job"} 1
PushAdd third 200
third{instance="",job="job"} 1
WANT
same
