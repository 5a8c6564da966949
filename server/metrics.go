package server

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dockreeve/dockreeve/server/auth"
)

// latencyBounds are the buckets of the exported histogram, in seconds.
var latencyBounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60}

// metrics serves Prometheus metrics to this machine, and to whoever is signed in.
func (s *Server) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{s})
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	guarded := s.auth.Required(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if auth.FromHere(r) {
			h.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// collector reads what the parts count at the moment of asking. Its labels are
// hop names, which the ledger bounds.
type collector struct{ s *Server }

var (
	hopIn   = prometheus.NewDesc("dockreeve_hop_in_total", "What arrived at a hop.", []string{"hop"}, nil)
	hopOut  = prometheus.NewDesc("dockreeve_hop_out_total", "What a hop handed on.", []string{"hop"}, nil)
	hopLost = prometheus.NewDesc("dockreeve_hop_lost_total", "What a hop lost.", []string{"hop"}, nil)
	latency = prometheus.NewDesc("dockreeve_kernel_to_stored_seconds", "From the event in the kernel to its finding on disk.", nil, nil)
	changes = prometheus.NewDesc("dockreeve_change_seq", "Number of the last change.", nil, nil)
	failing = prometheus.NewDesc("dockreeve_storing_fails", "1 while findings cannot be stored.", nil, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(changes, prometheus.CounterValue, float64(c.s.opt.DB.Seq()))
	in := c.s.ingest
	if in == nil {
		return
	}
	for _, h := range in.Ledger().Hops() {
		ch <- prometheus.MustNewConstMetric(hopIn, prometheus.CounterValue, float64(h.In), h.Hop)
		ch <- prometheus.MustNewConstMetric(hopOut, prometheus.CounterValue, float64(h.Out), h.Hop)
		ch <- prometheus.MustNewConstMetric(hopLost, prometheus.CounterValue, float64(h.Lost), h.Hop)
	}
	l := in.Latency()
	buckets := map[float64]uint64{}
	for _, b := range latencyBounds {
		buckets[b] = l.AtMost(int64(b * 1e9))
	}
	ch <- prometheus.MustNewConstHistogram(latency, l.Count(), float64(l.Sum())/1e9, buckets)
	fails := 0.0
	if err, _ := in.Failing(); err != nil {
		fails = 1
	}
	ch <- prometheus.MustNewConstMetric(failing, prometheus.GaugeValue, fails)
}
