package p2p

import (
	"bufio"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Bounds of the nonce store. A nonce is never dropped before it expires, so a
// full store refuses requests instead of forgetting some.
const (
	noncesPerPeer = 1 << 14
	noncesInAll   = 1 << 18
)

// The log is a header and records of one size, so that a torn one in the tail
// costs itself only:
//
//	8 bytes peer's tag ‖ 16 bytes key ‖ 8 bytes kept until, Unix ms ‖ 4 bytes CRC-32C
const (
	nonceHeader     = "plxnonce1\n"
	nonceRecordSize = 36
	nonceSlack      = 4096 // dead records that do not trigger a compaction
	nonceSync       = time.Second
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// spent is a nonce that was used, by the hash of it and of its peer.
type spent struct {
	peer  [8]byte
	key   [16]byte
	until int64 // Unix ms; after that the request is expired anyway
}

// nonces remembers which requests were accepted, so that none is executed
// twice.
//
// With a file it also remembers across restarts: a record is written before
// the request is executed, so that a crash of the process loses nothing. No
// request waits for the disk: the file is synced beside them, at most once per
// nonceSync, and when it is closed. A power cut can lose what came since.
type nonces struct {
	mu      sync.Mutex
	seen    map[[16]byte]int64 // kept until
	perPeer map[[8]byte]int
	queue   expiries // of all that is seen and committed

	path    string
	file    *os.File // nil if nothing is kept on disk
	records int      // in the file
	synced  time.Time
	syncing bool
	unsound error // of a sync that failed: what the file holds is not known
	syncs   sync.WaitGroup
}

// openNonces loads the log at path, or starts one. An empty path keeps the
// nonces in memory only.
func openNonces(path string, now time.Time) (*nonces, error) {
	n := &nonces{seen: make(map[[16]byte]int64), perPeer: make(map[[8]byte]int)}
	if path == "" {
		return n, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("nonce log: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("nonce log: %w", err)
	}
	n.path, n.file = path, f
	if err = n.load(now); err == nil {
		err = n.compact()
	}
	if err != nil {
		return nil, fmt.Errorf("nonce log %s: %w", path, errors.Join(err, n.file.Close()))
	}
	return n, nil
}

// reserve marks the nonce used, or says why the request must not run. What is
// reserved is to be committed or released.
func (n *nonces) reserve(from peer.ID, nonce []byte, until, now time.Time) (spent, error) {
	s := newSpent(from, nonce, until)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expire(now)
	if _, ok := n.seen[s.key]; ok {
		return s, &Refused{Code: Replayed, Message: "this request was accepted before: sign a new one"}
	}
	if n.perPeer[s.peer] >= noncesPerPeer {
		return s, &Refused{Code: Busy, Message: fmt.Sprintf("over %d of your requests are still fresh", noncesPerPeer), RetryAfter: requestLifetime}
	}
	if len(n.seen) >= noncesInAll {
		return s, &Refused{Code: Busy, Message: "too many requests are still fresh", RetryAfter: requestLifetime}
	}
	n.seen[s.key] = s.until
	n.perPeer[s.peer]++
	return s, nil
}

// release forgets a reserved nonce whose request was not executed.
func (n *nonces) release(s spent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(s)
}

// commit makes a reserved nonce last until it expires. On an error the nonce
// is released, and the request must not be executed.
func (n *nonces) commit(s spent, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file != nil {
		if err := n.append(s, now); err != nil {
			n.forget(s)
			return fmt.Errorf("nonce log %s: %w", n.path, err)
		}
	}
	heap.Push(&n.queue, s)
	return nil
}

// Close syncs the log. The store must not be used afterwards.
func (n *nonces) Close() error {
	n.syncs.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return nil
	}
	return errors.Join(n.file.Sync(), n.file.Close())
}

func newSpent(from peer.ID, nonce []byte, until time.Time) spent {
	s := spent{until: until.UnixMilli()}
	tag := sha256.Sum256([]byte(from))
	key := sha256.Sum256(append([]byte(from), nonce...))
	copy(s.peer[:], tag[:])
	copy(s.key[:], key[:])
	return s
}

// expire drops what can no longer be replayed.
func (n *nonces) expire(now time.Time) {
	for len(n.queue) > 0 && n.queue[0].until < now.UnixMilli() {
		n.forget(heap.Pop(&n.queue).(spent))
	}
}

func (n *nonces) forget(s spent) {
	delete(n.seen, s.key)
	n.perPeer[s.peer]--
	if n.perPeer[s.peer] == 0 {
		delete(n.perPeer, s.peer)
	}
}

// append writes one record, and now and then syncs or compacts the file.
func (n *nonces) append(s spent, now time.Time) error {
	if n.unsound != nil || n.records >= 2*len(n.queue)+nonceSlack {
		if err := n.compact(); err != nil {
			return err
		}
	}
	end := nonceOffset(n.records)
	if _, err := n.file.WriteAt(s.encode(nil), end); err != nil {
		return errors.Join(err, n.file.Truncate(end))
	}
	n.records++
	if !n.syncing && now.Sub(n.synced) >= nonceSync {
		n.synced, n.syncing = now, true
		f := n.file
		n.syncs.Go(func() { n.sync(f) })
	}
	return nil
}

// sync brings f to the disk. If that fails, the next append writes the log
// anew; if f has been replaced, its successor is on disk already.
func (n *nonces) sync(f *os.File) {
	err := f.Sync()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.syncing = false
	if f == n.file {
		n.unsound = err
	}
}

func nonceOffset(record int) int64 {
	return int64(len(nonceHeader)) + int64(record)*nonceRecordSize
}

// load reads the log, skipping what is expired or damaged.
func (n *nonces) load(now time.Time) error {
	r := bufio.NewReader(n.file)
	header := make([]byte, len(nonceHeader))
	switch _, err := io.ReadFull(r, header); {
	case errors.Is(err, io.EOF):
		return nil // a new file
	case err != nil || string(header) != nonceHeader:
		return fmt.Errorf("not a nonce log: remove it; requests of the last %v could then be replayed", maxLifetime+2*clockSkew)
	}
	record := make([]byte, nonceRecordSize)
	for {
		_, err := io.ReadFull(r, record)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n.records++
		s, ok := decodeSpent(record)
		if _, dup := n.seen[s.key]; !ok || dup || s.until < now.UnixMilli() {
			continue
		}
		n.seen[s.key] = s.until
		n.perPeer[s.peer]++
		heap.Push(&n.queue, s)
	}
}

// compact replaces the file by one that holds only what is still fresh.
func (n *nonces) compact() error {
	next, err := os.OpenFile(n.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	buf := append(make([]byte, 0, nonceOffset(len(n.queue))), nonceHeader...)
	for _, s := range n.queue {
		buf = s.encode(buf)
	}
	_, err = next.Write(buf)
	if err = errors.Join(err, next.Sync()); err != nil {
		return errors.Join(err, next.Close())
	}
	if err := os.Rename(next.Name(), n.path); err != nil {
		return errors.Join(err, next.Close())
	}
	old := n.file
	n.file, n.records, n.unsound = next, len(n.queue), nil
	return old.Close()
}

func (s spent) encode(buf []byte) []byte {
	start := len(buf)
	buf = append(buf, s.peer[:]...)
	buf = append(buf, s.key[:]...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(s.until))
	return binary.BigEndian.AppendUint32(buf, crc32.Checksum(buf[start:], castagnoli))
}

// decodeSpent reads one record and reports whether it is undamaged.
func decodeSpent(b []byte) (spent, bool) {
	var s spent
	copy(s.peer[:], b)
	copy(s.key[:], b[8:])
	s.until = int64(binary.BigEndian.Uint64(b[24:]))
	return s, crc32.Checksum(b[:32], castagnoli) == binary.BigEndian.Uint32(b[32:])
}

// expiries is a heap of nonces, the first to expire on top.
type expiries []spent

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].until < e[j].until }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(s any)        { *e = append(*e, s.(spent)) }

func (e *expiries) Pop() any {
	old := *e
	s := old[len(old)-1]
	*e = old[:len(old)-1]
	return s
}
