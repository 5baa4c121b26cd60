# One step of a batch job, made with prometheus-client-mmap: push.rb URL JOB push|add|delete
# It fails when it is to push a histogram: findings/ruby-client-mmap-pushes-no-histogram.sh.
require 'prometheus/client'
require 'prometheus/client/push'

url, job, step = ARGV
registry = Prometheus::Client::Registry.new
push = Prometheus::Client::Push.new(job: job, instance: 'host 1', gateway: url)

def batch(registry)
  registry.counter(:client_runs_total, 'Runs.').increment({}, 3)
  registry.gauge(:client_room_celsius, 'Rooms.').set({ room: 'a "b" \\ c' }, 21.5)
end

answer =
  case step
  when 'push'
    batch(registry)
    push.replace(registry)
  when 'add'
    registry.gauge(:client_extra, 'More.').set({}, 1)
    push.add(registry)
  when 'delete'
    push.delete
  end
abort "answered #{answer.code}: #{answer.body}" unless answer.is_a?(Net::HTTPSuccess)
