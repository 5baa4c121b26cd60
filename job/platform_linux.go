package job

import "syscall"

// maxRSSUnit is what getrusage counts in.
const maxRSSUnit = 1024

// attributes makes SIGKILL to the process one to the command: nobody could pass it on.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
