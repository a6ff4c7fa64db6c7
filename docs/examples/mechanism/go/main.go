// Command go is a kind of subnet outside Plexus: docs/mechanism.md, over
// standard input and output, or over HTTP with -http. It does the same as the
// example in Python beside it, and imports nothing of Plexus.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/bits"
	"net"
	"net/http"
	"os"
	"sync"
)

// stamp is the kind "stamp": its work is to find eight bytes that make a hash
// begin with zeros.
type stamp struct {
	bits int // zeros asked for

	mu   sync.Mutex
	seen map[uint16]int // right answers by uid: what is remembered of miners
}

type peer struct {
	UID    uint16 `json:"uid"`
	PeerID string `json:"peer_id"`
}

type task struct {
	ID        string `json:"id"`
	Validator peer   `json:"validator"`
	Miner     peer   `json:"miner"`
	Body      []byte `json:"body"`
}

type trial struct {
	Task   task `json:"task"`
	Answer struct {
		Body  []byte `json:"body"`
		Error string `json:"error"`
	} `json:"answer"`
}

type score struct {
	Value  float64 `json:"value"`
	Reject bool    `json:"reject,omitempty"`
	Reason string  `json:"reason,omitempty"`
	Units  int     `json:"units,omitempty"`
}

// fault is an error of the contract.
type fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (f *fault) Error() string { return f.Code + ": " + f.Message }

func (t task) zeros(stamp []byte) int {
	said := fmt.Appendf(nil, "%s\n%s\n%s", t.Validator.PeerID, t.Miner.PeerID, t.ID)
	h := sha256.Sum256(append(append(said, t.Body...), stamp...))
	n := 0
	for _, b := range h {
		n += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return n
}

func (t task) check() error {
	if len(t.Body) != 17 || t.Body[0] > 24 {
		return &fault{"bad_task", "a task has 17 bytes, the first at most 24"}
	}
	return nil
}

// call answers one method. It hands out the chunks of work by emit.
func (s *stamp) call(ctx context.Context, method string, params json.RawMessage, emit func([]byte)) (any, error) {
	var p struct {
		Version int                 `json:"version"`
		Params  *struct{ Bits int } `json:"kind_params"`
		Task    task                `json:"task"`
		Trials  []trial             `json:"trials"`
		UID     uint16              `json:"uid"`
		State   []byte              `json:"state"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, &fault{"bad_params", err.Error()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch method {
	case "hello":
		if p.Version != 1 {
			return nil, &fault{"bad_version", "this program speaks version 1"}
		}
		if p.Params != nil && p.Params.Bits > 0 {
			s.bits = p.Params.Bits
		}
		return map[string]any{"version": 1, "kind": "stamp"}, nil
	case "challenge":
		body := make([]byte, 17)
		rand.Read(body)
		body[0] = byte(s.bits)
		return map[string]any{"body": body}, nil
	case "work":
		s.mu.Unlock()
		defer s.mu.Lock()
		return struct{}{}, work(ctx, p.Task, emit)
	case "score":
		scores := []score{}
		for _, t := range p.Trials {
			scores = append(scores, s.judge(t))
		}
		return map[string]any{"scores": scores}, nil
	case "forget":
		delete(s.seen, p.UID)
		return struct{}{}, nil
	case "snapshot":
		state, err := json.Marshal(s.seen)
		return map[string]any{"state": state}, err
	case "restore":
		seen := map[uint16]int{}
		if p.State != nil {
			if err := json.Unmarshal(p.State, &seen); err != nil {
				return nil, &fault{"bad_state", err.Error()}
			}
		}
		s.seen = seen
		return struct{}{}, nil
	default:
		return nil, &fault{"unknown_method", method}
	}
}

func work(ctx context.Context, t task, emit func([]byte)) error {
	if err := t.check(); err != nil {
		return err
	}
	for n := uint64(0); ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return &fault{"cancelled", "nobody waits any more"}
		}
		if try := binary.BigEndian.AppendUint64(nil, n); t.zeros(try) >= int(t.Body[0]) {
			emit(try)
			return nil
		}
	}
}

// judge scores one trial; the caller holds mu.
func (s *stamp) judge(t trial) score {
	switch {
	case t.Answer.Error != "":
		return score{Reason: "no answer: " + t.Answer.Error}
	case t.Task.check() != nil:
		return score{Reason: "the task is none of this kind"}
	case len(t.Answer.Body) != 8 || t.Task.zeros(t.Answer.Body) < int(t.Task.Body[0]):
		return score{Reject: true, Reason: "the stamp is not this miner's for this task"}
	}
	s.seen[t.Task.Miner.UID]++
	return score{Value: 1, Units: 1 << t.Task.Body[0]}
}

// reply is what is written back: one of chunk, result and error.
type reply struct {
	ID     uint64 `json:"id,omitempty"`
	Chunk  []byte `json:"chunk,omitempty"`
	Result any    `json:"result,omitempty"`
	Error  *fault `json:"error,omitempty"`
}

func (s *stamp) answer(ctx context.Context, id uint64, method string, params json.RawMessage, say func(reply)) {
	result, err := s.call(ctx, method, params, func(chunk []byte) { say(reply{ID: id, Chunk: chunk}) })
	if err == nil {
		say(reply{ID: id, Result: result})
		return
	}
	var f *fault
	if !errors.As(err, &f) {
		log.Print(err)
		f = &fault{"internal", "see the log"}
	}
	say(reply{ID: id, Error: f})
}

// lines serves standard input and output.
func (s *stamp) lines() error {
	var mu sync.Mutex // guards what is written, and cancels
	cancels := map[uint64]context.CancelFunc{}
	say := func(r reply) {
		mu.Lock()
		defer mu.Unlock()
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			log.Fatal(err)
		}
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var q struct {
			ID     uint64
			Method string
			Params json.RawMessage
		}
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			return err
		}
		if q.Method == "cancel" {
			var p struct{ ID uint64 }
			if err := json.Unmarshal(q.Params, &p); err != nil {
				return err
			}
			mu.Lock()
			if cancel := cancels[p.ID]; cancel != nil {
				cancel()
			}
			mu.Unlock()
			continue
		}
		if q.Method != "work" { // in order
			s.answer(context.Background(), q.ID, q.Method, q.Params, say)
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		mu.Lock()
		cancels[q.ID] = cancel
		mu.Unlock()
		go func() {
			s.answer(ctx, q.ID, q.Method, q.Params, say)
			mu.Lock()
			delete(cancels, q.ID)
			mu.Unlock()
			cancel()
		}()
	}
	return in.Err()
}

// ServeHTTP serves POST /v1/METHOD.
func (s *stamp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, 64<<20)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.answer(r.Context(), 0, r.PathValue("method"), body.Bytes(), func(a reply) {
		if err := json.NewEncoder(w).Encode(a); err != nil {
			return // the caller is gone, and so is its context
		}
		_ = http.NewResponseController(w).Flush()
	})
}

func main() {
	address := flag.String("http", "", "listen on this address, and not on standard input")
	flag.Parse()
	s := &stamp{bits: 10, seen: map[uint16]int{}}
	if *address == "" {
		if err := s.lines(); err != nil {
			log.Fatal(err)
		}
		return
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	mux := http.NewServeMux()
	mux.Handle("POST /v1/{method}", s)
	log.Fatal(http.Serve(listener, mux))
}
