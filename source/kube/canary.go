package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// canaryAgent is the user agent by which the rule canary-audit knows the canary.
const canaryAgent = "dockreeve-canary/1"

// Canary asks the API server who we are: a request that changes nothing, that everybody
// may make, and that its audit log must show. Needs Kubernetes 1.28.
func (w *Watcher) Canary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	u := *w.conn.base
	u.Path = strings.TrimSuffix(u.Path, "/") + "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", canaryAgent)
	res, err := w.conn.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated && res.StatusCode != http.StatusOK {
		return refused(res)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxStatusBytes))
	return err
}

// PodCPU is what pods use now in cores, by namespace/name, as the metrics API tells. Where
// the cluster has none the error says so.
func (w *Watcher) PodCPU(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var list struct {
		Items []struct {
			Metadata struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
			} `json:"metadata"`
			Containers []struct {
				Usage struct {
					CPU string `json:"cpu"`
				} `json:"usage"`
			} `json:"containers"`
		} `json:"items"`
	}
	err := w.conn.fetch(ctx, "/apis/metrics.k8s.io/v1beta1/pods", &list)
	var se *StatusError
	switch {
	case errors.As(err, &se) && se.Code == http.StatusNotFound:
		return nil, errors.New("the cluster has no metrics API (metrics-server): what pods use is not known, what they request is")
	case errors.As(err, &se) && se.Code == http.StatusForbidden:
		return nil, errors.New("no right to list pods.metrics.k8s.io (kubectl apply -f deploy/kubernetes/metrics.yaml): what pods use is not known, what they request is")
	case err != nil:
		return nil, fmt.Errorf("read what pods use: %w", err)
	}
	out := make(map[string]float64, len(list.Items))
	for _, p := range list.Items {
		sum := 0.0
		for _, c := range p.Containers {
			q, err := parseCPU(c.Usage.CPU)
			if err != nil {
				return nil, fmt.Errorf("what pod %s/%s uses: %w", p.Metadata.Namespace, p.Metadata.Name, err)
			}
			sum += q
		}
		out[p.Metadata.Namespace+"/"+p.Metadata.Name] = sum
	}
	return out, nil
}

// parseCPU reads a CPU quantity: 250m, 1500u, 12345n, 2.
func parseCPU(s string) (float64, error) {
	q, err := resource.ParseQuantity(s)
	if err != nil {
		return 0, fmt.Errorf("cpu %q: %w", s, err)
	}
	return q.AsApproximateFloat64(), nil
}
