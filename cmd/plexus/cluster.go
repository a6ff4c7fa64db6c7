package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/plexus-network/plexus/provider"
	"github.com/plexus-network/plexus/provider/inventory"
	"github.com/plexus-network/plexus/provider/kubernetes"
)

// onCluster is the engine that runs containers in a Kubernetes cluster.
const onCluster = "kubernetes"

// clusterFlags say where that cluster is.
type clusterFlags struct {
	provider.Cluster
	from []string
}

func (c *clusterFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&c.Kubeconfig, "kubeconfig", "", "kubeconfig file of the cluster, for --engine kubernetes (default the cluster that this is a pod of)")
	f.StringVar(&c.Context, "kube-context", "", "context of --kubeconfig (default its current one)")
	f.StringVar(&c.RuntimeClass, "runtime-class", kubernetes.DefaultRuntimeClass, "RuntimeClass of tenants' pods; none leaves it to the cluster, without a sandbox as a rule")
	f.StringVar(&c.Namespace, "provider-namespace", "plexus", "the cluster's namespace of this provider's own pod, from which tenants are reached")
	f.StringArrayVar(&c.from, "ingress-from", nil, "network from which the ingress reaches tenants, if it is no pod, as 192.0.2.7/32; again for each")
}

// measure returns what there is to sell, and what of it is by default: of this
// machine, or of the cluster, whose machines keep their own part themselves.
func (s *seller) measure(ctx context.Context, account string) (all, sells inventory.Amounts, err error) {
	if s.c.Engine != onCluster {
		all, err = inventory.Machine(s.dir())
		return all, all.Sellable(), err
	}
	c := s.cluster.Cluster
	for _, text := range s.cluster.from {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return all, all, fmt.Errorf("--ingress-from %q: want a network, as 192.0.2.7/32", text)
		}
		c.From = append(c.From, p)
	}
	if c.Kubeconfig != "" {
		if c.Kubeconfig, err = filepath.Abs(c.Kubeconfig); err != nil {
			return all, all, err
		}
	}
	s.c.Cluster = &c
	e, err := openCluster(s.c, account)
	if err != nil {
		return all, all, err
	}
	defer shut(e)
	all, err = e.Capacity(ctx)
	return all, all, err
}

// openCluster opens the engine of a cluster for a provider's account.
func openCluster(c provider.Config, account string) (*kubernetes.Engine, error) {
	// The client's own log: tenants could fill it, and errors are returned too.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	if c.Cluster == nil {
		return nil, fmt.Errorf("the engine kubernetes has no cluster: plexus provider init --engine kubernetes names it")
	}
	reach, err := kubernetes.Config(c.Cluster.Kubeconfig, c.Cluster.Context)
	if err != nil {
		return nil, err
	}
	o := kubernetes.Options{
		Provider: account, Config: reach, RuntimeClass: c.Cluster.RuntimeClass, Classes: map[string]string{},
		Namespace: c.Cluster.Namespace, From: c.Cluster.From,
	}
	for name, class := range c.Classes {
		o.Classes[name] = class.StorageClass
	}
	return kubernetes.Open(o)
}
