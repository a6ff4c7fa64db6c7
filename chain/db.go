package chain

import (
	"runtime"
	"sync"

	cmtdb "github.com/cometbft/cometbft-db"
)

// A guardedDB is a database of CometBFT that is closed by its owner, last of
// all, whatever CometBFT closes before.
//
// When a node of CometBFT stops, it closes its databases while some of its
// goroutines still sleep between two looks at them; the next look would panic
// and take the whole process down. Here it ends that goroutine instead.
type guardedDB struct {
	cmtdb.DB
	mu     sync.RWMutex // held for reading while the database is in use
	closed bool
}

// Close leaves the database open: the owner ends it.
func (*guardedDB) Close() error { return nil }

// end closes the database.
func (g *guardedDB) end() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	return g.DB.Close()
}

// enter returns a function that leaves the database. It ends the calling
// goroutine if the database is closed.
func (g *guardedDB) enter() (leave func()) {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		runtime.Goexit()
	}
	return g.mu.RUnlock
}

func (g *guardedDB) Get(key []byte) ([]byte, error) {
	defer g.enter()()
	return g.DB.Get(key)
}

func (g *guardedDB) Has(key []byte) (bool, error) {
	defer g.enter()()
	return g.DB.Has(key)
}

func (g *guardedDB) Set(key, value []byte) error {
	defer g.enter()()
	return g.DB.Set(key, value)
}

func (g *guardedDB) SetSync(key, value []byte) error {
	defer g.enter()()
	return g.DB.SetSync(key, value)
}

func (g *guardedDB) Iterator(start, end []byte) (cmtdb.Iterator, error) {
	defer g.enter()()
	return g.DB.Iterator(start, end)
}

func (g *guardedDB) ReverseIterator(start, end []byte) (cmtdb.Iterator, error) {
	defer g.enter()()
	return g.DB.ReverseIterator(start, end)
}

func (g *guardedDB) NewBatch() cmtdb.Batch {
	defer g.enter()()
	return g.DB.NewBatch()
}
