# Sessions that hold and wait, and that know no way to connect again. Usage: perl sessions.pl SOCKET COUNT
#
# The first half of them holds a lock each, and each of the others waits for one of these locks. Then this prints "ready", and
# answers each line of standard input with one line:
#   check    "same" if all sessions answer, none has got anything else, and all locks are as they were
#   release  "granted N" after all holders have released their locks, and N sessions have got theirs
#   end      "ended N" after N sessions have seen their ends
#   time     "begun" after one session has got an answer. It asks again and again until the next line comes, whatever that is;
#            then comes "longest N ms", the longest time that one answer has taken

use strict;
use warnings;
use IO::Select;
use IO::Socket::UNIX;
use Time::HiRes qw(time);

$| = 1;
my ($path, $count) = @ARGV;
my $half = $count / 2;
my @sessions;

sub begin {
    my $socket = IO::Socket::UNIX->new(Peer => $path) // die("$path: $!\n");
    return {socket => $socket, bytes => '', position => 0, received => 0};
}

sub say_line { my ($session, $line) = @_; syswrite($session->{socket}, "$line\n") // die("a session has ended: $!\n") }

# The next line; undef at the end. Passes over what comes again after a kill.
sub hear {
    my ($session) = @_;
    while (1) {
        while ($session->{bytes} !~ /\n/) {
            return undef unless sysread($session->{socket}, $session->{bytes}, 4096, length $session->{bytes});
        }
        $session->{bytes} =~ s/^(.*)\n//;
        my $line = $1;
        if ($line =~ /^! RESUMED from=(\d+)$/) {
            $session->{position} = $1;
            next;
        }
        $session->{position} += 1 + length $line;
        next if $session->{position} <= $session->{received};
        $session->{received} = $session->{position};
        return $line;
    }
}

# What STATUS shows of all locks, without the times that pass.
sub locks {
    my $asker = begin();
    my @lines;
    for my $number (0 .. $half - 1) {
        say_line($asker, "STATUS job/$number");
        do {
            push @lines, hear($asker) // die("a query got no answer\n");
            $lines[-1] =~ s/\b(age|waited)=\S+/$1=?/g;
        } until $lines[-1] =~ /^END /;
    }
    return join "\n", @lines;
}

sub longest_answer {
    my ($session, $longest, $input) = ($sessions[-1], 0, IO::Select->new(\*STDIN));
    for (my $count = 0; not $input->can_read(0.001); $count++) {
        my $begin = time;
        say_line($session, '#time PING');
        my $line = hear($session) // die("a session has ended\n");
        die("a session got: $line\n") if $line ne '#time PONG';
        $longest = time - $begin if time - $begin > $longest;
        print "begun\n" if $count == 0;
    }
    <STDIN>;
    return int(1000 * $longest + 0.5);
}

# No order takes longer.
alarm 120;
@sessions = map { begin() } 1 .. $count;
my @holders = @sessions[0 .. $half - 1];
my @waiters = @sessions[$half .. $count - 1];
for my $number (0 .. $half - 1) {
    say_line($holders[$number], "WRITE job/$number note=holder-$number");
    die("no grant\n") unless hear($holders[$number]) =~ /^GRANTED /;
    say_line($waiters[$number], "WRITE job/$number wait=600s owner=waiter-$number");
}
my $before = '';

sub check {
    say_line($_, '#check PING') for @sessions;
    for my $session (@sessions) {
        my $line = hear($session) // return 'a session has ended';
        return "a session got: $line" if $line ne '#check PONG';
    }
    my $now = locks();
    $before = $now if $before eq '';
    return $now eq $before ? 'same' : "the locks have changed";
}

die("not all hold or wait\n") unless check() eq 'same' && (() = $before =~ /^[*] waiter /mg) == $half;
print "ready\n";
while (my $order = <STDIN>) {
    chomp $order;
    alarm 120;
    if ($order eq 'check') {
        print check(), "\n";
    } elsif ($order eq 'release') {
        say_line($_, 'RELEASE job/' . $_->{number}) for map { $holders[$_]{number} = $_; $holders[$_] } 0 .. $half - 1;
        for my $holder (@holders) { die("no release\n") unless (hear($holder) // '') =~ /^RELEASED /; }
        print 'granted ', scalar(grep { (hear($_) // '') =~ /^GRANTED / } @waiters), "\n";
    } elsif ($order eq 'end') {
        for my $session (@sessions) { 1 while defined hear($session); }
        print "ended $count\n";
    } elsif ($order eq 'time') {
        print 'longest ', longest_answer(), " ms\n";
    }
}
