package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/plexus-network/plexus/market"
	"github.com/plexus-network/plexus/market/manifest"
	"github.com/plexus-network/plexus/provider/lease"
	"github.com/plexus-network/plexus/provider/sandbox"
)

// A Client asks one provider.
type Client struct {
	url  string
	pass string
	http *http.Client
}

// NewClient returns a Client of the provider at hostURI, whose certificate has
// a key with that SHA-256; with an empty pin the certificate must be one that
// this machine trusts. pass may be "" for what is open to all.
func NewClient(hostURI string, pin []byte, pass string) *Client {
	t := &tls.Config{MinVersion: tls.VersionTLS13}
	if len(pin) > 0 {
		t.InsecureSkipVerify = true // the pin below is stricter
		t.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(s.PeerCertificates, pin) }
	}
	return &Client{strings.TrimSuffix(hostURI, "/"), pass, &http.Client{Transport: &http.Transport{
		TLSClientConfig: t, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, IdleConnTimeout: time.Minute,
	}}}
}

// checkPin tells whether the first certificate's key is the pinned one.
func checkPin(certificates []*x509.Certificate, pin []byte) error {
	if len(certificates) == 0 {
		return errors.New("the provider shows no certificate")
	}
	got := sha256.Sum256(certificates[0].RawSubjectPublicKeyInfo)
	if !bytes.Equal(got[:], pin) {
		return fmt.Errorf("the provider's certificate has the key %x, but %x is on the chain: this is not the provider, or it must be registered again", got, pin)
	}
	return nil
}

// do sends a request and returns the answer's body, which the caller closes.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) (io.ReadCloser, error) {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(text)
	}
	target := c.url + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, in)
	if err != nil {
		return nil, err
	}
	if c.pass != "" {
		r.Header.Set("Authorization", "Bearer "+c.pass)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreached(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp.Body, nil
}

// unreached says why the provider did not answer, once and without the URL of
// the request.
func (c *Client) unreached(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Errorf("no word from the provider at %s: %w", c.url, err)
}

// refusal is the error that a provider answers with.
func refusal(resp *http.Response) error {
	var bad struct{ Error struct{ Message string } }
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if json.Unmarshal(text, &bad) != nil || bad.Error.Message == "" {
		bad.Error.Message = resp.Status
	}
	kind := map[int]error{
		http.StatusNotFound: ErrNoLease, http.StatusConflict: ErrMismatch,
		http.StatusUnauthorized: ErrDenied, http.StatusServiceUnavailable: ErrAway,
	}[resp.StatusCode]
	if kind == nil {
		return errors.New(bad.Error.Message)
	}
	return fmt.Errorf("%w: %s", kind, strings.TrimPrefix(bad.Error.Message, kind.Error()+": "))
}

// call sends a request and reads an answer of a few bytes.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	answer, err := c.do(ctx, method, path, nil, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	return json.NewDecoder(io.LimitReader(answer, 4<<20)).Decode(into)
}

// Status returns how the provider stands.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Screen asks whether the provider would bid on a group of an owner's.
func (c *Client) Screen(ctx context.Context, owner string, g market.GroupSpec) (s Screening, err error) {
	return s, c.call(ctx, http.MethodPost, "/v1/screen", map[string]any{"owner": owner, "group": g}, &s)
}

// SendManifest sends a deployment's manifest, and returns the leases that run
// it.
func (c *Client) SendManifest(ctx context.Context, dseq uint64, m manifest.Manifest) ([]string, error) {
	var got struct{ Leases []string }
	return got.Leases, c.call(ctx, http.MethodPut, fmt.Sprintf("/v1/deployments/%d/manifest", dseq), m, &got)
}

func leasePath(id market.BidID, what string) string {
	return fmt.Sprintf("/v1/leases/%d/%d/%d/%s", id.DSeq, id.GSeq, id.OSeq, what)
}

// Migrate has names that several leases of the same tenant accept lead to one
// of them.
func (c *Client) Migrate(ctx context.Context, id market.BidID, hosts []string) error {
	return c.call(ctx, http.MethodPost, leasePath(id, "hosts"), map[string]any{"hosts": hosts}, &struct{}{})
}

// Lease returns how a lease stands, or [ErrNoLease].
func (c *Client) Lease(ctx context.Context, id market.BidID) (s LeaseStatus, err error) {
	return s, c.call(ctx, http.MethodGet, leasePath(id, "status"), nil, &s)
}

// MigrateIP exchanges the addresses that two of the tenant's leases have for an
// endpoint.
func (c *Client) MigrateIP(ctx context.Context, from, to market.BidID, endpoint string) error {
	return c.call(ctx, http.MethodPost, leasePath(from, "migrate-ip"), migration{to.String(), endpoint}, &struct{}{})
}

