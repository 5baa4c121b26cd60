package job

import (
	"os"
	"syscall"
)

// passedOn are the signals that must not end the process before the command: the console
// sends them to both.
var passedOn = []os.Signal{os.Interrupt, syscall.SIGTERM}

// fromTerminal is true of all that there are: none can be sent to another process.
func fromTerminal(os.Signal) bool { return true }

// maxRSS is not known here.
func maxRSS(*os.ProcessState) int64 { return 0 }

func attributes() *syscall.SysProcAttr { return nil }

func releaseCode() {}
