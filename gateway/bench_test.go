package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkOverhead puts streams through a gateway over loopback HTTP beside
// the same miners called directly, in one run. Miners say 64 pieces, 1 ms apart
// after 5 ms, so what is measured is what the gateway adds.
func BenchmarkOverhead(b *testing.B) {
	for _, streams := range []int{1, 16} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			says := make([]string, 64)
			for i := range says {
				says[i] = "word "
			}
			miner := func() *fakeMiner {
				m := honest(says...)
				m.wait, m.step = 5*time.Millisecond, time.Millisecond
				return m
			}
			n := fakes(miner(), miner(), miner())
			g := open(b, n, Limits{})
			l, err := Listen("127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			go func() { ended <- g.Run(ctx, l) }()
			url := "http://" + l.Addr().String() + "/v1/chat/completions"
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: streams}}

			engine := func() (first, all time.Duration) {
				began := time.Now()
				p, bad := g.readChat([]byte(hello + `}`))
				if bad != nil {
					b.Error(bad)
				}
				_, err := n.Ask(b.Context(), 0, must(p.ask.Encode()), time.Minute, func([]byte) error {
					if first == 0 {
						first = time.Since(began)
					}
					return nil
				})
				if err != nil {
					b.Error(err)
				}
				return first, time.Since(began)
			}
			gateway := func() (first, all time.Duration) {
				began := time.Now()
				res, err := client.Post(url, "application/json", strings.NewReader(hello+`,"stream":true}`))
				if err != nil {
					b.Error(err)
					return 0, 0
				}
				lines := bufio.NewReader(res.Body)
				if _, err := lines.ReadBytes('\n'); err != nil {
					b.Error(err)
				}
				first = time.Since(began)
				rest, _ := io.ReadAll(lines)
				if !bytes.HasSuffix(rest, []byte("[DONE]\n\n")) {
					b.Errorf("the stream ends in %q", rest[max(0, len(rest)-100):])
				}
				_ = res.Body.Close()
				return first, time.Since(began)
			}
			run := func(f func() (first, all time.Duration)) (firsts, alls []time.Duration) {
				var mu sync.Mutex
				var wg sync.WaitGroup
				for range streams {
					wg.Go(func() {
						first, all := f()
						mu.Lock()
						defer mu.Unlock()
						firsts, alls = append(firsts, first), append(alls, all)
					})
				}
				wg.Wait()
				return firsts, alls
			}
			run(gateway) // opens the connections
			var ef, ea, gf, ga []time.Duration
			for b.Loop() {
				first, all := run(engine)
				ef, ea = append(ef, first...), append(ea, all...)
				first, all = run(gateway)
				gf, ga = append(gf, first...), append(ga, all...)
				g.late.Wait()
			}
			report := func(name string, d []time.Duration, part float64) float64 {
				slices.Sort(d)
				v := d[min(int(float64(len(d))*part), len(d)-1)].Seconds() * 1e3
				b.ReportMetric(v, name)
				return v
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(report("gateway-first-p50-ms", gf, .5)-report("engine-first-p50-ms", ef, .5), "added-first-p50-ms")
			b.ReportMetric(report("gateway-first-p95-ms", gf, .95)-report("engine-first-p95-ms", ef, .95), "added-first-p95-ms")
			b.ReportMetric(report("gateway-all-p50-ms", ga, .5)-report("engine-all-p50-ms", ea, .5), "added-all-p50-ms")
			stop()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkFailover measures what a client sees of a miner's death in
// mid-stream: the pause, beside the time that the next miner takes to its first
// piece, which is the prefill that nobody can save.
func BenchmarkFailover(b *testing.B) {
	const prefill = 50 * time.Millisecond
	says := strings.SplitAfter(strings.Repeat("word ", 40), " ")
	miner := func() *fakeMiner {
		m := honest(says[:40]...)
		m.wait, m.step, m.dieAt = prefill, 5*time.Millisecond, 20
		return m
	}
	g := open(b, fakes(miner(), miner(), miner()), Limits{})
	var added []time.Duration
	for b.Loop() {
		g.models[0].routing.breakers = breakers{}
		w := post(b.Context(), g, "/v1/chat/completions", hello+`,"stream":true,"plexus":{"miners":1}}`)
		chunks, said := readStream(b, w.Body)
		p := chunks[len(chunks)-1].Plexus
		if said != strings.Join(says, "") || p == nil || len(p.Resumed) != 1 {
			b.Fatalf("streamed %q", said)
		}
		added = append(added, time.Duration(*p.Resumed[0].Gap*1e6)-prefill)
		g.late.Wait()
	}
	slices.Sort(added)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(added, .5), "added-p50-ms")
	b.ReportMetric(ms(added, .99), "added-p99-ms")
}
