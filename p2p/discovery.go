package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	dhtPrefix protocol.ID = "/plexus"
	// recordProtocol hands out a peer's own record to whoever connects, where
	// there is no DHT or it has not got it yet.
	recordProtocol protocol.ID = "/plexus/record/1.0.0"

	announceEvery  = recordLifetime / 3
	announceRetry  = 5 * time.Second
	announceSettle = 5 * time.Second // after an address came or went
	bookSize       = 4096
)

// announcement is what the host says of itself.
type announcement struct {
	account string
	netuids []uint32
}

// newDHT joins a Kademlia table of Plexus peers only, that holds neurons'
// records only.
func newDHT(h host.Host, reach Reach, bootstrap []peer.AddrInfo, now func() time.Time) (*dht.IpfsDHT, error) {
	options := []dht.Option{
		dht.ProtocolPrefix(dhtPrefix),
		dht.Validator(record.NamespacedValidator{recordNamespace: recordValidator{now}}),
		dht.DisableProviders(),
		dht.MaxRecordAge(maxRecordLifetime),
		dht.BootstrapPeers(bootstrap...),
		dht.AddressFilter(func(addrs []ma.Multiaddr) []ma.Multiaddr { return believable(reach, addrs) }),
	}
	if reach == Public {
		options = append(options,
			dht.Mode(dht.ModeAuto),
			dht.QueryFilter(dht.PublicQueryFilter),
			dht.RoutingTableFilter(dht.PublicRoutingTableFilter),
			// Few places in the table go to one network, so that one owner
			// of many addresses cannot surround a peer.
			dht.RoutingTablePeerDiversityFilter(dht.NewRTPeerDiversityFilter(h, 2, 3)),
		)
	} else {
		options = append(options, dht.Mode(dht.ModeServer))
	}
	d, err := dht.New(h, options...)
	if err != nil {
		return nil, fmt.Errorf("start DHT: %w", err)
	}
	return d, nil
}

// believable drops addresses that a stranger has no business to send us to:
// on the Internet, our own machine and its neighbours.
func believable(reach Reach, addrs []ma.Multiaddr) []ma.Multiaddr {
	if reach != Public {
		return addrs
	}
	return slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		return !manet.IsPublicAddr(a)
	})
}

// Announce says whom the host serves, from now on and until it is called
// again. [Host.Run] publishes it as soon as it can and keeps it published;
// who is connected can ask for it at once. Account is the bech32 address that
// the peer serves.
func (h *Host) Announce(account string, netuids ...uint32) error {
	if len(account) > maxAccount || len(netuids) > maxNetuids {
		return fmt.Errorf("announce: an account of %d bytes and %d netuids, the limits are %d and %d", len(account), len(netuids), maxAccount, maxNetuids)
	}
	h.mu.Lock()
	h.mine = &announcement{account: account, netuids: slices.Clone(netuids)}
	h.mu.Unlock()
	select {
	case h.news <- struct{}{}:
	default: // Run has not heard of the last news yet
	}
	return nil
}

// Run joins the network and keeps the host's record fresh until ctx ends. It
// returns nil then; before that it rides out every failure of the network. A
// Local host only stays connected to its bootstrap peers.
func (h *Host) Run(ctx context.Context) error {
	if h.dht == nil {
		h.stay(ctx)
		return nil
	}
	moved, err := h.net.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return fmt.Errorf("watch own addresses: %w", err)
	}
	defer moved.Close()
	if err := h.dht.Bootstrap(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("join the DHT: %w", err)
	}
	due := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.news:
			due = time.Now()
		case <-moved.Out():
			due = earlier(due, time.Now().Add(announceSettle))
		case <-time.After(time.Until(due)):
			due = time.Now().Add(h.refresh(ctx))
		}
	}
}

// stay keeps the bootstrap peers connected until ctx ends.
func (h *Host) stay(ctx context.Context) {
	for {
		h.meet(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(announceRetry):
		}
	}
}

// refresh meets the network and tells it where the host is. It returns how
// long that will do.
func (h *Host) refresh(ctx context.Context) time.Duration {
	h.meet(ctx)
	if err := h.publish(ctx); err != nil {
		h.log.Debug("record not published yet", "err", err)
		return announceRetry
	}
	return announceEvery
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// meet connects to the bootstrap peers that are not connected.
func (h *Host) meet(ctx context.Context) {
	var all sync.WaitGroup
	for _, info := range h.bootstrap {
		if info.ID == h.ID() || h.connected(info.ID) {
			continue
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if err := h.net.Connect(ctx, info); err != nil {
				h.log.Debug("bootstrap peer unreachable", "peer", info.ID, "err", err)
			}
		})
	}
	all.Wait()
}

// publish puts the host's record into the DHT. With nothing to announce, or no
// DHT, there is nothing to do.
func (h *Host) publish(ctx context.Context) error {
	data, err := h.ownRecord()
	if err != nil || data == nil || h.dht == nil {
		return err
	}
	if err := h.dht.PutValue(ctx, recordKey(h.ID()), data); err != nil {
		return fmt.Errorf("publish record: %w", err)
	}
	return nil
}

