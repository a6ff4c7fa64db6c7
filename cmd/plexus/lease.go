package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/provider/api"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
	"github.com/plexus-network/plexus/tenant"
)

// A lessee looks into what runs of a deployment.
type lessee struct {
	renter
	gseq    uint32
	replica int  // of commands
	ended   bool // leases that have ended are meant
}

// newLeaseCmd returns the command that looks into running leases.
func newLeaseCmd() *cobra.Command {
	l := &lessee{}
	cmd := &cobra.Command{
		Use:   "lease",
		Short: "Look into what runs of a deployment of yours",
		Long: `Look into the leases of a deployment: how they stand, what they print, and a
shell inside.

  plexus lease status 1
  plexus lease logs 1 --service web --follow
  plexus lease shell 1 web
  plexus lease exec 1 web -- cat /etc/hostname`,
	}
	l.tenantFlags(cmd)
	cmd.PersistentFlags().Uint32Var(&l.gseq, "group", 0, "number of the group (default all, or the only one)")
	cmd.AddCommand(l.statusCmd(), l.logsCmd(), l.eventsCmd(), l.execCmd(), l.shellCmd(), l.migrateHostCmd(), l.migrateIPCmd())
	return cmd
}

// selected returns the leases of a deployment that the flags mean.
func (l *lessee) selected(ctx context.Context, dseq uint64) ([]market.Lease, error) {
	if !l.ended {
		return l.tenant.Group(ctx, dseq, l.gseq)
	}
	return l.tenant.Past(ctx, dseq, l.gseq)
}

// endedFlag has a command mean leases that have ended.
func (l *lessee) endedFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.ended, "ended", false, "of leases that have ended; providers keep it for some days")
}

// printLease shows a lease for people.
func printLease(out io.Writer, s tenant.Lease) {
	fmt.Fprintf(out, "Group %d at %s for %s per block\n", s.Name.GSeq, s.Provider, s.Price)
	if s.Error != "" {
		fmt.Fprintf(out, "  the provider does not say how it stands: %s\n", s.Error)
	}
	for _, service := range s.Services {
		fmt.Fprintf(out, "  %s: %d of %d run\n", service.Name, service.Running, service.Total)
		for _, url := range service.URLs {
			fmt.Fprintf(out, "    %s\n", url)
		}
		for _, p := range service.Ports {
			proto := "tcp"
			if p.UDP {
				proto = "udp"
			}
			fmt.Fprintf(out, "    port %d/%s is port %d of the provider's host\n", p.External, proto, p.Host)
		}
		for _, a := range service.Addresses {
			proto := "tcp"
			if a.UDP {
				proto = "udp"
			}
			fmt.Fprintf(out, "    port %d/%s of %s, the address of endpoint %s\n", a.Port, proto, a.IP, a.Endpoint)
		}
		for _, r := range service.Replicas {
			fmt.Fprintf(out, "    replica %d %s since %s, %s, %s, %s memory, %s disk %s\n", r.Number, r.State,
				r.Since.Local().Format(time.DateTime), tenant.Count(r.Restarts, "restart"), coreCount(uint64(max(r.Used.CPU, 0))),
				bytesize(uint64(max(r.Used.Memory, 0))), bytesize(uint64(max(r.Used.Disk, 0))), r.Reason)
		}
	}
}

func (l *lessee) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "status DSEQ",
		ValidArgsFunction: l.deployments,
		Short:             "Show how a deployment's leases stand, where they are reached, and how long the money lasts",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			return l.run(cmd, func(ctx context.Context) error {
				state, err := l.tenant.Look(ctx, dseq, l.gseq)
				if err != nil {
					return err
				}
				if asJSON(cmd) {
					return printJSON(cmd, state)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "Deployment %d. Escrow: %v.\n", dseq, state.Runway)
				for _, s := range state.Leases {
					printLease(cmd.OutOrStdout(), s)
				}
				return nil
			})
		},
	}
}

