# One step of a batch job, made with Net::Prometheus: push.pl URL JOB push|add|delete
# It makes the text; sending it is left to who uses it.
use strict;
use warnings;
use HTTP::Tiny;
use MIME::Base64 qw(encode_base64url);
use Net::Prometheus;

my ($url, $job, $step) = @ARGV;
my $client = Net::Prometheus->new(disable_process_collector => 1, disable_perl_collector => 1);

sub batch {
    $client->new_counter(name => 'client_runs_total', help => 'Runs.')->inc(3);
    $client->new_gauge(name => 'client_room_celsius', help => 'Rooms.', labels => ['room'])->labels('a "b" \\ c')->set(21.5);
    my $seconds = $client->new_histogram(name => 'client_seconds', help => 'Duration.', buckets => [1, 5]);
    $seconds->observe(0.5);
    $seconds->observe(3);
}

my %methods = (push => 'PUT', add => 'POST', delete => 'DELETE');
batch() if $step eq 'push';
$client->new_gauge(name => 'client_extra', help => 'More.')->set(1) if $step eq 'add';
my $answer = HTTP::Tiny->new->request(
    $methods{$step}, "$url/metrics/job/$job/instance\@base64/" . encode_base64url('host/1'),
    { content => $step eq 'delete' ? '' : $client->render },
);
die "answered $answer->{status}: $answer->{content}\n" unless $answer->{success};
