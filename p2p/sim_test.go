package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
)

// simulate runs f in virtual time on a network of n hosts, 10 ms apart, of
// which all but the first know only the first.
func simulate(t *testing.T, n int, f func(t *testing.T, hosts []*Host)) {
	t.Helper()
	simulateWith(t, n, func(_ int, o Options) Options { return o }, f)
}

// simulateWith lets tune change the options of each host.
func simulateWith(t *testing.T, n int, tune func(i int, o Options) Options, f func(t *testing.T, hosts []*Host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const mbps = simlibp2p.OneMbps
		link := simnet.NodeBiDiLinkSettings{
			Downlink: simnet.LinkSettings{BitsPerSecond: 100 * mbps},
			Uplink:   simnet.LinkSettings{BitsPerSecond: 100 * mbps},
		}
		wire := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(5 * time.Millisecond)}
		var hosts []*Host
		defer func() {
			for _, h := range hosts {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}
			wire.Close()
		}()
		var bootstrap []string
		for i := range n {
			h, err := New(tune(i, Options{
				Reach:     LAN,
				Listen:    []string{fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(i))},
				Bootstrap: bootstrap,
				Libp2p:    []libp2p.Option{simlibp2p.QUICSimnet(wire, link), libp2p.DisableIdentifyAddressDiscovery()},
			}))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				bootstrap = []string{fmt.Sprintf("%s/p2p/%s", h.Info().Addrs[0], h.ID())}
			}
			hosts = append(hosts, h)
		}
		wire.Start()
		f(t, hosts)
	})
}

// noPortMap keeps a public host from talking to the real network's router.
func noPortMap(c *libp2p.Config) error {
	c.NATManager = nil
	return nil
}

// run starts each host's Run and returns what stops and awaits them.
func run(t *testing.T, hosts []*Host) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, len(hosts))
	for _, h := range hosts {
		go func() { ended <- h.Run(ctx) }()
	}
	return func() {
		cancel()
		for range hosts {
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
}

func TestFindThroughTheDHT(t *testing.T) {
	simulate(t, 8, func(t *testing.T, hosts []*Host) {
		stop := run(t, hosts)
		defer stop()
		axon, caller := hosts[3], hosts[7]
		axon.Serve("echo", echo)
		time.Sleep(30 * time.Second) // the tables fill
		if err := axon.Announce("plx1account", 1, 5); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)

		data, err := caller.dht.GetValue(t.Context(), recordKey(axon.ID()))
		if err != nil {
			t.Fatalf("the record is not in the DHT: %v", err)
		}
		r, err := caller.Find(t.Context(), axon.ID())
		if err != nil {
			t.Fatal(err)
		}
		if r.Account != "plx1account" || len(r.Netuids) != 2 || r.Netuids[1] != 5 || r.Peer != axon.ID() {
			t.Errorf("found %+v", r)
		}
		// Callers that have found it, that have not, and that look for it where
		// it is not.
		lost := axon.Info()
		lost.Addrs = []ma.Multiaddr{ma.StringCast("/ip4/1.0.0.250/udp/8000/quic-v1")}
		hosts[1].AddPeer(lost)
		for _, h := range []*Host{caller, hosts[6], hosts[1]} {
			if err := h.net.Network().ClosePeer(axon.ID()); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Call(t.Context(), axon.ID(), "echo", []byte("hi"), nil); err != nil {
				t.Error(err)
			}
		}

		// The record is renewed before it expires, and a copy of the old one
		// is refused.
		time.Sleep(recordLifetime + time.Minute)
		if err := (recordValidator{time.Now}).Validate(recordKey(axon.ID()), data); !errors.Is(err, ErrExpired) {
			t.Errorf("the first record after an hour: got %v, want ErrExpired", err)
		}
		again, err := caller.Find(t.Context(), axon.ID())
		if err != nil || !again.newer(r) {
			t.Errorf("after an hour: found %+v, %v", again, err)
		}
	})
}

