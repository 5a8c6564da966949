package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/inventory"
)

const (
	kubeletsAtOnce = 4
	kubeletWait    = 20 * time.Second // for one; the API server itself gives up on a node that is gone after 30
	maxConfigz     = 256 << 10        // bytes
)

// Kubelets asks the kubelets of nodes for their configuration, through the API server
// (nodes/proxy, an optional right: deploy/kubernetes/kubelet.yaml). It returns one value
// for each node, in the order of names: what could not be told says why, and a right that
// is missing is asked for once only. It ends early, with what it has, when ctx does.
func (w *Watcher) Kubelets(ctx context.Context, nodes []string) []*inventory.Kubelet {
	out := make([]*inventory.Kubelet, len(nodes))
	var mu sync.Mutex
	refused := "" // why none will answer
	ask := func(i int) {
		k := &inventory.Kubelet{Node: nodes[i], At: w.clock.Now().UnixNano()}
		out[i] = k
		mu.Lock()
		why := refused
		mu.Unlock()
		if why == "" {
			var final bool
			if k.Config, why, final = w.configz(ctx, nodes[i]); final {
				mu.Lock()
				refused = why
				mu.Unlock()
			}
		}
		if why != "" {
			k.Why = map[string]string{"config": why}
		}
	}
	if len(nodes) > 0 {
		ask(0) // alone, as its answer may be that of all
	}
	var running sync.WaitGroup
	turns := make(chan struct{}, kubeletsAtOnce)
	for i := 1; i < len(nodes) && ctx.Err() == nil; i++ {
		turns <- struct{}{}
		running.Go(func() {
			defer func() { <-turns }()
			ask(i)
		})
	}
	running.Wait()
	return slices.DeleteFunc(out, func(k *inventory.Kubelet) bool { return k == nil })
}

// configz asks one kubelet. final says that the others would answer alike.
func (w *Watcher) configz(ctx context.Context, node string) (config map[string]string, why string, final bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dog := w.watchdog(kubeletWait, cancel)
	defer dog.stop()
	body, err := w.conn.get(ctx, "/api/v1/nodes/"+url.PathEscape(node)+"/proxy/configz", "application/json", nil)
	if err == nil {
		defer body.Close()
		var doc []byte
		if doc, err = io.ReadAll(io.LimitReader(body, maxConfigz+1)); err == nil {
			config, err = inventory.ReduceConfigz(doc)
		}
	}
	if err == nil {
		return config, "", false
	}
	var st *StatusError
	if errors.As(err, &st) {
		switch st.Code {
		case http.StatusForbidden:
			return nil, "no right to ask kubelets: grant get on nodes/proxy (kubectl apply -f deploy/kubernetes/kubelet.yaml)", true
		case http.StatusUnauthorized:
			return nil, "the API server does not accept the credentials", true
		}
		return nil, fmt.Sprintf("the kubelet of %s did not answer: %s", node, st.Error()), false
	}
	if reason, _ := explainLost(dog.err(err)); reason != "" {
		return nil, fmt.Sprintf("the kubelet of %s did not answer: %s", node, cut(reason, 256)), false
	}
	return nil, err.Error(), false
}