func (l *lessee) logsCmd() *cobra.Command {
	var o sandbox.LogOptions
	var since time.Duration
	var which api.Selection
	cmd := &cobra.Command{
		Use:               "logs DSEQ",
		ValidArgsFunction: l.deployments,
		Short:             "Show what replicas print",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			if which.Replica >= 0 && which.Service == "" {
				return fmt.Errorf("--replica %d: of which service? Name it with --service", which.Replica)
			}
			if since > 0 {
				o.Since = time.Now().Add(-since)
			}
			return l.run(cmd, func(ctx context.Context) error {
				return l.each(ctx, dseq, func(p *api.Client, id market.BidID) error {
					return show(cmd, p.Logs(ctx, id, which, o), func(line api.LogLine) string {
						return fmt.Sprintf("%s/%d %s", line.Service, line.Replica, line.Text)
					})
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&which.Service, "service", "", "of this service alone")
	f.IntVar(&which.Replica, "replica", -1, "of this replica of the service alone")
	f.BoolVarP(&o.Follow, "follow", "f", false, "go on until they end")
	f.IntVar(&o.Tail, "tail", 0, "the last lines of each replica alone")
	f.DurationVar(&since, "since", 0, "lines no older than this")
	f.BoolVar(&which.Previous, "previous", false, "what replicas printed before they were started last")
	l.endedFlag(cmd)
	return cmd
}

func (l *lessee) eventsCmd() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:               "events DSEQ",
		ValidArgsFunction: l.deployments,
		Short:             "Show what happened to leases: images fetched, replicas started and ended, and why",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dseq, err := dseqArg(args[0])
			if err != nil {
				return err
			}
			return l.run(cmd, func(ctx context.Context) error {
				return l.each(ctx, dseq, func(p *api.Client, id market.BidID) error {
					return show(cmd, p.Events(ctx, id, follow), func(e lease.Event) string {
						return e.Time.Local().Format(time.DateTime) + " " + said(e)
					})
				})
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as they happen")
	l.endedFlag(cmd)
	return cmd
}

// said is an event for people. Those of a lease as a whole have no place.
func said(e lease.Event) string {
	return strings.TrimLeft(fmt.Sprintf("%s %s: %s", e.Where, e.Kind, e.Text), " ")
}

// each calls do for each lease that the flags mean, at the same time, so that
// one that is followed does not keep the others waiting.
func (l *lessee) each(ctx context.Context, dseq uint64, do func(*api.Client, market.BidID) error) error {
	all, err := l.selected(ctx, dseq)
	if err != nil {
		return err
	}
	ended := make(chan error, len(all))
	for _, one := range all {
		p, err := l.tenant.Provider(ctx, one.ID.Provider)
		if err != nil {
			return err
		}
		go func() { ended <- do(p, one.ID) }()
	}
	var bad []error
	for range all {
		bad = append(bad, <-ended)
	}
	return errors.Join(bad...)
}

// show prints objects as they come, in words or as JSON lines.
func show[T any](cmd *cobra.Command, all iter.Seq2[T, error], words func(T) string) error {
	for one, err := range all {
		if err != nil {
			return err
		}
		if asJSON(cmd) {
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(one); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(cmd.OutOrStdout(), words(one))
	}
	return nil
}

func (l *lessee) execCmd() *cobra.Command {
	var stdin bool
	cmd := &cobra.Command{
		Use:               "exec DSEQ SERVICE -- COMMAND...",
		ValidArgsFunction: l.deployments,
		Short:             "Run a command inside a replica, and end with its exit code",
		Args:              cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			x := sandbox.Exec{Args: args[2:], Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr()}
			if stdin {
				x.Stdin = cmd.InOrStdin()
			}
			return l.exec(cmd, args, x)
		},
	}
	cmd.Flags().IntVar(&l.replica, "replica", 0, "number of the replica")
	cmd.Flags().BoolVarP(&stdin, "stdin", "i", false, "pass standard input on")
	return cmd
}

func (l *lessee) shellCmd() *cobra.Command {
	var command string
	cmd := &cobra.Command{
		Use:               "shell DSEQ SERVICE",
		ValidArgsFunction: l.deployments,
		Short:             "Open a shell inside a replica, on this terminal",
		Args:              cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			restore, x, err := terminal(cmd)
			if err != nil {
				return err
			}
			defer restore()
			x.Args = strings.Fields(command)
			return l.exec(cmd, args, x)
		},
	}
	cmd.Flags().IntVar(&l.replica, "replica", 0, "number of the replica")
	cmd.Flags().StringVar(&command, "command", "/bin/sh", "the shell")
	return cmd
}

// terminal makes a command's input and output this terminal, raw until it is
// restored.
func terminal(cmd *cobra.Command) (restore func(), x sandbox.Exec, err error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return nil, x, errors.New("a shell needs a terminal; plexus lease exec runs a command without one")
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, x, err
	}
	sizes, changed := make(chan sandbox.Size, 1), make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for range changed {
			if w, h, err := term.GetSize(fd); err == nil {
				sizes <- sandbox.Size{Rows: uint16(h), Columns: uint16(w)}
			}
		}
	}()
	x = sandbox.Exec{TTY: true, Stdin: os.Stdin, Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(), Resize: sizes}
	if w, h, err := term.GetSize(fd); err == nil {
		x.Size = sandbox.Size{Rows: uint16(h), Columns: uint16(w)}
	}
	return func() {
		signal.Stop(changed)
		close(changed)
		_ = term.Restore(fd, before) // there is no other way to restore it
	}, x, nil
}

// exec runs a command in a replica of the service that args name.
func (l *lessee) exec(cmd *cobra.Command, args []string, x sandbox.Exec) error {
	dseq, err := dseqArg(args[0])
	if err != nil {
		return err
	}
	return l.run(cmd, func(ctx context.Context) error {
		id, p, err := l.tenant.Serving(ctx, dseq, l.gseq, args[1])
		if err != nil {
			return err
		}
		code, err := p.Exec(ctx, id, api.Selection{Service: args[1], Replica: l.replica}, x)
		if err == nil && code != 0 {
			err = exitCode(code)
		}
		return err
	})
}

// An exitCode is that of a tenant's command, with which this one ends too.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("the command ended with code %d", int(c)) }
