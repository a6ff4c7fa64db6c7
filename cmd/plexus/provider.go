package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/provider"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/gpu"
	"github.com/plexus-network/plexus/provider/gvisor"
	"github.com/plexus-network/plexus/provider/image"
	"github.com/plexus-network/plexus/provider/ingress"
	"github.com/plexus-network/plexus/provider/network"
	"github.com/plexus-network/plexus/provider/oci"
	"github.com/plexus-network/plexus/provider/price"
	"github.com/plexus-network/plexus/provider/runc"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// A seller sells this machine's compute.
type seller struct {
	client
	from     string
	c        provider.Config
	cluster  clusterFlags
	deposit  coinValue
	attrs    []string
	classes  []string
	prices   []string
	gpus     []string
	pool     []string
	offline  bool
	dryRun   bool
	logLevel string
	metrics  string
	webhooks []string
	proxies  []string
	kinds    []string // of alerts that they get
}

// newProviderCmd returns the command that sells compute.
func newProviderCmd() *cobra.Command {
	s := &seller{}
	cmd := &cobra.Command{
		Use:   "provider",
		Short: "Sell this machine's compute",
		Long: `Be a provider: bid on what tenants ask for, run their containers in a sandbox,
and be paid by the block.

  plexus provider init --from alice --host-uri https://compute.example.com:8443 --domain compute.example.com
  plexus provider run
  plexus provider status

It needs root, the programs nft and mkfs.ext4, and a Linux of these days; gVisor,
the sandbox, is part of a plexus that make warden build made. See docs/provide.md.`,
	}
	s.flags(cmd)
	cmd.AddCommand(s.initCmd(), s.runCmd(), s.statusCmd(), s.webhookCmd())
	return cmd
}

// dir is the provider's folder.
func (s *seller) dir() string { return filepath.Join(s.home, "provider") }

