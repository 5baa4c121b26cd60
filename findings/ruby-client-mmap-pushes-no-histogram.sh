#!/bin/sh
# prometheus-client-mmap 0.16.2 (Debian's, and the only Ruby client there) cannot push a registry that holds a
# histogram or a summary: the text is made before anything is sent, and making it fails with NoMethodError, as what it
# asks for count and quantiles is a plain Hash and a number. Counters and gauges are pushed.
. "$(dirname "$0")/lib.sh"
debian ruby-prometheus-client-mmap 0.16.2
cat >push.rb <<'RUBY'
require 'prometheus/client'
require 'prometheus/client/formats/text'

{ counter: :increment, gauge: :set, histogram: :observe, summary: :observe }.each do |type, change|
  registry = Prometheus::Client::Registry.new
  registry.send(type, :m, 'One.').send(change, {}, 1)
  begin
    puts "#{type}: #{Prometheus::Client::Formats::Text.marshal(registry).lines.last}"
  rescue NoMethodError => e
    puts "#{type}: #{e.message.lines.first}"
  end
end
RUBY
ruby push.rb >got
cat >want <<'WANT'
counter: m 1.0
gauge: m 1
histogram: undefined method `total' for {0.005=>0.0, 0.01=>0.0, 0.025=>0.0, 0.05=>0.0, 0.1=>0.0, 0.25=>0.0, 0.5=>0.0, 1=>1.0, 2.5=>1.0, 5=>1.0, 10=>1.0}:Hash
summary: undefined method `map' for 1.0:Float
WANT
same