// ownRecord signs what the host says of itself now; nil if it has not been
// told what to say.
func (h *Host) ownRecord() ([]byte, error) {
	h.mu.Lock()
	mine := h.mine
	h.mu.Unlock()
	if mine == nil {
		return nil, nil
	}
	now := h.now()
	addrs := believable(h.reach, h.net.Addrs())
	if len(addrs) == 0 {
		return nil, errors.New("record: this peer knows no address of its own yet that others could reach")
	}
	r := Record{
		Peer:      h.ID(),
		Addresses: addrs[:min(len(addrs), maxAddresses)],
		Protocols: h.protocols(),
		Netuids:   mine.netuids,
		Account:   mine.account,
		Issued:    now,
		Expires:   now.Add(recordLifetime),
	}
	return r.seal(h.key)
}

// protocols lists what the host serves of Plexus' own.
func (h *Host) protocols() []string {
	var ours []string
	for _, p := range h.net.Mux().Protocols() {
		if s := string(p); strings.HasPrefix(s, string(dhtPrefix)+"/") && len(s) <= maxProtocolName {
			ours = append(ours, s)
		}
	}
	slices.Sort(ours)
	return ours[:min(len(ours), maxProtocols)]
}

// Find returns a peer's record: the one at hand until it expires, else a new
// one of the peer, if it is connected, or of the DHT. [ErrNoRecord] means that
// there is none. The peer can be called at its addresses afterwards.
func (h *Host) Find(ctx context.Context, id peer.ID) (Record, error) {
	if r, ok := h.book.get(id, h.now()); ok {
		h.route(r)
		return r, nil
	}
	return h.lookup(ctx, id)
}

func (h *Host) lookup(ctx context.Context, id peer.ID) (Record, error) {
	data, err := h.fetch(ctx, id)
	if err == nil && data == nil {
		err = fmt.Errorf("%w: it announces nothing", ErrNoRecord)
	}
	if err != nil {
		return Record{}, fmt.Errorf("find %s: %w", id, err)
	}
	r, err := openRecord(id, data, h.now())
	if err != nil {
		return Record{}, fmt.Errorf("find %s: %w", id, err)
	}
	h.book.put(r)
	h.route(r)
	return r, nil
}

// route makes a record's addresses known for dialling.
func (h *Host) route(r Record) {
	h.net.Peerstore().AddAddrs(r.Peer, believable(h.reach, r.Addresses), peerstore.TempAddrTTL)
}

// refind looks for a peer that did not answer where it was thought to be, and
// reports whether it was heard of again.
func (h *Host) refind(ctx context.Context, id peer.ID) bool {
	h.book.drop(id)
	_, err := h.lookup(ctx, id)
	return err == nil
}

// fetch gets a peer's record from the peer if it is connected, or else from the
// DHT, or else from the peer at the addresses that are known of old; nil if
// the peer announces nothing.
func (h *Host) fetch(ctx context.Context, id peer.ID) ([]byte, error) {
	if id == h.ID() {
		return h.ownRecord()
	}
	if h.connected(id) {
		if data, err := h.askRecord(ctx, id); err == nil {
			return data, nil
		}
	}
	var missing error
	if h.dht != nil {
		data, err := h.dht.GetValue(ctx, recordKey(id))
		if err == nil {
			return data, nil
		}
		missing = err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if !h.reachable(id) {
		return nil, errors.Join(ErrNoRecord, missing)
	}
	return h.askRecord(ctx, id)
}

// askRecord gets a peer's record from itself; nil if it announces nothing.
func (h *Host) askRecord(ctx context.Context, id peer.ID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	s, err := h.net.NewStream(network.WithAllowLimitedConn(ctx, "record"), id, recordProtocol)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer s.Close()
	if err := errors.Join(s.SetDeadline(time.Now().Add(recordTimeout)), s.CloseWrite()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	in := bufio.NewReader(s)
	n, err := readLength(in, maxRecord)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return readFrame(in, n)
}

// serveRecord hands out the host's own record, or nothing.
func (h *Host) serveRecord(s network.Stream) {
	defer s.Close()
	data, err := h.ownRecord()
	if err != nil || data == nil {
		return
	}
	if err := s.SetDeadline(time.Now().Add(recordTimeout)); err != nil {
		return
	}
	if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(data))), data...)); err != nil {
		h.complain("record not taken", s.Conn().RemotePeer(), err)
	}
}

// book remembers the records found, while they are fresh. The zero book is
// empty and ready.
type book struct {
	mu      sync.Mutex
	records map[peer.ID]Record
}

func (b *book) get(id peer.ID, now time.Time) (Record, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.records[id]
	return r, ok && now.Before(r.Expires)
}

// put keeps r unless a newer one is kept. A full book drops what expires
// first.
func (b *book) put(r Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.records == nil {
		b.records = make(map[peer.ID]Record)
	}
	if old, ok := b.records[r.Peer]; ok {
		if r.newer(old) {
			b.records[r.Peer] = r
		}
		return
	}
	if len(b.records) >= bookSize {
		delete(b.records, b.firstToExpire())
	}
	b.records[r.Peer] = r
}

func (b *book) firstToExpire() peer.ID {
	var first Record
	for _, r := range b.records {
		if first.Peer == "" || r.Expires.Before(first.Expires) {
			first = r
		}
	}
	return first.Peer
}

func (b *book) drop(id peer.ID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.records, id)
}
