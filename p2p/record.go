package p2p

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	axonv1 "github.com/plexus-network/plexus/api/plexus/axon/v1"
)

// Bounds of a record.
const (
	recordLifetime    = time.Hour
	maxRecordLifetime = 24 * time.Hour
	maxAddresses      = 16
	maxProtocols      = 32
	maxNetuids        = 64
	maxAccount        = 128
	maxProtocolName   = 128

	recordNamespace = "neuron"
)

// A Record says where a peer answers, and for whom. It is signed by the peer;
// that the account agrees is for the chain to say, where the account has bound
// the peer's id.
type Record struct {
	Peer      peer.ID
	Addresses []ma.Multiaddr
	Protocols []string // libp2p protocol ids, with versions
	Netuids   []uint32 // the subnets that it serves
	Account   string   // bech32, not checked here
	Issued    time.Time
	Expires   time.Time
}

// recordKey is the DHT key of a peer's record. No other peer's record is valid
// under it.
func recordKey(id peer.ID) string {
	return "/" + recordNamespace + "/" + string(id)
}

func recordStatement(m *axonv1.Record) statement {
	s := newStatement("plexus/axon/1.0.0/record").bytes(m.Peer)
	s = s.number(uint64(len(m.Addresses)))
	for _, a := range m.Addresses {
		s = s.text(a)
	}
	s = s.number(uint64(len(m.Protocols)))
	for _, p := range m.Protocols {
		s = s.text(p)
	}
	s = s.number(uint64(len(m.Netuids)))
	for _, n := range m.Netuids {
		s = s.number(uint64(n))
	}
	return s.text(m.Account).number(uint64(m.IssuedMs)).number(uint64(m.ExpiresMs))
}

// seal encodes and signs r.
func (r Record) seal(key crypto.PrivKey) ([]byte, error) {
	m := &axonv1.Record{
		Peer:      []byte(r.Peer),
		Protocols: r.Protocols,
		Netuids:   r.Netuids,
		Account:   r.Account,
		IssuedMs:  r.Issued.UnixMilli(),
		ExpiresMs: r.Expires.UnixMilli(),
	}
	for _, a := range r.Addresses {
		m.Addresses = append(m.Addresses, a.String())
	}
	sig, err := key.Sign(recordStatement(m))
	if err != nil {
		return nil, fmt.Errorf("sign record: %w", err)
	}
	m.Signature = sig
	return m.Marshal()
}

// openRecord decodes a record and checks that peer id signed it and that it is
// in its time.
func openRecord(id peer.ID, data []byte, now time.Time) (Record, error) {
	if len(data) > maxRecord {
		return Record{}, fmt.Errorf("record: %w: %d bytes, the limit is %d", ErrTooLarge, len(data), maxRecord)
	}
	m := new(axonv1.Record)
	if err := decode(data, m); err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	if string(m.Peer) != string(id) {
		return Record{}, fmt.Errorf("record: %w: it is of another peer than %s", ErrBadSignature, id)
	}
	r, err := parseRecord(m)
	if err != nil {
		return Record{}, err
	}
	if err := r.checkTime(now); err != nil {
		return Record{}, err
	}
	if err := verify(id, recordStatement(m), m.Signature); err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// parseRecord checks the shape of a record, and nothing else.
func parseRecord(m *axonv1.Record) (Record, error) {
	bad := func(format string, args ...any) (Record, error) {
		return Record{}, fmt.Errorf("record: %w: "+format, append([]any{ErrMalformed}, args...)...)
	}
	if len(m.Addresses) == 0 || len(m.Addresses) > maxAddresses {
		return bad("%d addresses, not 1 to %d", len(m.Addresses), maxAddresses)
	}
	if len(m.Protocols) > maxProtocols || len(m.Netuids) > maxNetuids || len(m.Account) > maxAccount {
		return bad("over %d protocols, %d netuids or %d bytes of account", maxProtocols, maxNetuids, maxAccount)
	}
	if slices.ContainsFunc(m.Protocols, func(p string) bool { return len(p) > maxProtocolName }) {
		return bad("a protocol's name is over %d bytes", maxProtocolName)
	}
	r := Record{
		Peer:      peer.ID(m.Peer),
		Protocols: m.Protocols,
		Netuids:   m.Netuids,
		Account:   m.Account,
		Issued:    time.UnixMilli(m.IssuedMs),
		Expires:   time.UnixMilli(m.ExpiresMs),
	}
	for _, s := range m.Addresses {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return bad("address: %w", err)
		}
		if _, named := peer.SplitAddr(a); named != "" {
			return bad("address %q names a peer again", s)
		}
		r.Addresses = append(r.Addresses, a)
	}
	return r, nil
}

func (r Record) checkTime(now time.Time) error {
	if life := r.Expires.Sub(r.Issued); life <= 0 || life > maxRecordLifetime {
		return fmt.Errorf("record: %w: it lives for %v, not more than 0 and at most %v", ErrExpired, life, maxRecordLifetime)
	}
	if early := r.Issued.Sub(now); early > clockSkew {
		return fmt.Errorf("record: %w: it was issued %v ahead of this peer's clock", ErrExpired, early)
	}
	if !now.Before(r.Expires) {
		return fmt.Errorf("record: %w: it expired %v ago", ErrExpired, now.Sub(r.Expires))
	}
	return nil
}

// newer orders records of one peer by when they were issued.
func (r Record) newer(than Record) bool { return r.Issued.After(than.Issued) }

// recordValidator keeps invalid records out of the DHT. It implements
// record.Validator of go-libp2p-record.
type recordValidator struct {
	now func() time.Time
}

// Validate rejects what [Host.Find] would not return.
func (v recordValidator) Validate(key string, value []byte) error {
	_, err := v.open(key, value)
	return err
}

func (v recordValidator) open(key string, value []byte) (Record, error) {
	raw, ok := strings.CutPrefix(key, "/"+recordNamespace+"/")
	if !ok {
		return Record{}, fmt.Errorf("record: %w: key %q is not in /%s/", ErrMalformed, key, recordNamespace)
	}
	id, err := peer.IDFromBytes([]byte(raw))
	if err != nil {
		return Record{}, fmt.Errorf("record: %w: key: %w", ErrMalformed, err)
	}
	return openRecord(id, value, v.now())
}

// Select picks the newest valid record; of equally new ones the greatest in
// bytes, so that all peers pick the same.
func (v recordValidator) Select(key string, values [][]byte) (int, error) {
	best, at := Record{}, -1
	for i, value := range values {
		r, err := v.open(key, value)
		if err != nil {
			continue
		}
		if at < 0 || r.newer(best) || !best.newer(r) && bytes.Compare(value, values[at]) > 0 {
			best, at = r, i
		}
	}
	if at < 0 {
		return 0, fmt.Errorf("%w: none of %d is valid", ErrNoRecord, len(values))
	}
	return at, nil
}
