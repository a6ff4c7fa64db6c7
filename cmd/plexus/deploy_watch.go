package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/provider/alert"
	"github.com/plexus-network/plexus/tenant"
)

// errShort means that a look found money that lasts too short a time; the
// program then ends with shortCode.
var errShort = errors.New("money is short")

const shortCode = 3

// webhookSecret is the environment's name for what signs a tenant's alerts.
const webhookSecret = "PLEXUS_WEBHOOK_SECRET"

// A watcher looks after the money of deployments.
type watcher struct {
	*deployer
	o             tenant.WatchOptions
	topup, atMost coinValue
	hooks         []string
	once          bool
}

func deployWatchCmd(d *deployer) *cobra.Command {
	w := &watcher{deployer: d}
	cmd := &cobra.Command{
		Use:   "watch [DSEQ...]",
		Short: "Warn when the money of deployments lasts too short a time, and top it up if you say so",
		Long: `Watch the money of deployments, by default of all that are open, until Ctrl-C or
until those that are named have ended. It tells when one has money for less than
--less-than, when it has enough again, what it paid, and when one is closed: a
line each, or with --json an object, and to each --webhook.

  plexus deploy watch --less-than 72h
  plexus deploy watch 7 --topup 1plx --at-most 20plx
  plexus deploy watch --once || mail -s "money is short" me@example.com

With --topup it pays that much in each time, and stops where --at-most was paid
into the deployment altogether, its deposit and your own top-ups included; the
last payment is smaller if less is missing. Let one of it run at a time.

With --once it looks once, and ends with code 3 if the money of one is short
still. Alerts are signed with ` + webhookSecret + ` of the environment, if it is set.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, a := range args {
				dseq, err := dseqArg(a)
				if err != nil {
					return err
				}
				w.o.Deployments = append(w.o.Deployments, dseq)
			}
			return w.run(cmd, func(ctx context.Context) error { return w.watch(ctx, cmd) })
		},
	}
	f := cmd.Flags()
	f.DurationVar(&w.o.Less, "less-than", 24*time.Hour, "money that lasts less than this is too little")
	f.DurationVar(&w.o.Every, "every", time.Minute, "look this often")
	f.BoolVar(&w.once, "once", false, "look once; the exit code says whether money is short")
	f.Var(&w.topup, "topup", "pay this much in when money is short, as 1plx")
	f.Var(&w.atMost, "at-most", "the most that is paid into a deployment altogether, as 20plx")
	f.StringArrayVar(&w.hooks, "webhook", nil, "URL that is told, too; again for each")
	return cmd
}

func (w *watcher) watch(ctx context.Context, cmd *cobra.Command) error {
	if w.topup.amount != nil {
		w.o.TopUp = *w.topup.amount
	}
	if w.atMost.amount != nil {
		w.o.AtMost = *w.atMost.amount
	}
	post, err := w.post()
	if err != nil {
		return err
	}
	w.o.Tell = func(n tenant.Notice) {
		post.Send(n.Alert(w.tenant.Address()))
		printNotice(cmd, n)
	}
	watch, err := w.tenant.NewWatch(w.o)
	if err != nil {
		return fmt.Errorf("%w (--less-than, --every, --topup, --at-most)", err)
	}
	delivering, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); post.Run(delivering) }()
	defer func() { stop(); <-done }()
	defer deliver(ctx, post)
	if !w.once {
		return watch.Run(ctx)
	}
	short, err := watch.Look(ctx)
	if err == nil && short > 0 {
		err = fmt.Errorf("%w: of %s", errShort, tenant.Count(short, "deployment"))
	}
	return err
}

// post makes what delivers alerts. What waits for a webhook that is not named
// any more goes.
func (w *watcher) post() (*alert.Post, error) {
	var hooks []alert.Hook
	for _, url := range w.hooks {
		hooks = append(hooks, alert.Hook{URL: url, Secret: os.Getenv(webhookSecret)})
	}
	return alert.Open(filepath.Join(w.home, "tenant", "alerts"), "", hooks, alert.Options{})
}

// deliver waits a little until webhooks have what they are to be told; what is
// left is sent by the next watch.
func deliver(ctx context.Context, post *alert.Post) {
	if ctx.Err() != nil {
		return // an interrupt does not wait
	}
	for until := time.Now().Add(20 * time.Second); post.Waiting() > 0 && time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// printNotice tells what changed in a line.
func printNotice(cmd *cobra.Command, n tenant.Notice) {
	if asJSON(cmd) {
		if text, err := json.Marshal(n); err == nil { // it has no field that cannot be
			fmt.Fprintln(cmd.OutOrStdout(), string(text))
		}
		return
	}
	kind := string(n.Kind)
	if n.Resolved {
		kind += " is over"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s\n", n.Time.Local().Format(time.DateTime), kind, n.Text)
}