func TestFindForgetsTheGone(t *testing.T) {
	simulate(t, 6, func(t *testing.T, hosts []*Host) {
		stop := run(t, hosts[:5])
		defer stop()
		gone := hosts[5]
		stopGone := run(t, hosts[5:])
		if err := gone.Announce("plx1account"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if _, err := hosts[1].dht.GetValue(t.Context(), recordKey(gone.ID())); err != nil {
			t.Fatalf("while it is there: %v", err)
		}
		stopGone()
		gone.net.Close()
		time.Sleep(recordLifetime + time.Minute)
		if r, err := hosts[2].Find(t.Context(), gone.ID()); err == nil {
			t.Errorf("found %+v of a peer gone for an hour", r)
		}
		if err := hosts[1].dht.PutValue(t.Context(), recordKey(gone.ID()), []byte("forged")); err == nil {
			t.Error("a forged record was put")
		}
	})
}

// A caller that trickles its request in is cut off in time.
func TestSlowRequestIsCutOff(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []*Host) {
		caller, axon := hosts[0], hosts[1]
		axon.Serve("echo", echo)
		caller.AddPeer(axon.Info())
		s, err := caller.net.NewStream(t.Context(), axon.ID(), axonProtocol)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var trickle sync.WaitGroup
		defer trickle.Wait()
		trickle.Go(func() {
			for {
				if _, err := s.Write([]byte{100}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if data, err := io.ReadAll(s); err == nil {
			t.Errorf("answered by %x", data)
		}
		if took := time.Since(start); took < requestTimeout || took > requestTimeout+time.Second {
			t.Errorf("cut off after %v, want %v", took, requestTimeout)
		}
	})
}

// A caller that takes no answer does not hold its handler for ever.
func TestSlowReaderIsCutOff(t *testing.T) {
	simulate(t, 2, func(t *testing.T, hosts []*Host) {
		caller, axon := hosts[0], hosts[1]
		ended := make(chan error, 1)
		axon.Serve("flood", func(_ context.Context, _ Request, send func([]byte) error) error {
			for {
				if err := send(make([]byte, MaxPiece)); err != nil {
					ended <- err
					return err
				}
			}
		})
		caller.AddPeer(axon.Info())
		first := true
		_, err := caller.Call(t.Context(), axon.ID(), "flood", nil, func([]byte) error {
			if first {
				first = false
				<-ended
			}
			return nil
		})
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v, want ErrUnreachable", err)
		}
	})
}

func onlyRelayed(addrs []ma.Multiaddr) []ma.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a ma.Multiaddr) bool {
		_, err := a.ValueForProtocol(ma.P_CIRCUIT)
		return err != nil
	})
}

// A peer that nobody can dial finds a relay by itself, says so in its record,
// and is called through it.
func TestCallThroughARelay(t *testing.T) {
	const hidden = 4
	tune := func(i int, o Options) Options {
		o.Reach = Public
		o.Libp2p = append(o.Libp2p, noPortMap)
		if i == hidden {
			o.Libp2p = append(o.Libp2p, libp2p.AddrsFactory(onlyRelayed), libp2p.ForceReachabilityPrivate(), func(c *libp2p.Config) error {
				c.AutoNATConfig.EnableService = false // with reachability forced, libp2p would leak it
				return nil
			})
		} else {
			o.Libp2p = append(o.Libp2p, libp2p.ForceReachabilityPublic())
		}
		return o
	}
	simulateWith(t, 5, tune, func(t *testing.T, hosts []*Host) {
		stop := run(t, hosts)
		defer stop()
		axon, caller := hosts[hidden], hosts[2]
		axon.Serve("echo", echo)
		if err := axon.Announce("plx1account"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		r, err := caller.Find(t.Context(), axon.ID())
		if err != nil {
			t.Fatalf("%v of %v", err, axon.Info())
		}
		if n := len(onlyRelayed(r.Addresses)); n == 0 || n < len(r.Addresses) {
			t.Errorf("a hidden peer announces %s", r.Addresses)
		}
		if err := caller.net.Network().ClosePeer(axon.ID()); err != nil { // it may have dialled the caller
			t.Fatal(err)
		}
		if _, err := caller.Call(t.Context(), axon.ID(), "echo", []byte("hi"), nil); err != nil {
			t.Error(err)
		}
	})
}