// A Selection is of a lease's replicas. The zero Selection is all of them.
type Selection struct {
	Service string
	Replica int // counts only with Service; below 0 is all

	Previous bool // of their logs, what they printed before they were started last
}

// Logs yields lines of the replicas' logs, those of each in order.
func (c *Client) Logs(ctx context.Context, id market.BidID, which Selection, o sandbox.LogOptions) iter.Seq2[LogLine, error] {
	q := url.Values{"follow": {strconv.FormatBool(o.Follow)}, "tail": {strconv.Itoa(o.Tail)}}
	if !o.Since.IsZero() {
		q.Set("since", o.Since.Format(time.RFC3339))
	}
	if which.Previous {
		q.Set("previous", "true")
	}
	if which.Service != "" {
		q.Set("service", which.Service)
		if which.Replica >= 0 {
			q.Set("replica", strconv.Itoa(which.Replica))
		}
	}
	return objects[LogLine](ctx, c, leasePath(id, "logs"), q)
}

// Events yields what happened to a lease, oldest first, and with follow what
// happens next.
func (c *Client) Events(ctx context.Context, id market.BidID, follow bool) iter.Seq2[lease.Event, error] {
	return objects[lease.Event](ctx, c, leasePath(id, "events"), url.Values{"follow": {strconv.FormatBool(follow)}})
}

// objects yields the JSON lines of an answer.
func objects[T any](ctx context.Context, c *Client, path string, q url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		body, err := c.do(ctx, http.MethodGet, path, q, nil)
		if err != nil {
			yield(none, err)
			return
		}
		defer body.Close()
		all := bufio.NewScanner(body)
		all.Buffer(nil, 1<<20)
		for all.Scan() {
			var one T
			if err := json.Unmarshal(all.Bytes(), &one); err != nil {
				yield(none, err)
				return
			}
			if !yield(one, nil) {
				return
			}
		}
		if err := all.Err(); err != nil && ctx.Err() == nil {
			yield(none, err)
		}
	}
}

// Exec runs a command inside a replica and returns its exit code. x.Stdin is
// read until the command ends, so a terminal's last line may be lost to it.
func (c *Client) Exec(ctx context.Context, id market.BidID, which Selection, x sandbox.Exec) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	q := url.Values{
		"service": {which.Service}, "replica": {strconv.Itoa(max(which.Replica, 0))}, "arg": x.Args,
		"tty": {strconv.FormatBool(x.TTY)}, "stdin": {strconv.FormatBool(x.Stdin != nil)},
	}
	conn, resp, err := websocket.Dial(ctx, c.url+leasePath(id, "exec")+"?"+q.Encode(), &websocket.DialOptions{ //nolint:bodyclose // the library has closed it
		HTTPClient: c.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + c.pass}},
	})
	if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
		return 0, refusal(resp)
	}
	if err != nil {
		return 0, c.unreached(err)
	}
	defer conn.CloseNow() //nolint:errcheck // there is nobody left to tell
	conn.SetReadLimit(maxFrame + 1)
	w := &wire{conn: conn}
	if x.TTY && x.Size != (sandbox.Size{}) {
		if err := w.resize(ctx, x.Size); err != nil {
			return 0, err
		}
	}
	go w.speak(ctx, x)
	return w.listen(ctx, x)
}

func (c *wire) resize(ctx context.Context, size sandbox.Size) error {
	text, err := json.Marshal(size)
	if err != nil {
		return err
	}
	return c.send(ctx, frameResize, text)
}

// speak sends what is typed and how the terminal's size changes, until ctx
// ends or the connection breaks, which listen tells of.
func (c *wire) speak(ctx context.Context, x sandbox.Exec) {
	if x.Resize != nil {
		go func() {
			for {
				select {
				case size := <-x.Resize:
					if c.resize(ctx, size) != nil {
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	if x.Stdin == nil {
		return
	}
	if _, err := io.Copy(stream{ctx, c, frameStdin}, x.Stdin); err == nil {
		_ = c.send(ctx, frameEOF, nil) // if it is gone, listen says so
	}
}

// listen writes what the command prints, until it ends.
func (c *wire) listen(ctx context.Context, x sandbox.Exec) (int, error) {
	for {
		kind, content, err := c.receive(ctx)
		if err != nil {
			return 0, fmt.Errorf("the connection broke before the command ended: %w", err)
		}
		var to io.Writer
		switch kind {
		case frameStdout:
			to = x.Stdout
		case frameStderr:
			to = x.Stderr
		case frameEnd:
			var end outcome
			if err := json.Unmarshal(content, &end); err != nil {
				return 0, err
			}
			if end.Error != "" {
				return end.Code, errors.New(end.Error)
			}
			return end.Code, nil
		}
		if to != nil {
			if _, err := to.Write(content); err != nil {
				return 0, err
			}
		}
	}
}
