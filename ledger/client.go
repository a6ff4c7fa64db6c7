package ledger

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	gogoproto "github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/yuma"
)

// Sentinels of what a node answers.
var (
	// ErrUnreachable means that no node answered.
	ErrUnreachable = errors.New("ledger: no node answers")
	// ErrNotFound means that the chain has no such thing.
	ErrNotFound = errors.New("ledger: not found")
	// ErrNotIncluded means that a transaction was sent, was in no block when
	// its time ran out, and can be in none any more.
	ErrNotIncluded = errors.New("ledger: transaction not included")
)

// Options tunes a Client. The zero value works.
type Options struct {
	ChainID string        // empty means to ask the node
	Timeout time.Duration // for a transaction to be in a block; 0 means 30 s
	Poll    time.Duration // between looks for a new block; 0 means 200 ms
	Gas     uint64        // limit of every transaction; 0 means 1.3 times what a trial run used
	MaxFee  coin.Amount   // paid for one transaction at most; 0 means 0.1 PLX
	Log     *slog.Logger  // nil means no log
}

// A Client reads and changes the chain through one node. It may be used from
// many goroutines, which then share its looks at the latest block and take
// turns in sending the transactions of one account.
type Client struct {
	conn   grpc.ClientConnInterface
	closer io.Closer // nil if conn belongs to the caller
	opt    Options

	looking turn // held while the latest block is fetched
	head    Head // guarded by looking
	seen    time.Time

	mu       sync.Mutex
	chainID  string
	hashes   map[yuma.Height][32]byte
	accounts map[string]*account
}

// New returns a Client over conn, which must encode Cosmos SDK messages; that
// of a node in this process does.
func New(conn grpc.ClientConnInterface, o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 200 * time.Millisecond
	}
	if o.MaxFee == 0 {
		o.MaxFee = coin.PLX / 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		conn:     conn,
		opt:      o,
		looking:  newTurn(),
		chainID:  o.ChainID,
		hashes:   make(map[yuma.Height][32]byte),
		accounts: make(map[string]*account),
	}
}

// maxMessage bounds an answer of a node, in bytes: a block of 22 MB and some.
const maxMessage = 32 << 20

// Dial returns a Client of the node at addr: "127.0.0.1:9090", or
// "https://host:443" for one behind TLS. It does not connect before it is
// used, and connects again by itself. Close it.
func Dial(addr string, o Options) (*Client, error) {
	conn, err := Connect(addr)
	if err != nil {
		return nil, err
	}
	c := New(conn, o)
	c.closer = conn
	return c, nil
}

// patience bounds a call whose context has no end of its own: a node that is
// frozen, or a machine that lost its power, never answers and never refuses.
const patience = 30 * time.Second

// impatient gives every call an end.
func impatient(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	return invoke(ctx, method, req, reply, conn, opts...)
}

// Connect returns a connection to the node at addr, as [Dial] takes it, for
// those who speak to the chain's services themselves.
func Connect(addr string) (*grpc.ClientConn, error) {
	host, secure := strings.CutPrefix(addr, "https://")
	host = strings.TrimPrefix(host, "http://")
	if host == "" {
		return nil, errors.New("the address of the node is empty: give one as 127.0.0.1:9090")
	}
	creds := insecure.NewCredentials()
	if secure {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	conn, err := grpc.NewClient(host,
		grpc.WithTransportCredentials(creds),
		grpc.WithUnaryInterceptor(impatient),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
	)
	if err != nil {
		return nil, fmt.Errorf("node at %s: %w", addr, err)
	}
	return conn, nil
}

// Close ends the connection that [Dial] made. It does nothing to that of
// [New].
func (c *Client) Close() error {
	if c.closer == nil {
		return nil
	}
	return c.closer.Close()
}

// A codec encodes messages of either protobuf library: the SDK's own by their
// methods, others by reflection.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case proto.Message:
		return proto.Marshal(m)
	case gogoproto.Message:
		return gogoproto.Marshal(m)
	default:
		return nil, fmt.Errorf("%T is no message", v)
	}
}

func (codec) Unmarshal(b []byte, v any) error {
	switch m := v.(type) {
	case proto.Message:
		return proto.Unmarshal(b, m)
	case gogoproto.Message:
		return gogoproto.Unmarshal(b, m)
	default:
		return fmt.Errorf("%T is no message", v)
	}
}

// A turn is a lock that one can stop waiting for.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn, and returns the error of ctx if that ends first.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }

// notFound is how a module's own "not found" looks behind gRPC, whose code for
// it is Unknown.
const notFound = "codespace sdk code 38: "

// failed tells that trying what failed, in the node's own words without those
// of the transport. What callers test for becomes a sentinel.
func failed(what string, err error) error {
	st, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch msg := plain(st.Message()); {
	case st.Code() == codes.OK:
		return nil
	case st.Code() == codes.Unavailable:
		return fmt.Errorf("%s: %w: %s", what, ErrUnreachable, msg)
	case st.Code() == codes.NotFound, strings.Contains(st.Message(), notFound):
		return fmt.Errorf("%s: %w: %s", what, ErrNotFound, msg)
	case st.Code() == codes.Canceled:
		return fmt.Errorf("%s: %w", what, context.Canceled)
	case st.Code() == codes.DeadlineExceeded:
		return fmt.Errorf("%s: %w", what, context.DeadlineExceeded)
	default:
		return fmt.Errorf("%s: %s", what, msg)
	}
}

// Explain is for those who speak to the chain's services over [Connect]: it
// tells that a query failed as the methods of [Client] do.
func Explain(what string, err error) error { return failed(what, err) }
