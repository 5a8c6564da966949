package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"connectrpc.com/connect"

	v1 "github.com/dockreeve/dockreeve/api/dockreeve/v1"
	"github.com/dockreeve/dockreeve/api/dockreeve/v1/dockreevev1connect"
	"github.com/dockreeve/dockreeve/link"
	"github.com/dockreeve/dockreeve/query"
	"github.com/dockreeve/dockreeve/scan"
	"github.com/dockreeve/dockreeve/server/auth"
	"github.com/dockreeve/dockreeve/server/images"
	"github.com/dockreeve/dockreeve/store"
)

var _ dockreevev1connect.ImageServiceHandler = (*API)(nil)

// Bounds of a submitted scan. A small text must not become a big memory: what its
// decoding makes is bounded by the objects and values in it.
const (
	MaxScan        = 32 << 20 // bytes as sent, compressed or not
	maxScanJSON    = 64 << 20 // bytes of JSON
	maxScanObjects = 200_000
	maxScanValues  = 4_000_000
	maxSubmits     = 2 // decoded at once
)

// MaxBody is how many bytes a request to a path may have.
func MaxBody(path string) int64 {
	if path == dockreevev1connect.ImageServiceSubmitScanProcedure {
		return MaxScan/3*4 + 4096 // as base64 in JSON
	}
	if most := maxGovernance(path); most > 0 {
		return most
	}
	return MaxRequest + 1024
}

func (a *API) noImages() error {
	return connect.NewError(connect.CodeUnimplemented, errors.New("this server keeps no images"))
}

func (a *API) imageQuery(s *query.Schema, filter, order, cursor string, size int32) (store.ImageQuery, error) {
	f, err := query.Parse(s, filter)
	return store.ImageQuery{Filter: f, Order: order, Limit: int(size), Cursor: cursor, Now: a.opt.Clock.Now().UnixNano()}, err
}

