package p2p

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// Reach is the network that a host lives in. It decides which services run and
// which addresses are believed.
type Reach uint8

const (
	// Public is the Internet: the host looks for a relay and a port mapping if
	// it needs them, punches holes, and believes public addresses only.
	Public Reach = iota
	// LAN is a network of one's own: any address is believed, and relays and
	// port mappings are not needed.
	LAN
	// Local is one machine: TCP on loopback, no DHT, and peers know each other
	// by AddPeer, or because one has the other for a bootstrap peer. A process
	// can hold many Local hosts.
	Local
)

// Options says what host to make. The zero value is a public peer with a new
// key on a free port.
type Options struct {
	// KeyFile holds the peer's key and is made if it does not exist. Empty
	// means a key that is forgotten when the host closes.
	KeyFile string
	// StateDir holds what must survive a restart. Empty means nothing does,
	// and a request may be replayed to a restarted host until it expires.
	StateDir string
	// Listen are multiaddresses; nil means all interfaces, or 127.0.0.1 for a
	// Local host, on a free port.
	Listen []string
	// Bootstrap are multiaddresses, with /p2p/ and an id, of peers to meet the
	// network by.
	Bootstrap []string
	// Reach is the network that the host lives in.
	Reach Reach
	// Log gets the host's news; nil means no log. What peers do wrong is told
	// at debug level, a few lines a second at most.
	Log *slog.Logger
	// Libp2p is applied after all else, for networks that are simulated.
	Libp2p []libp2p.Option
}

// A Host is one peer of the network. All methods may be called at once from
// many goroutines.
type Host struct {
	key       crypto.PrivKey
	reach     Reach
	log       *slog.Logger
	noise     rate.Sometimes // tells what peers do wrong
	alarm     rate.Sometimes // tells what is wrong here
	now       func() time.Time
	net       host.Host
	dht       *dht.IpfsDHT // nil if Reach is Local
	bootstrap []peer.AddrInfo
	nonces    *nonces
	gate      *gate
	book      book
	started   chan struct{} // closed when New is done

	mu      sync.Mutex
	methods map[string]method
	mine    *announcement // nil until Announce
	news    chan struct{} // signals that mine changed
}