func (s *seller) runCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Provide: bid, run what is leased, and take the pay",
		Long: `Run provides until it is interrupted. What tenants run, runs on then, and when
this machine's plexus is upgraded or killed; started again, it takes up what is
there. With --dry-run it says what it would bid, and sends nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.hint(s.run(cmd)) },
	}
	cmd.Flags().BoolVar(&s.dryRun, "dry-run", false, "decide on bids, and send none")
	cmd.Flags().StringVar(&s.metrics, "metrics", "", "address on which Prometheus is answered, as 127.0.0.1:9468 (default none)")
	cmd.Flags().StringVar(&s.logLevel, "log", "info", "least level of the log on standard error")
	return cmd
}

func (s *seller) run(cmd *cobra.Command) error {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return fmt.Errorf("--log %q: want debug, info, warn or error", s.logLevel)
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	c, certificate, err := s.configured()
	if err != nil {
		return err
	}
	ring, err := s.keys(cmd)
	if err != nil {
		return err
	}
	key, err := ring.Key(c.Key)
	if err != nil {
		return err
	}
	chain, err := ledger.Dial(s.config.GRPC, ledger.Options{ChainID: s.config.ChainID, Log: log})
	if err != nil {
		return err
	}
	defer shut(chain)
	o := s.options(c, certificate, provider.Ledger{Client: chain, Actor: ledger.Actor{Key: key}}, log)
	images, err := image.Open(filepath.Join(s.dir(), "images"), image.Options{Private: c.Private, Bare: c.Engine == onCluster})
	if err != nil {
		return err
	}
	engine, err := openEngine(c, s.dir(), o.Account)
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return fmt.Errorf("%w: run it as root, or with --engine kubernetes", err)
	}
	if err != nil {
		return err
	}
	defer shut(engine)
	o.Engine, o.Images = engine, images
	d, err := provider.New(o)
	if err != nil {
		return err
	}
	return d.Run(cmd.Context())
}

// options are what the configuration and the flags say of the daemon, but for
// what runs containers.
func (s *seller) options(c provider.Config, certificate tls.Certificate, chain provider.Ledger, log *slog.Logger) provider.Options {
	o := provider.Options{
		Dir: s.dir(), Account: chain.Actor.Account(), Chain: chain,
		API: c.Listen, Certificate: certificate, Ingress: c.Ingress, Domain: c.Domain, IngressURL: c.IngressURL, Ports: c.Ports,
		IngressTLS: c.IngressTLS, TLSFile: c.TLSFile, TLSKey: c.TLSKey, ACME: c.ACME, Redirect: c.Redirect,
		Proxies: c.Proxies, Limits: ingress.Limits{PerAddress: c.PerAddress, PerLease: c.PerLease},
		Metrics: s.metrics, Webhooks: c.Webhooks,
		Prices: c.Prices, Capacity: c.Capacity(), GPUs: c.Devices(), Addresses: c.IPPool, DryRun: s.dryRun, Log: log,
	}
	if len(c.PriceScript) > 0 {
		o.Prices = price.NewScript(c.PriceScript, 0)
	}
	return o
}

// configured reads the provider's configuration and certificate.
func (s *seller) configured() (provider.Config, tls.Certificate, error) {
	c, err := provider.ReadConfig(s.dir())
	if errors.Is(err, fs.ErrNotExist) {
		return c, tls.Certificate{}, fmt.Errorf("%s is no provider yet: plexus provider init makes it one", s.home)
	}
	if err != nil {
		return c, tls.Certificate{}, err
	}
	certificate, _, err := provider.Certificate(s.dir())
	return c, certificate, err
}

// A runner runs containers, and runs them on when it is closed.
type runner interface {
	sandbox.Engine
	Close() error
}

// openEngine opens what runs containers for a provider's account.
func openEngine(c provider.Config, dir, account string) (runner, error) {
	if c.Engine == onCluster {
		return openCluster(c, account)
	}
	return openMachine(c, dir)
}

// openMachine opens what runs containers on this machine.
func openMachine(c provider.Config, dir string) (*oci.Engine, error) {
	dir, err := filepath.Abs(filepath.Join(dir, "engine"))
	if err != nil {
		return nil, err
	}
	o := oci.Options{Dir: dir, Classes: map[string]string{}, Network: network.Options{Addresses: c.IPPool, Interface: c.IPLink, Outgoing: c.IPOut}}
	for name, class := range c.Classes {
		o.Classes[name] = class.Dir
	}
	if len(c.GPUs) > 0 {
		version, err := gpu.Driver("/")
		if err != nil {
			return nil, err
		}
		o.GPUs = &gpu.Kit{Devices: c.Devices(), Driver: version, Unsupported: c.Unknown}
	}
	if c.Engine == "gvisor" {
		return gvisor.Open(o)
	}
	warden, err := gvisor.Unpack(filepath.Join(dir, "warden"))
	if err != nil {
		return nil, err
	}
	o.Shim = gvisor.Shim(warden)
	return runc.Open(o)
}

func (s *seller) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how this machine's provider stands: what is free, what is used, and whether it bids",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := s.configured()
			if err != nil {
				return err
			}
			_, pin, err := provider.Certificate(s.dir())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Second)
			defer cancel()
			status, err := api.NewClient("https://"+here(c.Listen), pin, "").Status(ctx)
			if err != nil {
				return fmt.Errorf("%w; does it run? plexus provider run starts it", err)
			}
			if asJSON(cmd) {
				return printJSON(cmd, status)
			}
			printProviderStatus(cmd, status)
			return nil
		},
	}
}

// here is the address by which this machine reaches what listens on one.
func here(listen string) string {
	return strings.NewReplacer("0.0.0.0:", "127.0.0.1:", "[::]:", "127.0.0.1:").Replace(listen)
}

func printProviderStatus(cmd *cobra.Command, s api.Status) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Provider %s on %s, at block %d\n", s.Provider, s.Engine, s.Height)
	if s.Bidding {
		fmt.Fprintf(out, "It bids. Open bids: %d, leases: %d.\n", s.Bids, s.Leases)
	} else {
		fmt.Fprintf(out, "It does not bid: %s. Leases: %d.\n", s.Reason, s.Leases)
	}
	for _, limit := range s.Missing {
		fmt.Fprintf(out, "This machine cannot hold a limit: %s\n", limit)
	}
	printUse(out, s)
}