// ListImages answers one page.
func (a *API) ListImages(ctx context.Context, req *connect.Request[v1.ListImagesRequest]) (*connect.Response[v1.ListImagesResponse], error) {
	q, err := a.imageQuery(store.ImageFields(), req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Images(ctx, q)
	if err != nil {
		return nil, a.fail(err)
	}
	cover, err := a.scanCoverage(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListImagesResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq, Coverage: cover}
	for i := range page.Images {
		out.Images = append(out.Images, imageOf(&page.Images[i]))
	}
	return connect.NewResponse(out), nil
}

// GetImage answers one image whole, but for its vulnerabilities and packages.
func (a *API) GetImage(ctx context.Context, req *connect.Request[v1.GetImageRequest]) (*connect.Response[v1.GetImageResponse], error) {
	d, err := a.opt.DB.Image(ctx, req.Msg.Key)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetImageResponse{Image: imageOf(&d.Image), ChangeSeq: d.Seq, Running: runningOf(d.Running)}
	for i := range d.History {
		h := &d.History[i]
		out.History = append(out.History, &v1.ImageHistory{Time: h.Time, Cause: h.Cause, Counts: countsOf(&h.Counts), Appeared: h.Appeared, Gone: h.Gone, AppearedTotal: h.AppearedTotal, GoneTotal: h.GoneTotal})
	}
	for i := range d.Gates {
		g := &d.Gates[i]
		out.Gates = append(out.Gates, &v1.GateRun{Key: g.Key, Time: g.Time, Passed: g.Passed, Commit: g.Commit, Pipeline: g.Pipeline, Policy: g.Policy, Reasons: g.Reasons, Url: g.URL})
	}
	if d.Catalog == nil {
		out.NotAssessed = []*v1.Gap{{What: "the whole image", Reason: d.NotAssessed}}
		return connect.NewResponse(out), nil
	}
	findings, err := a.opt.DB.Findings(ctx, d.Key)
	if err != nil {
		return nil, a.fail(err)
	}
	if a.opt.Images != nil {
		if d.Catalog.Base, err = a.opt.Images.Base(ctx, d.Catalog); err != nil {
			return nil, a.fail(err)
		}
	}
	fillCatalog(out, &d, findings)
	return connect.NewResponse(out), nil
}

// ListImageVulnerabilities answers one page of one image's vulnerabilities.
func (a *API) ListImageVulnerabilities(ctx context.Context, req *connect.Request[v1.ListImageVulnerabilitiesRequest]) (*connect.Response[v1.ListImageVulnerabilitiesResponse], error) {
	q, err := a.imageQuery(store.FindingFields(), req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.ImageVulnerabilities(ctx, req.Msg.Key, q)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListImageVulnerabilitiesResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll}
	for i := range page.Findings {
		out.Vulnerabilities = append(out.Vulnerabilities, findingOf(&page.Findings[i]))
	}
	return connect.NewResponse(out), nil
}

// ListImagePackages answers one page of one image's packages.
func (a *API) ListImagePackages(ctx context.Context, req *connect.Request[v1.ListImagePackagesRequest]) (*connect.Response[v1.ListImagePackagesResponse], error) {
	q, err := a.imageQuery(store.PackageFields(), req.Msg.Filter, "", req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.ImagePackages(ctx, req.Msg.Key, q)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListImagePackagesResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll}
	for i := range page.Packages {
		p := &page.Packages[i]
		out.Packages = append(out.Packages, &v1.ImagePackage{Type: text(string(p.Type)), Name: text(p.Name), Version: text(p.Version), Purl: text(p.PURL), Licenses: textsOf(p.Licenses), Location: text(p.Location),
			Layer: int32(p.Layer), OwnedBy: text(p.OwnedBy), Use: useOf(&p.Use), Vulnerabilities: p.Vulnerabilities})
	}
	return connect.NewResponse(out), nil
}

// ListVulnerabilities answers one page, one row for each id over all images.
func (a *API) ListVulnerabilities(ctx context.Context, req *connect.Request[v1.ListVulnerabilitiesRequest]) (*connect.Response[v1.ListVulnerabilitiesResponse], error) {
	q, err := a.imageQuery(store.VulnerabilityFields(), req.Msg.Filter, req.Msg.Order, req.Msg.Cursor, req.Msg.PageSize)
	if err != nil {
		return nil, a.fail(err)
	}
	page, err := a.opt.DB.Vulnerabilities(ctx, q)
	if err != nil {
		return nil, a.fail(err)
	}
	cover, err := a.scanCoverage(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.ListVulnerabilitiesResponse{NextCursor: page.Next, Total: page.Total, TotalAll: page.TotalAll, ChangeSeq: page.Seq, Coverage: cover}
	for i := range page.Vulnerabilities {
		out.Vulnerabilities = append(out.Vulnerabilities, vulnerabilityOf(&page.Vulnerabilities[i]))
	}
	return connect.NewResponse(out), nil
}

// maxID bounds the id of a vulnerability that is asked for.
const maxID = 256

// GetVulnerability answers whether anything ever seen is affected, and where it runs.
func (a *API) GetVulnerability(ctx context.Context, req *connect.Request[v1.GetVulnerabilityRequest]) (*connect.Response[v1.GetVulnerabilityResponse], error) {
	id := strings.TrimSpace(req.Msg.Id)
	if id == "" || len(id) > maxID {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("id: %d bytes, want 1 to %d, as in CVE-2024-3094", len(id), maxID))
	}
	cover, err := a.scanCoverage(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetVulnerabilityResponse{Coverage: cover}
	var others []string
	if a.opt.Images != nil {
		if out.Known, others, err = a.opt.Images.Known(id); err != nil {
			return nil, a.fail(err)
		}
	}
	d, err := a.opt.DB.Vulnerability(ctx, id)
	for i := 0; errors.Is(err, store.ErrNotFound) && i < len(others); i++ {
		d, err = a.opt.DB.Vulnerability(ctx, others[i]) // by another name of the same matter
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		out.Aliases = others
		return connect.NewResponse(out), nil
	case err != nil:
		return nil, a.fail(err)
	}
	out.Known = true
	out.Vulnerability, out.Aliases, out.References, out.AffectedTotal = vulnerabilityOf(&d.Vulnerability), textsOf(d.Aliases), textsOf(d.References), d.Total
	for i := range d.Affected {
		x := &d.Affected[i]
		one := &v1.AffectedImage{Image: imageOf(&x.Image), Running: runningOf(x.Running), Owner: x.Owner}
		for j := range x.Findings {
			one.Findings = append(one.Findings, findingOf(&x.Findings[j]))
		}
		out.Affected = append(out.Affected, one)
	}
	return connect.NewResponse(out), nil
}

// GetAdvisoryStatus answers how old the advisories are, and whether all is matched
// with them.
func (a *API) GetAdvisoryStatus(ctx context.Context, _ *connect.Request[v1.GetAdvisoryStatusRequest]) (*connect.Response[v1.GetAdvisoryStatusResponse], error) {
	s, err := a.advisoryStatus(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.GetAdvisoryStatusResponse{Status: s}), nil
}

func (a *API) advisoryStatus(ctx context.Context) (*v1.AdvisoryStatus, error) {
	if a.opt.Images == nil {
		return &v1.AdvisoryStatus{NotAssessed: "this server keeps no images"}, nil
	}
	s, err := a.opt.Images.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.AdvisoryStatus{Built: s.Info.Built, NotAssessed: s.NotAssessed, Stale: s.Stale, MaxAge: max(0, int64(s.MaxAge)), Version: s.Info.Version,
		MatchedAt: s.Matched.Time, RematchedImages: int64(s.Matched.Images), UpdateError: s.UpdateError}
	if c := &s.Canary; c.Sent != 0 || c.NotAssessed != "" {
		out.Canary = &v1.ImageCanary{Sent: c.Sent, Seen: c.Seen, Every: c.Every, Found: c.What, Built: c.Built, Missed: c.Missed, NotAssessed: c.NotAssessed}
	}
	for _, f := range s.Info.Feeds {
		out.Feeds = append(out.Feeds, &v1.Feed{Name: f.Name, Records: int64(f.Records), Date: f.Date, Fetched: f.Fetched, Licence: f.Licence, Error: f.Error})
	}
	return out, nil
}

func (a *API) scanCoverage(ctx context.Context) (*v1.ScanCoverage, error) {
	c, err := a.opt.DB.ImageCoverage(ctx)
	if err != nil {
		return nil, err
	}
	out := &v1.ScanCoverage{Running: c.Running, RunningAssessed: c.Assessed, GatedRunning: c.Gated}
	for _, g := range c.NotAssessed {
		out.NotAssessed = append(out.NotAssessed, gapOf(&g))
	}
	if out.Advisories, err = a.advisoryStatus(ctx); err != nil {
		return nil, err
	}
	nodes, err := a.opt.DB.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	now := a.opt.Clock.Now().UnixNano()
	for i := range nodes {
		n := &nodes[i]
		if n.Mode != link.ModeCluster && notWatching(n, now) == "" || n.Mode == link.ModeCluster && Reporting(n, now) {
			out.Watching = true // a cluster's agent tells what runs, whether or not its API server is watched
		}
	}
	return out, nil
}

// SubmitScan stores a scan made elsewhere.
func (a *API) SubmitScan(ctx context.Context, req *connect.Request[v1.SubmitScanRequest]) (*connect.Response[v1.SubmitScanResponse], error) {
	if a.opt.Images == nil {
		return nil, a.noImages()
	}
	select {
	case a.submits <- struct{}{}:
		defer func() { <-a.submits }()
	case <-ctx.Done():
		return nil, a.fail(ctx.Err())
	}
	c, err := decodeCatalog(req.Msg.CatalogJson, req.Msg.Gzip)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	var key string
	var counts scan.Counts
	if strings.HasPrefix(a.opt.Who(ctx), auth.CILabel) {
		key, counts, err = a.opt.Images.SubmitFromPipeline(ctx, c)
	} else {
		key, counts, err = a.opt.Images.Submit(ctx, c, "", "")
	}
	switch {
	case errors.Is(err, images.ErrCatalog), errors.Is(err, store.ErrImage):
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	case err != nil:
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.SubmitScanResponse{Key: key, Counts: countsOf(&counts)}), nil
}

func decodeCatalog(b []byte, zipped bool) (*scan.Catalog, error) {
	if len(b) > MaxScan {
		return nil, fmt.Errorf("catalog_json: %d bytes, at most %d", len(b), MaxScan)
	}
	if zipped {
		r, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("catalog_json: gzip was said, but it is not: %w", err)
		}
		if b, err = io.ReadAll(io.LimitReader(r, maxScanJSON+1)); err != nil {
			return nil, fmt.Errorf("catalog_json: decompress: %w", err)
		}
	}
	if len(b) > maxScanJSON {
		return nil, fmt.Errorf("catalog_json: more than %d bytes of JSON", maxScanJSON)
	}
	if n := bytes.Count(b, []byte{'{'}); n > maxScanObjects {
		return nil, fmt.Errorf("catalog_json: %d objects, at most %d", n, maxScanObjects)
	}
	if n := bytes.Count(b, []byte{','}); n > maxScanValues {
		return nil, fmt.Errorf("catalog_json: %d values, at most %d", n, maxScanValues)
	}
	c := &scan.Catalog{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("catalog_json: want the JSON of a scan, as dockreeve scan -o json writes it: %w", err)
	}
	return c, nil
}

// GetVerdict answers what is wrong with a stored image by the advisories of now.
func (a *API) GetVerdict(ctx context.Context, req *connect.Request[v1.GetVerdictRequest]) (*connect.Response[v1.GetVerdictResponse], error) {
	if a.opt.Images == nil {
		return nil, a.noImages()
	}
	r, err := a.opt.Images.Verdict(ctx, req.Msg.Key)
	if err != nil {
		return nil, a.fail(err)
	}
	for i := range r.Packages {
		r.Packages[i].Files, r.Packages[i].Dirs = nil, nil // they tell use, which is told
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(w).Encode(r), w.Close()); err != nil {
		return nil, a.fail(fmt.Errorf("encode the verdict of %s: %w", req.Msg.Key, err))
	}
	return connect.NewResponse(&v1.GetVerdictResponse{ReportJson: b.Bytes()}), nil
}

// RecordGate stores that a pipeline judged an image.
func (a *API) RecordGate(ctx context.Context, req *connect.Request[v1.RecordGateRequest]) (*connect.Response[v1.RecordGateResponse], error) {
	g := req.Msg.Run
	if g == nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("run: it is missing"))
	}
	err := a.opt.DB.RecordGate(ctx, store.GateRun{Key: g.Key, Time: g.Time, Passed: g.Passed, Commit: g.Commit, Pipeline: g.Pipeline, Policy: g.Policy, Reasons: g.Reasons, URL: g.Url, Who: a.opt.Who(ctx)})
	if errors.Is(err, store.ErrGate) {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	if err != nil {
		return nil, a.fail(err)
	}
	return connect.NewResponse(&v1.RecordGateResponse{}), nil
}

