// One step of a batch job, made with prom-client: push.js URL JOB push|add|delete
// It cannot push a grouping label with a slash, which the other clients encode.
const client = require('prom-client');

const [url, jobName, step] = process.argv.slice(2);
const registry = new client.Registry();
const options = { jobName, groupings: { instance: 'host 1' } };
const gateway = new client.Pushgateway(url, { timeout: 5000 }, registry);

function batch() {
  new client.Counter({ name: 'client_runs_total', help: 'Runs.', registers: [registry] }).inc(3);
  new client.Gauge({ name: 'client_room_celsius', help: 'Rooms.', labelNames: ['room'], registers: [registry] }).set({ room: 'a "b" \\ c' }, 21.5);
  const seconds = new client.Histogram({ name: 'client_seconds', help: 'Duration.', buckets: [1, 5], registers: [registry] });
  seconds.observe(0.5);
  seconds.observe(3);
}

function extra() {
  new client.Gauge({ name: 'client_extra', help: 'More.', registers: [registry] }).set(1);
}

async function run() {
  switch (step) {
    case 'push':
      batch();
      return gateway.push(options);
    case 'add':
      extra();
      return gateway.pushAdd(options);
    case 'delete':
      return gateway.delete(options);
  }
  throw new Error(`unknown step ${step}`);
}

run().then(
  ({ resp }) => {
    if (resp.statusCode >= 300) {
      throw new Error(`answered ${resp.statusCode}`);
    }
    console.log('done');
    process.exit(0);
  },
).catch((err) => {
  console.error(err);
  process.exit(1);
});
