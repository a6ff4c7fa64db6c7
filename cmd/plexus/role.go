package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/engine/local"
	"github.com/plexus-network/plexus/engine/remote"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/node"
	"github.com/plexus-network/plexus/p2p"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// A roleCmd is what the commands of single roles share.
type roleCmd struct {
	client
	o        node.RoleOptions
	from     string
	behalf   string
	netuid   uint16
	reach    string
	dialect  string
	keyEnv   string
	behave   string
	logLevel string

	accelerator string
	probeFrom   string // name of the key that rents a compute subnet's probes
	probeBudget coinValue
}

// newMinerCmd returns the command that serves a subnet.
func newMinerCmd() *cobra.Command {
	c := &roleCmd{}
	cmd := &cobra.Command{
		Use:   "miner",
		Short: "Serve a subnet as a miner",
		Long: `Serve a subnet, most of all one of kind text: answer validators and users with
the model that the subnet declares, and earn by it.

  plexus tx subnet register-neuron 1 --from alice --max-price 2plx
  plexus miner --from alice                               # the model that ships
  plexus miner --from alice --gguf model.gguf             # a model file
  plexus miner --from alice --gguf model.gguf \
      --backend http://127.0.0.1:8000/v1 --model NAME --dialect vllm

With a backend, vLLM or llama.cpp's server computes and the file only tells
tokens. Start vLLM with --max-logprobs 50. What would this machine earn, and
would it pass? plexus miner doctor says.

Subnets of the kinds embed and open are served alike. On one of kind compute the
account is a provider on the market (docs/compute-subnet.md). Any other kind is
served by a program of yours, see docs/mechanism.md:

  plexus miner --from alice --netuid 5 --program python3 --program stamp.py`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd, func() error { return node.RunMiner(cmd.Context(), c.o) })
		},
	}
	c.roleFlags(cmd)
	f := cmd.PersistentFlags()
	f.StringVar(&c.o.Model.Backend.URL, "backend", "", "URL of a server that computes, as http://127.0.0.1:8000/v1")
	f.StringVar(&c.o.Model.Backend.Model, "model", "", "the model's name at the backend")
	f.StringVar(&c.dialect, "dialect", "vllm", "of the backend: vllm or llamacpp")
	f.StringVar(&c.keyEnv, "backend-key-env", "", "environment variable that holds the backend's API key")
	cmd.Flags().StringVar(&c.behave, "behave", "", "cheat in this way, for tests: smaller-model, canned, copycat or silent")
	cmd.AddCommand(newMinerDoctorCmd(c))
	return cmd
}

