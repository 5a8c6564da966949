package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/scan/gate"
)

// maxVerdict bounds a report that a server sends, unpacked.
const maxVerdict = 256 << 20

// hubFlags say which server keeps the verdicts.
type hubFlags struct {
	to       target
	server   string
	recordIt bool
	commit   string
	pipeline string
	url      string
}

func (f *hubFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.server, "server", "", "judge by this server's advisories and what it saw running, and let it keep the result")
	fl.StringVar(&f.to.state, "state", defaultState(), "state directory of the server, which holds its token; DOCKREEVE_TOKEN goes before it")
	fl.BoolVar(&f.recordIt, "record", false, "record at the server that this pipeline ran the gate, and the verdict")
	fl.StringVar(&f.commit, "commit", "", "commit that the image was built from, for --record")
	fl.StringVar(&f.pipeline, "pipeline", "", "pipeline that runs the gate, for --record")
	fl.StringVar(&f.url, "run-url", "", "address of the pipeline's run, for --record")
}

// hub is a server that keeps verdicts; nil = none was named.
type hub struct {
	f *hubFlags
	c *clients
}

// dial finds the server that was named; judged says that there is a policy to judge by.
func (f *hubFlags) dial(judged bool) (*hub, error) {
	if f.server == "" {
		if f.recordIt {
			return nil, withCode(exitUsage, "--record needs --server: where should the verdict be kept?")
		}
		return nil, nil
	}
	if f.recordIt && !judged {
		return nil, withCode(exitUsage, "--record needs --fail-on: without a policy there is no verdict to record")
	}
	f.to.server = f.server
	c, err := f.to.dial()
	if err != nil {
		return nil, err
	}
	return &hub{f, c}, nil
}

// stored gives the server's report of an image; nil = the server has none.
func (h *hub) stored(ctx context.Context, key string) (*scan.Report, error) {
	if h == nil || key == "" {
		return nil, nil
	}
	r, err := h.verdict(ctx, key)
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, h.f.to.explain(err)
	}
	return r, nil
}

// submit hands a catalogue to the server and gives its report, matched there.
func (h *hub) submit(ctx context.Context, c *scan.Catalog) (*scan.Report, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	res, err := h.c.images.SubmitScan(ctx, connect.NewRequest(&v1.SubmitScanRequest{CatalogJson: z.Bytes(), Gzip: true}))
	if err != nil {
		return nil, h.f.to.explain(err)
	}
	r, err := h.verdict(ctx, res.Msg.Key)
	if err != nil {
		return nil, h.f.to.explain(err)
	}
	return r, nil
}

func (h *hub) verdict(ctx context.Context, key string) (*scan.Report, error) {
	res, err := h.c.images.GetVerdict(ctx, connect.NewRequest(&v1.GetVerdictRequest{Key: key}))
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(res.Msg.ReportJson))
	if err != nil {
		return nil, fmt.Errorf("the server's report of %s: %w", key, err)
	}
	b, err := io.ReadAll(io.LimitReader(z, maxVerdict+1))
	if err != nil {
		return nil, fmt.Errorf("the server's report of %s: %w", key, err)
	}
	if len(b) > maxVerdict {
		return nil, fmt.Errorf("the server's report of %s is over %d MiB", key, maxVerdict>>20)
	}
	r := &scan.Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("the server's report of %s: %w", key, err)
	}
	for i := range r.Vulnerabilities {
		if p := r.Vulnerabilities[i].Package; p < 0 || p >= len(r.Packages) {
			return nil, errors.New("the server's report names a package that it does not hold")
		}
	}
	return r, nil
}

// record keeps the verdict at the server.
func (h *hub) record(ctx context.Context, r *scan.Report, v gate.Verdict, j *judge) error {
	if h == nil || !h.f.recordIt {
		return nil
	}
	key := r.Image.Key()
	if key == "" {
		return errors.New("what was scanned has no digest to record a verdict for")
	}
	_, err := h.c.images.RecordGate(ctx, connect.NewRequest(&v1.RecordGateRequest{Run: &v1.GateRun{
		Key: key, Time: time.Now().UnixNano(), Passed: v.ExitCode() == exitOK, Commit: h.f.commit, Pipeline: h.f.pipeline,
		Policy: j.policy.String(), Reasons: v.Words(), Url: h.f.url,
	}}))
	if err != nil {
		return h.f.to.explain(err)
	}
	return nil
}
