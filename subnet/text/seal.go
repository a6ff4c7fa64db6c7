package text

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// A sealed answer takes two steps, so that of several miners who are asked the
// same at the same time none can wait for another's answer: each first sends
// a commitment, which its peer signs as the first piece, and tells the answer
// when all commitments must have come. Who has nothing of its own to commit to
// has nothing to tell.

// Salt hides what a commitment is to.
type Salt = [32]byte

// maxReveal bounds how long an answer may be sealed.
const maxReveal = 10 * time.Minute

// sealDomain keeps these hashes apart from all others.
const sealDomain = "plexus/text/seal/v1"

// Commitment is the hash that a sealed answer begins with:
//
//	SHA-256( "plexus/text/seal/v1" ‖ seed ‖ salt ‖ for each token:
//	         id ‖ log-probability ‖ count ‖ for each alternative: id ‖ log-probability )
//
// with all numbers as little-endian uint32 or the bits of a float32. The seed
// makes one miner's commitment worthless to another.
func Commitment(seed engine.Seed, salt Salt, tokens []engine.TokenScore) Mark {
	b := append([]byte(sealDomain), seed[:]...)
	b = append(b, salt[:]...)
	number := func(n uint32) { b = binary.LittleEndian.AppendUint32(b, n) }
	for _, t := range tokens {
		number(uint32(t.Token))
		number(math.Float32bits(t.LogProb))
		number(uint32(len(t.Top)))
		for _, c := range t.Top {
			number(uint32(c.Token))
			number(math.Float32bits(c.LogProb))
		}
	}
	return sha256.Sum256(b)
}

// sealed holds an answer back: it commits to it when it is whole, and lets go
// of it at the time set.
type sealed struct {
	out    *stream
	seed   engine.Seed
	at     time.Time // to reveal
	chunks []engine.Delta
	tokens []engine.TokenScore
}

// write keeps a delta.
func (s *sealed) write(d engine.Delta) error {
	s.chunks = append(s.chunks, d)
	s.tokens = append(s.tokens, d.Tokens...)
	return nil
}

// end commits, waits and reveals; last is how the answer ends.
func (s *sealed) end(ctx context.Context, last Chunk) error {
	rand.Read(last.Salt[:])
	commitment := Commitment(s.seed, last.Salt, s.tokens)
	if err := s.out.send(Chunk{Commitment: commitment}); err != nil {
		return err
	}
	wait := time.NewTimer(time.Until(s.at))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, d := range s.chunks {
		if err := s.out.write(d); err != nil {
			return err
		}
	}
	return s.out.end(last)
}

// errLate means that a commitment came when others' answers could be known.
var errLate = errors.New("the commitment came too late")

// unsealed checks the commitment of a sealed answer. An error that wraps
// errLate is slowness, any other a broken promise.
func unsealed(r reply, q Request, seed engine.Seed, a subnet.Answer) error {
	switch {
	case q.Reveal == 0:
		return nil
	case r.commitment == Mark{}:
		return errors.New("a sealed answer was asked for, and no commitment came first")
	case a.First > q.Reveal:
		return fmt.Errorf("%w: after %v, %v were allowed", errLate, a.First.Round(time.Millisecond), q.Reveal)
	case Commitment(seed, r.salt, r.tokens) != r.commitment:
		return errors.New("the answer is not the one committed to")
	}
	return nil
}

// crowded finds the trials of sealed answers to one question whose commitment
// came after another miner of the crowd could have told its answer.
func crowded(trials []subnet.Trial) map[int]error {
	type crowd struct {
		first time.Time // when the first of them was asked
		seats []int
	}
	crowds := map[string]*crowd{}
	for i, t := range trials {
		asked := t.Answer.Received.Add(-t.Answer.Total)
		key := string(t.Task.Body)
		c := crowds[key]
		if c == nil {
			c = &crowd{first: asked}
			crowds[key] = c
		}
		if asked.Before(c.first) {
			c.first = asked
		}
		c.seats = append(c.seats, i)
	}
	late := map[int]error{}
	for body, c := range crowds {
		q, err := DecodeRequest([]byte(body))
		if err != nil || q.Reveal == 0 || len(c.seats) < 2 {
			continue
		}
		for _, i := range c.seats {
			a := trials[i].Answer
			if by := a.Received.Add(a.First - a.Total).Sub(c.first); a.Err == nil && by > q.Reveal {
				late[i] = fmt.Errorf("%w: %v after the first miner was asked, %v were allowed", errLate, by.Round(time.Millisecond), q.Reveal)
			}
		}
	}
	return late
}