// newValidatorCmd returns the command that judges a subnet.
func newValidatorCmd() *cobra.Command {
	c := &roleCmd{}
	cmd := &cobra.Command{
		Use:   "validator",
		Short: "Judge a subnet's miners, and serve users by them",
		Long: `Judge the miners of a subnet and set weights; with --http, on a subnet of the
kinds text and open, serve users by way of the best of them.

  plexus tx hotkey grant alice.validator --from alice
  plexus validator --from alice.validator --for alice --http 127.0.0.1:8080

The account must be a staking validator with a neuron on the subnet.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd, func() error { return node.RunValidator(cmd.Context(), c.o) })
		},
	}
	c.roleFlags(cmd)
	cmd.Flags().StringVar(&c.probeFrom, "probe-from", "", "name of the key that rents probes, on a compute subnet (default the key that signs)")
	cmd.Flags().StringVar(&c.o.Probes.Image, "probe-image", "", "image of the probe program by digest, on a compute subnet (default the subnet's)")
	cmd.Flags().BoolVar(&c.o.Probes.Quiet, "no-probe-reports", false, "do not report providers that are proven not to deliver to the market, which takes its report deposit, on a compute subnet")
	cmd.Flags().Var(&c.probeBudget, "probe-budget", "what probes may cost in an hour, on a compute subnet (default 1plx)")
	cmd.Flags().StringVar(&c.o.HTTP, "http", "", "address to serve users on (default none)")
	cmd.Flags().StringVar(&c.o.Gateway.DB, "gateway-db", "", "where keys, quotas and receipts are: a path or postgres://user@host/name (default gateway.db beside the neuron's state)")
	cmd.Flags().Int64Var(&c.o.Gateway.Anonymous, "anonymous", 20_000, "tokens per epoch for an address without a key; 0 serves nobody without one")
	cmd.Flags().Uint64Var((*uint64)(&c.o.Gateway.Price), "price", 0, "nplx for 1,000 prepaid tokens (default none are sold)")
	return cmd
}

// roleFlags adds the flags that all roles have.
func (c *roleCmd) roleFlags(cmd *cobra.Command) {
	c.flags(cmd)
	f := cmd.PersistentFlags()
	f.StringVar(&c.from, "from", "", "name of the key that signs: the account's own, or a hotkey (default from home)")
	f.StringVar(&c.behalf, "for", "", "coldkey, by name or address, that a hotkey acts for")
	f.Uint16Var(&c.netuid, "netuid", 1, "the subnet")
	f.Uint16Var(&c.o.Mechanism, "mechanism", 0, "of the subnet")
	f.StringVar(&c.o.Model.File, "gguf", "", "model file (default the model that ships, if the subnet declares it)")
	f.StringArrayVar(&c.o.Program.Command, "program", nil, "program that is a kind this one does not know; again for each argument")
	f.StringVar(&c.o.Program.URL, "program-url", "", "URL of a service that is such a kind")
	f.IntVar(&c.o.Threads, "threads", 0, "threads of the model engine (default cores − 1)")
	f.StringVar(&c.accelerator, "accelerator", "auto", "graphics processors' back end: a file, auto for the one that make accelerator left beside this program, or off")
	f.StringVar(&c.reach, "reach", "", "local, lan or public (default local beside a network of this machine, else public)")
	f.StringSliceVar(&c.o.Listen, "listen", nil, "multiaddresses to listen on (default any free port)")
	f.StringSliceVar(&c.o.Peers, "peers", nil, "multiaddresses of neurons to meet the network by (default from home)")
	f.StringVar(&c.logLevel, "log", "warn", "least level of the log on standard error")
}

// run fills the options in from flags and home, and calls role.
func (c *roleCmd) run(cmd *cobra.Command, role func() error) error {
	if err := c.prepare(cmd); err != nil {
		return err
	}
	chain, err := ledger.Dial(c.config.GRPC, ledger.Options{ChainID: c.config.ChainID, Log: c.o.Log})
	if err != nil {
		return err
	}
	defer shut(chain)
	c.o.Chain = chain
	return c.hint(role())
}

// prepare fills in all options but the chain.
func (c *roleCmd) prepare(cmd *cobra.Command) error {
	ring, err := c.keys(cmd)
	if err != nil {
		return err
	}
	name := c.from
	if name == "" {
		name = c.config.Key
	}
	if name == "" {
		return errors.New("who is the neuron? Name its key with --from; plexus keys list shows them")
	}
	key, err := ring.Key(name)
	if err != nil {
		return err
	}
	if c.behalf, err = addressOf(ring, c.behalf); err != nil {
		return fmt.Errorf("--for: %w", err)
	}
	level := slog.LevelWarn
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return fmt.Errorf("--log %q: want debug, info, warn or error", c.logLevel)
	}
	o := &c.o
	o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	o.Home, o.Name, o.Netuid, o.Behave = c.home, name, yuma.Netuid(c.netuid), text.Behaviour(c.behave)
	o.Actor = ledger.Actor{Key: key, For: c.behalf}
	if o.Worker, err = workerCommand(); err != nil {
		return err
	}
	if c.probeFrom != "" {
		if o.Probes.Key, err = ring.Key(c.probeFrom); err != nil {
			return fmt.Errorf("--probe-from: %w", err)
		}
	}
	if c.probeBudget.amount != nil {
		o.Probes.Budget = *c.probeBudget.amount
	}
	start := time.Now()
	o.Say = func(what, how string) {
		fmt.Fprintf(cmd.OutOrStdout(), "  %5.1fs  %-8s %s\n", time.Since(start).Seconds(), what, how)
	}
	return errors.Join(c.network(), c.backend(), c.accelerate())
}

// accelerate reads what the flags say of graphics processors.
func (c *roleCmd) accelerate() (err error) {
	switch c.accelerator {
	case "off":
	case "auto":
		c.o.Accelerators, err = local.Accelerators()
	default:
		c.o.Accelerators = []string{c.accelerator}
	}
	return err
}

// network reads how to meet other neurons.
func (c *roleCmd) network() error {
	if len(c.o.Peers) == 0 {
		c.o.Peers = c.config.Peers
	}
	if c.reach == "" {
		c.reach = "public"
		if len(c.config.Peers) > 0 { // plexus up wrote them
			c.reach = "local"
		}
	}
	reaches := map[string]p2p.Reach{"local": p2p.Local, "lan": p2p.LAN, "public": p2p.Public}
	reach, ok := reaches[c.reach]
	if !ok {
		return fmt.Errorf("--reach %q: want local, lan or public", c.reach)
	}
	c.o.Reach = reach
	return nil
}

// backend reads what the flags say of a server.
func (c *roleCmd) backend() error {
	b := &c.o.Model.Backend
	if b.URL == "" {
		return nil
	}
	dialects := map[string]remote.Dialect{"vllm": remote.VLLM, "llamacpp": remote.LlamaCpp}
	dialect, ok := dialects[c.dialect]
	switch {
	case !ok:
		return fmt.Errorf("--dialect %q: want vllm or llamacpp; other servers do not tell the token ids that a miner must answer with", c.dialect)
	case b.Model == "":
		return errors.New("--backend needs --model, the model's name there")
	case c.o.Model.File == "":
		return errors.New("--backend needs --gguf, the declared model's file, for its tokenizer")
	}
	b.Dialect = dialect
	if c.keyEnv != "" {
		if b.Key = os.Getenv(c.keyEnv); b.Key == "" {
			return fmt.Errorf("--backend-key-env: the variable %s is empty", c.keyEnv)
		}
	}
	return nil
}