// New makes a host that listens and answers. It is told nothing and tells
// nothing of itself before [Host.Run] and [Host.Announce].
func New(opts Options) (_ *Host, err error) {
	h := &Host{
		reach:   opts.Reach,
		log:     opts.Log,
		noise:   rate.Sometimes{First: 20, Interval: time.Second},
		alarm:   rate.Sometimes{First: 1, Interval: 10 * time.Second},
		now:     time.Now,
		gate:    newGate(),
		methods: make(map[string]method),
		news:    make(chan struct{}, 1),
		started: make(chan struct{}),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.bootstrap, err = parsePeers(opts.Bootstrap); err != nil {
		return nil, err
	}
	if h.key, err = openKey(opts.KeyFile); err != nil {
		return nil, err
	}
	var path string
	if opts.StateDir != "" {
		path = filepath.Join(opts.StateDir, "nonces.log")
	}
	if h.nonces, err = openNonces(path, h.now()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if err := h.start(opts); err != nil {
		return nil, err
	}
	if err := h.listen(opts.Listen); err != nil {
		return nil, err
	}
	h.net.SetStreamHandler(axonProtocol, h.serveCall)
	h.net.SetStreamHandler(recordProtocol, h.serveRecord)
	close(h.started)
	return h, nil
}

// start makes the libp2p host and, unless Local, its DHT.
func (h *Host) start(opts Options) error {
	options, err := h.libp2pOptions()
	if err != nil {
		return err
	}
	h.net, err = libp2p.New(append(options, opts.Libp2p...)...)
	if err != nil {
		return fmt.Errorf("start peer: %w", err)
	}
	if h.reach == Local {
		return nil
	}
	h.dht, err = newDHT(h.net, h.reach, h.bootstrap, h.now)
	return err
}

func (h *Host) libp2pOptions() ([]libp2p.Option, error) {
	resources, err := newResources(h.reach)
	if err != nil {
		return nil, fmt.Errorf("resource limits: %w", err)
	}
	low, high := 256, 512
	if h.reach == Local {
		low, high = 64, 128
	}
	connections, err := connmgr.NewConnManager(low, high)
	if err != nil {
		return nil, fmt.Errorf("connection manager: %w", err)
	}
	options := []libp2p.Option{
		libp2p.Identity(h.key),
		libp2p.UserAgent("plexus"),
		libp2p.ResourceManager(resources),
		libp2p.ConnectionManager(connections),
		libp2p.DisableMetrics(),
		libp2p.NoListenAddrs, // listen tells which address failed
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.Transport(tcp.NewTCPTransport),
	}
	switch h.reach {
	case Local:
		return append(options, libp2p.DisableRelay(), libp2p.DisableIdentifyAddressDiscovery()), nil
	case LAN:
		return append(options, libp2p.Transport(quic.NewTransport), libp2p.DisableRelay()), nil
	case Public:
		return append(options,
			libp2p.Transport(quic.NewTransport),
			libp2p.NATPortMap(),
			libp2p.EnableNATService(),
			libp2p.EnableAutoNATv2(),
			libp2p.EnableRelay(),
			libp2p.EnableRelayService(relay.WithLimit(&relay.RelayLimit{Data: relayData, Duration: relayTime})),
			libp2p.EnableAutoRelayWithPeerSource(h.relays, autorelay.WithBootDelay(relaySearch)),
			libp2p.EnableHolePunching(),
		), nil
	default:
		return nil, fmt.Errorf("reach %d is none of Public, LAN, Local", h.reach)
	}
}

// relays offers peers of the DHT, which are reachable, as candidates to relay
// for a host that is not.
func (h *Host) relays(ctx context.Context, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, n)
	defer close(out)
	select {
	case <-h.started: // libp2p asks while New is still at work
	case <-ctx.Done():
		return out
	}
	for _, id := range h.dht.RoutingTable().ListPeers() {
		if len(out) == n || ctx.Err() != nil {
			break
		}
		if info := h.net.Peerstore().PeerInfo(id); len(info.Addrs) > 0 {
			out <- info
		}
	}
	return out
}

// listen opens each address, all or none.
func (h *Host) listen(addrs []string) error {
	if addrs == nil {
		addrs = defaultListen[h.reach]
	}
	for _, s := range addrs {
		addr, err := ma.NewMultiaddr(s)
		if err != nil {
			return fmt.Errorf("listen address %q (like /ip4/0.0.0.0/udp/4101/quic-v1): %w", s, err)
		}
		if err := h.net.Network().Listen(addr); err != nil {
			return fmt.Errorf("listen on %s: is the port in use? %w", addr, err)
		}
	}
	return nil
}

var defaultListen = map[Reach][]string{
	Public: {"/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"},
	LAN:    {"/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"},
	Local:  {"/ip4/127.0.0.1/tcp/0"},
}

// openKey loads the key of a file, or makes one that lives only in memory.
func openKey(path string) (crypto.PrivKey, error) {
	if path != "" {
		return LoadKey(path)
	}
	key, _, err := crypto.GenerateEd25519Key(nil)
	return key, err
}

func parsePeers(addrs []string) ([]peer.AddrInfo, error) {
	parsed := make([]ma.Multiaddr, 0, len(addrs))
	for _, s := range addrs {
		addr, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("bootstrap peer %q (like /ip4/192.0.2.1/udp/4101/quic-v1/p2p/12D3Koo…): %w", s, err)
		}
		parsed = append(parsed, addr)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(parsed...)
	if err != nil {
		return nil, fmt.Errorf("bootstrap peers need a /p2p/ part with an id: %w", err)
	}
	return infos, nil
}

// ID returns the peer's id, which is its public key.
func (h *Host) ID() peer.ID { return h.net.ID() }

// Info returns the peer's id and present addresses, as AddPeer of another host
// takes it.
func (h *Host) Info() peer.AddrInfo {
	return peer.AddrInfo{ID: h.net.ID(), Addrs: h.net.Addrs()}
}

// Addrs returns the host's present addresses, each with its id, as another's
// Options.Bootstrap takes them.
func (h *Host) Addrs() []string {
	info := h.Info()
	addrs, err := peer.AddrInfoToP2pAddrs(&info)
	if err != nil {
		return nil // an id that is none, which a host does not have
	}
	all := make([]string, len(addrs))
	for i, a := range addrs {
		all[i] = a.String()
	}
	return all
}

// AddPeer tells the host where a peer is, once and for all: it is then reached
// without a look into the DHT.
func (h *Host) AddPeer(info peer.AddrInfo) {
	h.net.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
	h.retryDial(info.ID)
}

// Libp2p returns the host beneath, for protocols with streams of their own.
// It is closed by [Host.Close] alone.
func (h *Host) Libp2p() host.Host { return h.net }

// AxonProof signs that this peer serves account on a subnet of a chain, which
// is what binds the peer's id to the account on chain. Account is the
// address's bytes.
func (h *Host) AxonProof(chainID string, netuid uint32, account []byte) ([]byte, error) {
	said := append([]byte("plexus/axon/v1"), chainID...)
	said = binary.BigEndian.AppendUint32(said, netuid)
	proof, err := h.key.Sign(append(said, account...))
	if err != nil {
		return nil, fmt.Errorf("sign axon proof: %w", err)
	}
	return proof, nil
}

// Close ends all calls in both directions, waits for the handlers, and frees
// ports and files.
func (h *Host) Close() error {
	var errs []error
	if h.net != nil {
		h.net.RemoveStreamHandler(axonProtocol)
		h.net.RemoveStreamHandler(recordProtocol)
	}
	h.gate.close()
	if h.dht != nil {
		errs = append(errs, h.dht.Close())
	}
	if h.net != nil {
		errs = append(errs, h.net.Close())
	}
	return errors.Join(append(errs, h.nonces.Close())...)
}

// complain logs what a peer did wrong, seldom enough that no peer can fill the
// log.
func (h *Host) complain(msg string, from peer.ID, err error) {
	h.noise.Do(func() {
		h.log.Debug("a peer did wrong", "what", msg, "peer", from, "err", err)
	})
}

func (h *Host) connected(id peer.ID) bool {
	return h.net.Network().Connectedness(id) == network.Connected
}

// reachable reports whether there is a connection to the peer, or an address
// to try.
func (h *Host) reachable(id peer.ID) bool {
	return h.connected(id) || len(h.net.Peerstore().Addrs(id)) > 0
}

// retryDial forgets that dials of the peer failed, after which libp2p would
// hold the next ones back for seconds to minutes.
func (h *Host) retryDial(id peer.ID) {
	if s, ok := h.net.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(id)
	}
}
