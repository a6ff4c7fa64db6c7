package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/node"
	"github.com/plexus-network/plexus/subnet/text"
	"github.com/plexus-network/plexus/yuma"
)

// newUpCmd returns the command that runs a whole network on this machine.
func newUpCmd() *cobra.Command {
	var (
		o        node.UpOptions
		cheats   []string
		accounts []string
		tempo    uint64
		logLevel string
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole network on this machine, with a chat page",
		Long: `Run a whole network in one process: a BFT chain, miners that serve the model
which ships with Plexus, some that cheat, validators that catch them, and a
gateway in OpenAI's dialect with a chat page.

The network lives in the home folder and goes on where it was when you run the
command again. Flags that shape it (--validators, --miners, --cheats,
--block-time, --tempo) count when the folder holds none yet, and so does
--account, which makes a key with coins to try things with:

  plexus up --account alice=100plx --account bob=100plx`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if err := level.UnmarshalText([]byte(logLevel)); err != nil {
				return fmt.Errorf("--log %q: want debug, info, warn or error", logLevel)
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			o.Tempo = yuma.Blocks(tempo)
			var err error
			if o.Worker, err = workerCommand(); err != nil {
				return err
			}
			for _, c := range cheats {
				if c != "none" {
					o.Cheats = append(o.Cheats, text.Behaviour(c))
				}
			}
			if o.Accounts, err = namedAmounts(accounts); err != nil {
				return err
			}
			p := &progress{out: cmd.OutOrStdout(), start: time.Now(), home: o.Home}
			o.Say = p.say
			return node.Up(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Home, "home", defaultHome(), "folder of the network, also $PLEXUS_HOME")
	f.StringVar(&o.HTTP, "http", "127.0.0.1:8080", "address of the gateway and the chat page")
	f.StringVar(&o.GatewayDB, "gateway-db", "", "where keys, quotas and receipts are: a path or postgres://user@host/name (default gateway.db in home)")
	f.StringVar(&o.GRPC, "grpc", "127.0.0.1:9090", "gRPC address of the first node")
	f.StringVar(&o.RPC, "rpc", "127.0.0.1:26657", "RPC address of the first node")
	f.StringVar(&o.REST, "rest", "127.0.0.1:1317", "REST address of the first node")
	f.IntVar(&o.Validators, "validators", 4, "validators, each with a node of its own")
	f.IntVar(&o.Miners, "miners", 3, "honest miners")
	f.StringSliceVar(&cheats, "cheats", []string{
		string(text.SmallerModel), string(text.Canned), string(text.Copycat), string(text.Silent),
	}, "further miners by the way they cheat, or none")
	f.StringArrayVar(&accounts, "account", nil, "NAME=AMOUNT: a key with coins from the start, as alice=100plx; again for each")
	f.DurationVar(&o.BlockTime, "block-time", time.Second, "time between blocks")
	f.Uint64Var(&tempo, "tempo", 20, "blocks between epochs")
	f.IntVar(&o.Threads, "threads", 0, "threads of the model engine (default: cores − 1)")
	f.StringVar(&logLevel, "log", "warn", "least level of the log on standard error")
	return cmd
}

// namedAmounts reads NAME=AMOUNT, for each.
func namedAmounts(texts []string) (map[string]coin.Amount, error) {
	all := map[string]coin.Amount{}
	for _, text := range texts {
		name, amount, _ := strings.Cut(text, "=")
		coins, err := coin.Parse(amount)
		if err != nil || name == "" {
			return nil, fmt.Errorf("--account %q: want the name of a key, = and an amount, as alice=100plx", text)
		}
		all[name] = coins
	}
	return all, nil
}

// progress tells a person what has come up.
type progress struct {
	out   io.Writer
	start time.Time
	home  string

	mu   sync.Mutex
	told bool
}

func (p *progress) say(what, how string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.told {
		p.told = true
		fmt.Fprintf(p.out, "plexus up, in %s\n", p.home)
	}
	fmt.Fprintf(p.out, "  %5.1fs  %-8s %s\n", time.Since(p.start).Seconds(), what, how)
	if what != "gateway" {
		return
	}
	program := os.Args[0]
	if p.home != defaultHome() {
		program = "PLEXUS_HOME=" + p.home + " " + program
	}
	fmt.Fprint(p.out, strings.Join([]string{
		"",
		"  Chat    " + how,
		"  Ask     curl " + how + "/v1/chat/completions -H 'content-type: application/json' \\",
		`            -d '{"model":"plexus-4m","messages":[{"role":"user","content":"What is a validator?"}]}'`,
		"  Watch   " + program + " query subnet metagraph 1",
		"  Stop    Ctrl-C; what happened is kept",
		"", "",
	}, "\n"))
}
