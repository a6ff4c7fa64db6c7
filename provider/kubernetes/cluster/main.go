// Command cluster is a Kubernetes control plane in one program: the store, the
// API server, the scheduler and the controllers, chosen by the first argument.
//
// It is for the tests of package kubernetes (make test-kubernetes), which need
// the real answers of a real API server. It is a module of its own, so that
// nobody who builds Plexus compiles Kubernetes.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	commands := map[string]func() *cobra.Command{
		"apiserver":   apiserver.NewAPIServerCommand,
		"scheduler":   func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"controllers": controllers.NewControllerManagerCommand,
	}
	if len(os.Args) < 2 {
		os.Args = append(os.Args, "")
	}
	part := os.Args[1]
	if part == "etcd" {
		etcdmain.Main(append([]string{part}, os.Args[2:]...))
		return
	}
	command, ok := commands[part]
	if !ok {
		fmt.Fprintf(os.Stderr, "cluster: %q is no part of a cluster: want etcd, apiserver, scheduler or controllers\n", part)
		os.Exit(2)
	}
	cmd := command()
	cmd.SetArgs(os.Args[2:])
	os.Exit(cli.Run(cmd))
}
