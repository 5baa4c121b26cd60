// One step of a batch job, made with prometheus-cpp: push HOST PORT JOB push|add|delete
// It puts the grouping labels into the path as they are, and its Push adds while its PushAdd
// replaces: findings/prometheus-cpp-push-adds.sh.
#include <iostream>
#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gateway.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

using namespace prometheus;

static void Batch(Registry& registry) {
  BuildCounter().Name("client_runs_total").Help("Runs.").Register(registry).Add({}).Increment(3);
  BuildGauge().Name("client_room_celsius").Help("Rooms.").Register(registry).Add({{"room", "a \"b\" \\ c"}}).Set(21.5);
  auto& seconds = BuildHistogram().Name("client_seconds").Help("Duration.").Register(registry).Add({}, Histogram::BucketBoundaries{1, 5});
  seconds.Observe(0.5);
  seconds.Observe(3);
}

int main(int, char** argv) {
  const std::string host = argv[1], port = argv[2], job = argv[3], step = argv[4];
  auto registry = std::make_shared<Registry>();
  Gateway gateway(host, port, job, Gateway::GetInstanceLabel("host1"));
  gateway.RegisterCollectable(registry);
  int status = 0;
  if (step == "push") {
    Batch(*registry);
    status = gateway.PushAdd();  // PUT
  } else if (step == "add") {
    BuildGauge().Name("client_extra").Help("More.").Register(*registry).Add({}).Set(1);
    status = gateway.Push();  // POST
  } else {
    status = gateway.DeleteForInstance();
  }
  if (status / 100 != 2) {
    std::cerr << "answered " << status << std::endl;
    return 1;
  }
}
