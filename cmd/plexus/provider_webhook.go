package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/provider"
	"github.com/plexus-network/plexus/provider/alert"
)

// webhookFlags are those of who is told what an operator should know.
func (s *seller) webhookFlags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&s.webhooks, "webhook", nil, "URL that is told what you should know, as a full disk; again for each (default those before)")
	cmd.Flags().StringSliceVar(&s.kinds, "webhook-kinds", nil, "kinds of alerts that they are told, as disk-low,balance-low (default all)")
	var kinds []string
	for _, k := range alert.Kinds {
		kinds = append(kinds, string(k))
	}
	_ = cmd.RegisterFlagCompletionFunc("webhook-kinds", cobra.FixedCompletions(kinds, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	_ = cmd.RegisterFlagCompletionFunc("webhook", cobra.NoFileCompletions)                                                 // so is this
}

// decideWebhooks makes hooks of the flags. One that was there keeps its
// secret; without flags all stay.
func (s *seller) decideWebhooks() error {
	before, err := provider.ReadConfig(s.dir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(s.webhooks) == 0 && len(s.kinds) == 0 {
		s.c.Webhooks = before.Webhooks
		return nil
	}
	if len(s.webhooks) == 0 {
		return errors.New("--webhook-kinds: name the URLs that get them by --webhook")
	}
	for _, url := range s.webhooks {
		h := alert.Hook{URL: url, Secret: rand.Text()}
		if i := slices.IndexFunc(before.Webhooks, func(b alert.Hook) bool { return b.URL == url }); i >= 0 {
			h.Secret = before.Webhooks[i].Secret
		}
		for _, k := range s.kinds {
			h.Kinds = append(h.Kinds, alert.Kind(k))
		}
		if err := h.Check(); err != nil {
			return err
		}
		s.c.Webhooks = append(s.c.Webhooks, h)
	}
	return nil
}

// webhookCmd returns the command that tries the webhooks.
func (s *seller) webhookCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "webhook-test",
		Short: "Send a test alert to the webhooks of provider.json, and say whether it arrived",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := s.configured()
			if err != nil {
				return err
			}
			if len(c.Webhooks) == 0 {
				return errors.New("there are no webhooks: plexus provider init --webhook URL sets one")
			}
			return s.tryWebhooks(cmd, c.Webhooks)
		},
	}
}

// hookTrial is how the test of a webhook went.
type hookTrial struct {
	URL       string `json:"url"`
	Delivered bool   `json:"delivered"`
}

func (s *seller) tryWebhooks(cmd *cobra.Command, hooks []alert.Hook) error {
	var all []hookTrial
	failed := 0
	for _, h := range hooks {
		h.Kinds = nil // a test goes to all
		one := hookTrial{URL: h.URL}
		var err error
		if one.Delivered, err = tryWebhook(cmd.Context(), h); err != nil {
			return err
		}
		if !one.Delivered {
			failed++
		}
		if all = append(all, one); !asJSON(cmd) {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", h.URL, map[bool]string{true: "delivered", false: "not delivered"}[one.Delivered])
		}
	}
	if asJSON(cmd) {
		if err := printJSON(cmd, all); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d webhooks did not answer with success within 20 s", failed, len(hooks))
	}
	return nil
}

// tryWebhook sends a test to one hook and waits for its answer.
func tryWebhook(ctx context.Context, h alert.Hook) (delivered bool, err error) {
	dir, err := os.MkdirTemp("", "plexus-webhook-*")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	post, err := alert.Open(dir, "test", []alert.Hook{h}, alert.Options{Count: func(result string) {
		delivered = result == "delivered"
		cancel()
	}})
	if err != nil {
		return false, err
	}
	post.Send(alert.Alert{Kind: alert.Test, Text: "this is a test by plexus provider webhook-test"})
	post.Run(ctx)
	return delivered, nil
}