// GetRemediation answers how fast vulnerabilities leave what runs.
func (a *API) GetRemediation(ctx context.Context, req *connect.Request[v1.GetRemediationRequest]) (*connect.Response[v1.GetRemediationResponse], error) {
	f, err := query.Parse(store.RemediationFields(), req.Msg.Filter)
	if err != nil {
		return nil, a.fail(err)
	}
	if req.Msg.Since < 0 {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("since: it is before 1970"))
	}
	first, err := a.opt.DB.ClocksSince(ctx)
	if err != nil {
		return nil, a.fail(err)
	}
	out := &v1.GetRemediationResponse{Since: max(req.Msg.Since, first)}
	if first == 0 {
		out.NotAssessed = "no vulnerability has been detected in anything that runs: either nothing that runs is watched, or it has not been scanned"
	}
	rows, err := a.opt.DB.Remediation(ctx, f, req.Msg.Since, a.opt.Clock.Now().UnixNano())
	if err != nil {
		return nil, a.fail(err)
	}
	for i := range rows {
		r := &rows[i]
		group := r.Severity.String()
		if r.Severity == 0 {
			group = "unrated"
		}
		if r.Owned {
			if group = r.Owner; group == "" {
				group = "unowned"
			}
		}
		out.Rows = append(out.Rows, &v1.RemediationRow{Group: group, Severity: v1.Severity(r.Severity), Closed: r.Closed, ClosedP50: r.ClosedP50, ClosedP90: r.ClosedP90, Gone: r.Gone,
			Open: r.Open, OpenP50: r.OpenP50, OpenP90: r.OpenP90, OpenMax: r.OpenMax})
	}
	return connect.NewResponse(out), nil
}

