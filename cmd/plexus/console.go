package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/console"
	"github.com/plexus-network/plexus/web"
)

// newConsoleCmd returns the command that serves the tenant's desk to a browser.
func newConsoleCmd() *cobra.Command {
	var (
		r      renter
		listen string
		hosts  []string
	)
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Rent and look after compute in a browser",
		Long: `Serve a web console on this machine: providers and what they ask for, an editor
for SDL files, deployments, their logs, events and shells, and how long the money
lasts. What you do there is signed with the key that --from names, so the console
listens on loopback alone, and only to who opens the link that it prints.

  plexus console --from bob
  plexus console --from bob --listen 127.0.0.1:8091

To listen elsewhere, name each host by which it may be called with --host. The
link opens your purse and nothing is encrypted on the way, so put TLS in front.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, called, err := consoleListener(listen, hosts)
			if err != nil {
				return err
			}
			defer shut(l)
			return r.run(cmd, func(ctx context.Context) error { return r.console(ctx, cmd, l, called) })
		},
	}
	r.tenantFlags(cmd)
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "address to listen on")
	cmd.Flags().StringSliceVar(&hosts, "host", nil, "further host, with its port, by which browsers may call it")
	return cmd
}

// console serves the desk of the tenant until ctx ends.
func (r *renter) console(ctx context.Context, cmd *cobra.Command, l net.Listener, hosts []string) error {
	page, err := web.Handler()
	if err != nil {
		return err
	}
	token := rand.Text()
	c, err := console.New(console.Options{
		Tenant: r.tenant, Chain: r.chain, Token: token, Hosts: hosts, Name: r.name, Page: page,
		Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The console of %s, until Ctrl-C. Open\n  http://%s/#/console?token=%s\nWhoever has this link can spend what the key can.\n", r.name, hosts[0], token)
	return c.Run(ctx, l)
}

// consoleListener opens an address, and returns by which hosts it may be
// called: those of loopback, if it is there, and those that were named.
func consoleListener(address string, named []string) (net.Listener, []string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nil, fmt.Errorf("--listen %q: %w; want an address such as 127.0.0.1:8090", address, err)
	}
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	if !local && len(named) == 0 {
		return nil, nil, fmt.Errorf("--listen %s is not loopback, and who reaches the console can spend: name by --host how browsers may call it, if you mean that", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("--listen: %w (choose another address)", err)
	}
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil, nil, errors.Join(errors.New("--listen: no TCP"), l.Close())
	}
	var hosts []string
	if local {
		hosts = []string{tcp.String(), fmt.Sprintf("localhost:%d", tcp.Port)}
	}
	for _, h := range named {
		hosts = append(hosts, strings.ToLower(h))
	}
	return l, hosts, nil
}
