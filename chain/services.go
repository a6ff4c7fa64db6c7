package chain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	cmtnode "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/rpc/client/local"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
	cmttypes "github.com/cometbft/cometbft/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/test/bufconn"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/server/api"
	"github.com/cosmos/cosmos-sdk/server/config"
	"github.com/cosmos/cosmos-sdk/server/grpc/gogoreflection"
)

// maxTxBytes bounds a transaction, and maxMessage an answer of gRPC.
const (
	maxTxBytes = 256 << 10
	maxMessage = 64 << 20
)

// services is what a node serves its clients: gRPC in this process and, if
// asked, on a port, and REST.
type services struct {
	rpc, grpc, rest string // addresses

	server *grpc.Server
	conn   *grpc.ClientConn
	http   *http.Server
}

// orderly is a node that takes in one transaction at a time. CometBFT checks
// transactions one by one, but queues each only after its check, so of two that
// come at once the second may stand first, and fails in the block if both are
// of one account.
type orderly struct {
	*local.Local
	turn sync.Mutex
}

// BroadcastTxSync returns once tx stands in the queue or is refused.
func (o *orderly) BroadcastTxSync(ctx context.Context, tx cmttypes.Tx) (*coretypes.ResultBroadcastTx, error) {
	o.turn.Lock()
	defer o.turn.Unlock()
	return o.Local.BroadcastTxSync(ctx, tx)
}

// start serves app and node. Queries work from the first block on.
func (s *services) start(app *App, node *cmtnode.Node, cfg NodeConfig) error {
	ctx := client.Context{}.
		WithCodec(app.Encoding.Codec).
		WithInterfaceRegistry(app.Encoding.Registry).
		WithTxConfig(app.Encoding.TxConfig).
		WithLegacyAmino(app.Encoding.Amino).
		WithChainID(cfg.Genesis.ChainID).
		WithHomeDir(cfg.Home).
		WithClient(&orderly{Local: local.New(node)})
	app.RegisterTxService(ctx)
	app.RegisterTendermintService(ctx)
	app.RegisterNodeService(ctx, *config.DefaultConfig())

	wire := codec.NewProtoCodec(app.Encoding.Registry).GRPCCodec()
	s.server = grpc.NewServer(grpc.ForceServerCodec(wire), grpc.MaxSendMsgSize(maxMessage), grpc.MaxRecvMsgSize(1<<20))
	// Without the check, queries are answered while a block is being committed
	// and between a restart and the next block, too.
	app.RegisterGRPCServerWithSkipCheckHeader(s.server, true)
	gogoreflection.Register(s.server)
	if err := s.connect(wire); err != nil {
		return err
	}
	s.rpc = cfg.RPC
	if err := s.listen(cfg.GRPC); err != nil {
		return err
	}
	return s.listenREST(app, ctx, cfg.REST)
}

// connect makes the connection that needs no port.
func (s *services) connect(wire encoding.Codec) error {
	pipe := bufconn.Listen(1 << 20)
	go func() { _ = s.server.Serve(pipe) }() // ends with the server
	conn, err := grpc.NewClient("passthrough:node",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(wire), grpc.MaxCallRecvMsgSize(maxMessage)))
	s.conn = conn
	return err
}

// listen serves gRPC on an address, unless it is empty.
func (s *services) listen(address string) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve gRPC on %s: %w (choose another address)", address, err)
	}
	s.grpc = l.Addr().String()
	go func() { _ = s.server.Serve(l) }() // ends with the server
	return nil
}

// listenREST serves gRPC's queries over HTTP on an address, unless it is empty.
func (s *services) listenREST(app *App, ctx client.Context, address string) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve REST on %s: %w (choose another address)", address, err)
	}
	s.rest = l.Addr().String()
	gateway := api.New(ctx.WithGRPCClient(s.conn), cosmosLog(nil), s.server)
	app.RegisterAPIRoutes(gateway, config.APIConfig{})
	s.http = &http.Server{
		Handler:           gateway.GRPCGatewayRouter,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	go func() { _ = s.http.Serve(l) }() // ends with the server
	return nil
}

// stop ends what start started. Requests in progress have until ctx ends.
func (s *services) stop(ctx context.Context) error {
	var err error
	if s.http != nil {
		err = s.http.Shutdown(ctx)
	}
	if s.conn != nil {
		err = errors.Join(err, s.conn.Close())
	}
	if s.server == nil {
		return err
	}
	graceful := make(chan struct{})
	go func() { s.server.GracefulStop(); close(graceful) }()
	select {
	case <-graceful:
	case <-ctx.Done():
		s.server.Stop()
	}
	return err
}
