package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/plexus-network/plexus/wallet"
)

// newLoginCmd returns the command that signs in to a gateway.
func newLoginCmd() *cobra.Command {
	c := &client{}
	var url, from string
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Sign in to a gateway with a key of yours, for an API key",
		Long: `Sign in to a gateway: it gives a text to sign, and for the signature an API
key, which is shown once. The key uses the quota that your stake with the
gateway's validator gives, and what you prepaid. Nothing is sent to the chain.

  plexus login --gateway http://127.0.0.1:8080 --from alice`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ring, err := c.keys(cmd)
			if err != nil {
				return err
			}
			key, err := ring.Key(from)
			if err != nil {
				return err
			}
			return signIn(cmd, strings.TrimSuffix(url, "/"), key)
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&url, "gateway", "http://127.0.0.1:8080", "address of the gateway")
	cmd.Flags().StringVar(&from, "from", "", "key that signs")
	_ = cmd.MarkFlagRequired("from") // the flag is there
	return cmd
}

// signIn answers a gateway's challenge and prints the key that it gives.
func signIn(cmd *cobra.Command, gateway string, key *wallet.Key) error {
	var asked struct {
		Challenge string    `json:"challenge"`
		Expires   time.Time `json:"expires"`
	}
	err := post(cmd.Context(), gateway+"/v1/auth/challenge", map[string]string{"address": key.Address()}, &asked)
	if err != nil {
		return err
	}
	if !strings.Contains(asked.Challenge, "\naddress: "+key.Address()+"\n") || len(asked.Challenge) > 2000 {
		return fmt.Errorf("the gateway at %s gives a text to sign that does not name %s: do not trust it", gateway, key.Address())
	}
	cmd.PrintErrf("%s signs:\n\n%s\n\n", key.Name(), asked.Challenge)
	signature, err := key.SignText(asked.Challenge)
	if err != nil {
		return err
	}
	var got struct {
		Key     string    `json:"key"`
		ID      string    `json:"id"`
		Expires time.Time `json:"expires"`
	}
	err = post(cmd.Context(), gateway+"/v1/auth/login", map[string]any{
		"address": key.Address(), "challenge": asked.Challenge, "public_key": key.PubKey().Bytes(), "signature": signature,
	}, &got)
	if err != nil {
		return err
	}
	if asJSON(cmd) {
		return printJSON(cmd, got)
	}
	fmt.Fprintln(cmd.OutOrStdout(), got.Key)
	cmd.PrintErrf("\nThis key is shown once. It is good until %s; send it as Authorization: Bearer KEY.\n", got.Expires.Format(time.DateOnly))
	return nil
}

// post sends JSON to a gateway and reads its answer, or says what its error
// says.
func post(ctx context.Context, url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("the gateway cannot be reached: %w; is --gateway right, and does it run?", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("the gateway's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var bad struct{ Error struct{ Message string } }
		if json.Unmarshal(answer, &bad) != nil || bad.Error.Message == "" {
			bad.Error.Message = resp.Status
		}
		return fmt.Errorf("the gateway at %s: %s", url, bad.Error.Message)
	}
	return json.Unmarshal(answer, out)
}
