package gateway

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the gateway's figures, named like those of vLLM.
type metrics struct {
	requests   *prometheus.CounterVec
	running    prometheus.Gauge
	firstToken prometheus.Histogram
	latency    prometheus.Histogram
	prompt     prometheus.Counter
	generation prometheus.Counter
	asked      prometheus.Counter
	failures   prometheus.Counter
	broken     prometheus.Counter
	hedges     prometheus.Counter
	resumed    prometheus.Counter
	verdicts   *prometheus.CounterVec
}

// newMetrics registers the figures.
func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	const ns = "plexus_gateway"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Name: name, Help: help,
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Name: "requests_total", Help: "Requests answered, by route and HTTP status; 499 is a client that went away.",
		}, []string{"route", "code"}),
		running:    prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: "requests_running", Help: "Requests being answered."}),
		firstToken: seconds("time_to_first_token_seconds", "From a streamed request to its first text."),
		latency:    seconds("e2e_request_latency_seconds", "From a request to the end of its answer."),
		prompt:     counter("prompt_tokens_total", "Tokens of prompts that were answered."),
		generation: counter("generation_tokens_total", "Tokens of answers given."),
		asked:      counter("miners_asked_total", "Questions put to miners."),
		failures:   counter("miner_failures_total", "Questions that a miner did not answer."),
		hedges:     counter("hedges_total", "Second questions, because the first was slow."),
		resumed:    counter("streams_resumed_total", "Times that another miner went on with a stream."),
		broken:     counter("streams_broken_total", "Streams that ended in an error after some text."),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Name: "verdicts_total", Help: "Answers of miners that were checked, by verdict.",
		}, []string{"verdict"}),
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.running, m.firstToken, m.latency, m.prompt, m.generation, m.asked, m.failures, m.broken, m.verdicts, m.hedges, m.resumed,
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) request(route string, status int) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
}

// answered counts an answer that was given.
func (m *metrics) answered(u usage, took time.Duration) {
	m.prompt.Add(float64(u.Prompt))
	m.generation.Add(float64(u.Completion))
	m.latency.Observe(took.Seconds())
}
