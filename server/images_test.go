package server

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/inuse"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/server/client"
	"github.com/dockreeve/dockreeve/store"
)

func catalogOf(n int) *scan.Catalog {
	return &scan.Catalog{
		Image:    scan.Image{Kind: scan.KindRegistry, Name: fmt.Sprintf("r.example/app:%d", n), Digest: fmt.Sprintf("sha256:%064x", n), Layers: []scan.Layer{{DiffID: "sha256:1"}}},
		Distro:   scan.Distro{ID: "debian", Version: "12", Name: "Debian 12"},
		Packages: []scan.Package{{Type: scan.Deb, Name: "zlib1g", Version: "1:1.2.13", Source: "zlib", Layer: 0, Files: []string{"usr/lib/libz.so.1"}, Licenses: []string{"Zlib"}}},
		Secrets:  []scan.Secret{{Rule: "private-key", Title: "A private key", Severity: 4, Path: "root/.ssh/id", Redacted: "----***"}},
	}
}

func submit(t *testing.T, c *client.Client, cat *scan.Catalog, zipped bool) (*v1.SubmitScanResponse, error) {
	t.Helper()
	b, err := json.Marshal(cat)
	if err != nil {
		t.Fatal(err)
	}
	if zipped {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		b = z.Bytes()
	}
	res, err := c.Images.SubmitScan(t.Context(), connect.NewRequest(&v1.SubmitScanRequest{CatalogJson: b, Gzip: zipped}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// A scan handed in is listed, says what could not be judged, and is joined with what runs.
func TestScanTravelsFromSubmitToConsole(t *testing.T) {
	h := start(t)
	c := h.client(t)
	ctx := t.Context()
	empty, err := c.Images.ListImages(ctx, connect.NewRequest(&v1.ListImagesRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	if empty.Msg.Coverage == nil || empty.Msg.Coverage.Advisories.NotAssessed == "" || empty.Msg.Coverage.Watching {
		t.Fatalf("an empty list says what stands behind it: %v", empty.Msg)
	}
	for _, zipped := range []bool{false, true} {
		got, err := submit(t, c, catalogOf(1), zipped)
		if err != nil || got.Key != fmt.Sprintf("sha256:%064x", 1) {
			t.Fatalf("%v %v", got, err)
		}
	}
	at := time.Now().UnixNano()
	h.send(t, link.LaneStatus, link.KindStatus, link.Status{Node: "node-1", Mode: link.ModeLive, Since: at})
	h.send(t, link.LaneStatus, link.KindUse, inuse.Report{Node: "node-1", Container: "c1", Workload: "shop/Deployment/app", Image: "r.example/app:1", Digest: fmt.Sprintf("sha256:%064x", 1),
		Started: at, Since: at, Until: at + 1, Full: true, Loads: []inuse.Load{{Path: "lib/libz.so.1", First: at, Last: at}}})
	var img *v1.GetImageResponse
	for deadline := time.Now().Add(20 * time.Second); ; {
		changed := h.db.Changed()
		res, err := c.Images.GetImage(ctx, connect.NewRequest(&v1.GetImageRequest{Key: fmt.Sprintf("sha256:%064x", 1)}))
		if err != nil {
			t.Fatal(err)
		}
		img = res.Msg
		if img.Image.Running == 1 {
			break
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
			t.Fatalf("never joined: %v", img)
		}
	}
	if img.Image.NotAssessed == "" || len(img.NotAssessed) == 0 || len(img.Running) != 1 || len(img.Layers) != 1 || img.Layers[0].Packages != 1 || len(img.Secrets) != 1 || len(img.History) != 1 || img.Licences[0].Licence != "Zlib" {
		t.Fatalf("%v", img)
	}
	list, err := c.Images.ListImages(ctx, connect.NewRequest(&v1.ListImagesRequest{Filter: "running:yes assessed:no"}))
	if err != nil || len(list.Msg.Images) != 1 || list.Msg.Coverage.Running != 1 || list.Msg.Coverage.RunningAssessed != 0 || len(list.Msg.Coverage.NotAssessed) != 1 || !list.Msg.Coverage.Watching {
		t.Fatalf("%v %v", list, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; { // which package a file belongs to is told a step later
		changed := h.db.Changed()
		pkgs, err := c.Images.ListImagePackages(ctx, connect.NewRequest(&v1.ListImagePackagesRequest{Key: img.Image.Key, Filter: "in_use:yes"}))
		if err != nil {
			t.Fatal(err)
		}
		if pkgs.Msg.Total == 1 {
			break
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
			t.Fatalf("no use: %v", pkgs.Msg)
		}
	}
	if _, err := c.Images.ListImageVulnerabilities(ctx, connect.NewRequest(&v1.ListImageVulnerabilitiesRequest{Key: img.Image.Key, Filter: "kev:yes"})); err != nil {
		t.Fatal(err)
	}
	none, err := c.Images.GetVulnerability(ctx, connect.NewRequest(&v1.GetVulnerabilityRequest{Id: "CVE-2024-3094"}))
	if err != nil || none.Msg.Vulnerability != nil || none.Msg.Coverage == nil || none.Msg.Known {
		t.Fatalf("%v %v", none, err)
	}
	verdict, err := c.Images.GetVerdict(ctx, connect.NewRequest(&v1.GetVerdictRequest{Key: img.Image.Key}))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(verdict.Msg.ReportJson))
	if err != nil {
		t.Fatal(err)
	}
	var report scan.Report
	if err := json.NewDecoder(z).Decode(&report); err != nil || len(report.Packages) != 1 || len(report.NotAssessed) == 0 || report.Database.Built != 0 {
		t.Fatalf("a verdict without advisories says so: %+v %v", report, err)
	}
	if _, err := c.Images.RecordGate(ctx, connect.NewRequest(&v1.RecordGateRequest{Run: &v1.GateRun{Key: img.Image.Key, Passed: true, Pipeline: "p", Commit: "abc"}})); err != nil {
		t.Fatal(err)
	}
	list, err = c.Images.ListImages(ctx, connect.NewRequest(&v1.ListImagesRequest{Filter: "gate:passed"}))
	if err != nil || list.Msg.Total != 1 || list.Msg.Coverage.GatedRunning != 1 {
		t.Fatalf("%v %v", list, err)
	}
	rem, err := c.Images.GetRemediation(ctx, connect.NewRequest(&v1.GetRemediationRequest{}))
	if err != nil || rem.Msg.NotAssessed == "" {
		t.Fatalf("%v %v", rem, err)
	}
	status, err := c.Status.GetStatus(ctx, connect.NewRequest(&v1.GetStatusRequest{}))
	if err != nil || !strings.Contains(fmt.Sprint(status.Msg.NotAssessed), "vulnerabilities of images") {
		t.Fatalf("status says that nothing is matched: %v %v", status, err)
	}
}

func TestHostileScansAreRefused(t *testing.T) {
	h := start(t)
	c := h.client(t)
	bomb := func(n int) []byte {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		io.CopyN(w, zeros{}, int64(n))
		w.Close()
		return z.Bytes()
	}
	many := catalogOf(1)
	for range store.MaxImagePackages {
		many.Packages = append(many.Packages, scan.Package{Type: scan.NPM, Name: "x"})
	}
	noDigest := catalogOf(1)
	noDigest.Image.Digest = ""
	shown := catalogOf(1)
	shown.Secrets[0].Redacted = "hunter2"
	badLayer := catalogOf(1)
	badLayer.Packages[0].Layer = 1 << 30
	for name, x := range map[string]struct {
		req  *v1.SubmitScanRequest
		says string
	}{
		"not JSON":        {&v1.SubmitScanRequest{CatalogJson: []byte("hello")}, "want the JSON of a scan"},
		"not gzip":        {&v1.SubmitScanRequest{CatalogJson: []byte("{}"), Gzip: true}, "gzip"},
		"bomb":            {&v1.SubmitScanRequest{CatalogJson: bomb(200 << 20), Gzip: true}, "more than"},
		"empty":           {&v1.SubmitScanRequest{CatalogJson: []byte("{}")}, "digest"},
		"objects":         {&v1.SubmitScanRequest{CatalogJson: []byte(`{"packages":[` + strings.Repeat(`{},`, 300_000) + `{}]}`)}, "objects"},
		"values":          {&v1.SubmitScanRequest{CatalogJson: []byte(`{"image":{"tags":[` + strings.Repeat(`"",`, 5_000_000) + `""]}}`)}, "values"},
		"packages":        {&v1.SubmitScanRequest{CatalogJson: marshal(t, many)}, "at most 20000"},
		"no digest":       {&v1.SubmitScanRequest{CatalogJson: marshal(t, noDigest)}, "nothing to store it by"},
		"digest":          {&v1.SubmitScanRequest{CatalogJson: []byte(`{"image":{"digest":"sha256:../../etc"}}`)}, "64 hex digits"},
		"secret is shown": {&v1.SubmitScanRequest{CatalogJson: marshal(t, shown)}, "more than four characters"},
		"layer":           {&v1.SubmitScanRequest{CatalogJson: marshal(t, badLayer)}, "layer"},
	} {
		_, err := c.Images.SubmitScan(t.Context(), connect.NewRequest(x.req))
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v, want invalid_argument saying %q", name, err, x.says)
		}
	}
	_, err := c.Images.SubmitScan(t.Context(), connect.NewRequest(&v1.SubmitScanRequest{CatalogJson: make([]byte, 33<<20)}))
	if connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("too long: %v", err)
	}
	if page, err := h.db.Images(t.Context(), store.ImageQuery{}); err != nil || page.TotalAll != 0 {
		t.Errorf("something was stored: %v %v", page, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPipelineTokenMayOnlyScanAndGate(t *testing.T) {
	h := start(t)
	operator := h.client(t)
	ci := pipeline(t, h)
	if _, err := submit(t, ci, catalogOf(1), true); err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("sha256:%064x", 1)
	if _, err := ci.Images.GetVerdict(t.Context(), connect.NewRequest(&v1.GetVerdictRequest{Key: key})); err != nil {
		t.Fatal(err)
	}
	if _, err := ci.Images.RecordGate(t.Context(), connect.NewRequest(&v1.RecordGateRequest{Run: &v1.GateRun{Key: key}})); err != nil {
		t.Fatal(err)
	}
	_, listErr := ci.Images.ListImages(t.Context(), connect.NewRequest(&v1.ListImagesRequest{}))
	_, alertErr := ci.Alerts.ListAlerts(t.Context(), connect.NewRequest(&v1.ListAlertsRequest{}))
	_, linkErr := ci.SignInURL(t.Context())
	if connect.CodeOf(listErr) != connect.CodePermissionDenied || connect.CodeOf(alertErr) != connect.CodePermissionDenied || linkErr == nil {
		t.Fatalf("a pipeline's token reads: %v, %v, %v", listErr, alertErr, linkErr)
	}
	d, err := h.db.Image(t.Context(), key)
	if err != nil || len(d.Gates) != 1 || d.Gates[0].Who != "ci: build" {
		t.Fatalf("%+v %v", d.Gates, err)
	}
	if _, err := operator.Images.ListImages(t.Context(), connect.NewRequest(&v1.ListImagesRequest{})); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}
