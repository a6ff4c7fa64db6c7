package main

import (
	"gvisor.dev/gvisor/runsc/cli"
	"gvisor.dev/gvisor/runsc/cmd"
	"gvisor.dev/gvisor/runsc/cmd/nvproxy"
	"gvisor.dev/gvisor/runsc/cmd/sentry/sentrycmd"
	"gvisor.dev/gvisor/runsc/cmd/util"
)

// runsc is gVisor's command line with the commands that an engine calls, and
// those by which gVisor calls itself. Checkpoints are left out: they would
// pull in 46 MB.
func runsc() {
	cli.Run(nil, map[util.SubCommand]string{
		new(cmd.Create):       "",
		new(cmd.Delete):       "",
		new(cmd.Exec):         "",
		new(cmd.Kill):         "",
		new(cmd.List):         "",
		new(cmd.PS):           "",
		new(cmd.Run):          "",
		new(cmd.Start):        "",
		new(cmd.State):        "",
		new(cmd.Wait):         "",
		new(nvproxy.Nvproxy):  "",
		new(sentrycmd.Boot):   "internal",
		new(cmd.Gofer):        "internal",
		new(sentrycmd.Umount): "internal",
	}, nil)
}