// licencesShown bounds the licences of GetImage.
const licencesShown = 500

func fillCatalog(out *v1.GetImageResponse, d *store.ImageDetail, findings []store.ImageFinding) {
	c := d.Catalog
	out.User, out.Entrypoint = text(c.Image.Config.User), textsOf(append(slices.Clip(c.Image.Config.Entrypoint), c.Image.Config.Cmd...))
	layers := make([]scan.Counts, len(c.Image.Layers))
	packages := make([]int64, len(layers))
	for i := range findings {
		f := &findings[i]
		if l := f.Package.Layer; l >= 0 && l < len(layers) {
			add(&layers[l], &f.Vulnerability)
		}
	}
	licences := map[string]int64{}
	for i := range c.Packages {
		p := &c.Packages[i]
		if p.Layer >= 0 && p.Layer < len(packages) {
			packages[p.Layer]++
		}
		for _, l := range p.Licenses {
			licences[l]++
		}
		if len(p.Licenses) == 0 {
			licences[""]++
		}
	}
	for i := range c.Image.Layers {
		l := &c.Image.Layers[i]
		out.Layers = append(out.Layers, &v1.ImageLayer{Digest: text(l.Digest), DiffId: text(l.DiffID), Size: l.Size, CreatedBy: text(l.CreatedBy), Base: l.Base, NotAssessed: text(l.NotAssessed), Packages: packages[i], Counts: countsOf(&layers[i])})
	}
	for l, n := range licences {
		out.Licences = append(out.Licences, &v1.LicenceCount{Licence: text(l), Packages: n})
	}
	slices.SortFunc(out.Licences, func(a, b *v1.LicenceCount) int {
		if a.Packages != b.Packages {
			return int(b.Packages - a.Packages)
		}
		return strings.Compare(a.Licence, b.Licence)
	})
	out.Licences = out.Licences[:min(len(out.Licences), licencesShown)]
	for i := range c.Secrets {
		s := &c.Secrets[i]
		out.Secrets = append(out.Secrets, &v1.ImageSecret{Rule: text(s.Rule), Title: text(s.Title), Severity: v1.Severity(s.Severity), Path: text(s.Path), Where: text(s.Where), Line: int32(s.Line), Layer: int32(s.Layer), Deleted: s.Deleted, Redacted: text(s.Redacted)})
	}
	for i := range c.Config {
		m := &c.Config[i]
		out.Missteps = append(out.Missteps, &v1.ImageMisstep{Check: text(m.Check), Title: text(m.Title), Severity: v1.Severity(m.Severity), Detail: text(m.Detail), Remedy: text(m.Remedy), Path: text(m.Path)})
	}
	for i := range c.Malware {
		m := &c.Malware[i]
		out.Malware = append(out.Malware, &v1.ImageMalware{Path: text(m.Path), Name: text(m.Name), Sha256: text(m.SHA256), List: text(m.List), Layer: int32(m.Layer)})
	}
	if b := c.Base; b != nil {
		out.Base = &v1.BaseImage{Name: text(b.Name), Digest: text(b.Digest), Layers: int32(b.Layers), Newer: text(b.Newer), Removes: int32(b.Removes), Adds: int32(b.Adds)}
	}
	if d.NotAssessed != "" {
		out.NotAssessed = append(out.NotAssessed, &v1.Gap{What: "its vulnerabilities", Reason: d.NotAssessed})
	}
	for _, list := range [][]scan.Gap{c.NotAssessed, d.MatchGaps} {
		for i := range list {
			out.NotAssessed = append(out.NotAssessed, gapOf(&list[i]))
		}
	}
}
