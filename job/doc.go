// Package job runs a command as if it stood there alone, and reports on it.
//
//	run.go      the command: its files, signals, end and exit code
//	signals.go  which signals are passed on
//	memory_linux.go  the program's own pages, given back while the command runs
//	room.go     stacks that need none of those pages to grow
//	metrics.go  what a run looks like as metrics
//	report.go   when they are pushed, and what becomes of those that cannot be
//
// # Promises
//
//  1. The command has the process's own files, environment, process group and terminal,
//     begins before anything is sent, and its exit code is what Run returns: 128 and the
//     number of the signal that it died of, 126 and 127 as a shell has them.
//  2. A signal to the process reaches the command. One that the process ignored when it
//     began, as under nohup, the command ignores too.
//  3. The gateway delays nothing while the command runs, and at most by the time that is
//     set for pushing after it has ended. A signal ends that too.
//  4. The time of the last success is only ever pushed by a success, as an addition to the
//     group: failures leave it as it was.
package job
