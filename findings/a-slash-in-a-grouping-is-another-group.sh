#!/bin/sh
# prom-client 15.1.3 (Node) escapes a slash in a grouping label as %2F, and Pushgateway (Debian's 1.5.1) takes the path
# apart after decoding it. Of the value a/b/c the first part is the label, and the rest makes
# another one: 200, and the metrics lie in a group that nobody meant. /srv is worse: a redirect to the
# cleaned path, which the client takes for a success, and nothing is pushed. Only a/b is an
# error. The clients for Go and Python send LABEL@base64 instead.
. "$(dirname "$0")/lib.sh"
debian prometheus-pushgateway 1.5.1
base=http://127.0.0.1:$(port)
prometheus-pushgateway --web.listen-address="${base#http://}" >server.log 2>&1 &
pids="$pids $!"
ready "$base/-/ready"
npm init -y >npm.log 2>&1
npm install --no-audit --no-fund prom-client@15.1.3 >>npm.log 2>&1 || { cat npm.log >&2; exit 1; }
cat >push.js <<'JS'
const client = require('prom-client');
new client.Gauge({ name: 'm', help: 'One.' }).set(1);
const gateway = new client.Pushgateway(process.argv[2]);
async function push(path) {
  const { resp } = await gateway.push({ jobName: 'backup', groupings: { path } });
  return resp.statusCode;
}
(async () => {
  for (const path of ['a/b', '/srv', 'a/b/c']) {
    console.log(path, await push(path).catch((err) => err.message.split('\n')[0]));
  }
})();
JS
node push.js "$base" >got
curl -s "$base/metrics" | grep '^m{' >>got
cat >want <<'WANT'
a/b push failed with status 400, odd number of components in label string "/path/a/b"
/srv 301
a/b/c 200
m{b="c",instance="",job="backup",path="a"} 1
WANT
same
