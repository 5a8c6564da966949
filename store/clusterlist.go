package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dockreeve/dockreeve/finding"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/scan"
)

// ClusterPage is one page of clusters.
type ClusterPage struct {
	Clusters []Cluster
	Next     string
	Total    int64
	TotalAll int64
	Seq      uint64
}

var clusterListing = listing{table: "clusters", all: "1=1", columns: clusterColumns, schema: &clusterFields, first: "name", text: map[string]bool{"name": true},
	orders: map[string]string{"name": "name", "alerts": openAlertsOfCluster, "reported": "received_at"}}

// Clusters lists clusters; the order is by name unless said otherwise.
func (db *DB) Clusters(ctx context.Context, q ImageQuery) (ClusterPage, error) {
	page := ClusterPage{Seq: db.Seq()}
	var err error
	page.Next, page.Total, page.TotalAll, err = db.page(ctx, &clusterListing, q, func(rows *sql.Rows, at *string) (int64, error) {
		c, err := scanCluster(rows.Scan, at)
		page.Clusters = append(page.Clusters, c)
		return c.n, err
	})
	for i := range page.Clusters {
		if err == nil {
			err = db.clusterCounts(ctx, &page.Clusters[i])
		}
	}
	return page, err
}

func (db *DB) clusterCounts(ctx context.Context, c *Cluster) error {
	err := db.read.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM alerts WHERE cluster = ? AND status = 1), (SELECT COUNT(*) FROM alerts WHERE cluster = ? AND status = 1 AND severity = ?),
		(SELECT COUNT(*) FROM alerts WHERE cluster = ? AND status = 1 AND severity = ?),
		(SELECT COUNT(*) FROM inventory WHERE cluster = ? AND kind = 'exposure' AND reach = ?), (SELECT COUNT(*) FROM inventory WHERE cluster = ? AND kind = 'workload' AND owner = ?)`,
		c.Name, c.Name, int64(finding.Critical), c.Name, int64(finding.High), c.Name, inventory.ReachInternet, c.Name, inventory.Unowned).
		Scan(&c.AlertsOpen, &c.AlertsCritical, &c.AlertsHigh, &c.Exposed, &c.Unowned)
	return db.explain(err)
}

// documentsOf reads all documents of one kind of a cluster, by key.
func documentsOf[T any](ctx context.Context, db *DB, cluster, kind string) ([]T, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT key, doc FROM inventory WHERE cluster = ? AND kind = ? ORDER BY key", clean(cluster), kind)
	if err != nil {
		return nil, db.explain(err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var key string
		var raw []byte
		if err := rows.Scan(&key, &raw); err != nil {
			return nil, db.explain(err)
		}
		var d T
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("%s %s of cluster %s: stored document: %w", kind, key, cluster, err)
		}
		out = append(out, d)
	}
	return out, db.explain(rows.Err())
}

// ClusterNodes returns the nodes of a cluster, by name.
func (db *DB) ClusterNodes(ctx context.Context, cluster string) ([]inventory.NodeDoc, error) {
	return documentsOf[inventory.NodeDoc](ctx, db, cluster, inventory.DocNode)
}

// ClusterNodeNames returns the names of the nodes of a cluster.
func (db *DB) ClusterNodeNames(ctx context.Context, cluster string) ([]string, error) {
	return db.strings(ctx, "SELECT name FROM inventory WHERE cluster = ? AND kind = 'node' ORDER BY name", clean(cluster))
}

// Namespaces returns the namespaces of a cluster, by name.
func (db *DB) Namespaces(ctx context.Context, cluster string) ([]inventory.NamespaceDoc, error) {
	return documentsOf[inventory.NamespaceDoc](ctx, db, cluster, inventory.DocNamespace)
}

// Workload is one workload as its cluster told it, and what is known of it here.
type Workload struct {
	Cluster   string
	Doc       inventory.WorkloadDoc
	ChangeSeq uint64

	AlertsOpen  int64
	AlertsWorst finding.Severity // of the open ones; none = there is none
	Images      []WorkloadImage  // as Doc.Images, in their order

	n int64
}

// WorkloadImage is what is known of an image that a workload runs.
type WorkloadImage struct {
	Key         string // of the image; "" = the scanner does not know it
	Counts      scan.Counts
	ScannedAt   int64
	NotAssessed string // why there is no verdict; "" = there is one
}

// WorkloadPage is one page of workloads.
type WorkloadPage struct {
	Workloads []Workload
	Next      string
	Total     int64
	TotalAll  int64
	Seq       uint64
}

// workloadRisk puts what has alerts first, then what can do and be reached most.
const workloadRisk = "(" + worstAlertOfWorkload + " * 1000000000 + danger * 10 + reach_rank)"

var workloadListing = listing{table: "inventory", all: "kind = 'workload'", columns: "n, cluster, change_seq, doc", schema: &workloadFields, first: "risk", text: map[string]bool{"name": true},
	orders: map[string]string{"risk": workloadRisk, "name": "key", "alerts": openAlertsOfWorkload, "critical": inImages("critical"), "kev": inImages("kev"), "reach": "reach_rank", "pods": "pods", "created": "created"}}

func scanDocument(scan func(...any) error, n *int64, cluster *string, changed *uint64, doc any, more ...any) error {
	var seq int64
	var raw []byte
	if err := scan(append([]any{n, cluster, &seq, &raw}, more...)...); err != nil {
		return err
	}
	*changed = uint64(seq)
	if err := json.Unmarshal(raw, doc); err != nil {
		return fmt.Errorf("cluster %s: stored document: %w", *cluster, err)
	}
	return nil
}

// Workloads lists workloads; the order is risk unless said otherwise.
func (db *DB) Workloads(ctx context.Context, q ImageQuery) (WorkloadPage, error) {
	page := WorkloadPage{Seq: db.Seq()}
	var err error
	page.Next, page.Total, page.TotalAll, err = db.page(ctx, &workloadListing, q, func(rows *sql.Rows, at *string) (int64, error) {
		var w Workload
		err := scanDocument(rows.Scan, &w.n, &w.Cluster, &w.ChangeSeq, &w.Doc, at)
		page.Workloads = append(page.Workloads, w)
		return w.n, err
	})
	for i := range page.Workloads {
		if err == nil {
			err = db.joinWorkload(ctx, &page.Workloads[i])
		}
	}
	return page, err
}

// Workload returns one. The error wraps ErrNotFound.
func (db *DB) Workload(ctx context.Context, cluster, key string) (Workload, error) {
	var w Workload
	if err := db.oneDocument(ctx, cluster, inventory.DocWorkload, key, &w.n, &w.Cluster, &w.ChangeSeq, &w.Doc); err != nil {
		return w, err
	}
	err := db.joinWorkload(ctx, &w)
	return w, err
}

func (db *DB) oneDocument(ctx context.Context, cluster, kind, key string, n *int64, in *string, changed *uint64, doc any) error {
	err := scanDocument(db.read.QueryRowContext(ctx, "SELECT n, cluster, change_seq, doc FROM inventory WHERE cluster = ? AND kind = ? AND key = ?", clean(cluster), kind, short(key)).Scan, n, in, changed, doc)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s %q of cluster %q: %w", kind, key, cluster, ErrNotFound)
	}
	return db.explain(err)
}

func (db *DB) joinWorkload(ctx context.Context, w *Workload) error {
	var worst int64
	if err := db.read.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(MAX(severity),0) FROM alerts WHERE workload = ? AND cluster = ? AND status = 1", w.Doc.Key, w.Cluster).Scan(&w.AlertsOpen, &worst); err != nil {
		return db.explain(err)
	}
	w.AlertsWorst = finding.Severity(worst)
	for i := range w.Doc.Images {
		img, err := db.workloadImage(ctx, &w.Doc.Images[i])
		if err != nil {
			return err
		}
		w.Images = append(w.Images, img)
	}
	return nil
}

// workloadImage finds what is known of an image by the digests it may be known by: the
// configuration's first, which names one platform.
func (db *DB) workloadImage(ctx context.Context, i *inventory.ImageDoc) (WorkloadImage, error) {
	ref, id := refsOf(i)
	if ref == "" {
		return WorkloadImage{NotAssessed: "which image it runs is not known: no pod has told a digest yet"}, nil
	}
	for _, k := range []string{id, ref} {
		if k == "" {
			continue
		}
		img, err := db.imageRow(ctx, k)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return WorkloadImage{}, err
		}
		return WorkloadImage{Key: img.Key, Counts: img.Counts, ScannedAt: img.ScannedAt, NotAssessed: img.NotAssessed}, nil
	}
	why := "waiting: it has only just been seen"
	if i.Pods == 0 {
		why = "not scanned: no pod runs it"
	}
	return WorkloadImage{NotAssessed: why}, nil
}

// ClusterIdentity is one identity as its cluster told it, and what it has done.
type ClusterIdentity struct {
	Cluster   string
	Doc       inventory.IdentityDoc
	ChangeSeq uint64

	AlertsOpen int64
	Usage      Usage

	n int64
}

// IdentityPage is one page of identities.
type IdentityPage struct {
	Identities []ClusterIdentity
	Next       string
	Total      int64
	TotalAll   int64
	Seq        uint64
}

var identityListing = listing{table: "inventory", all: "kind = 'identity'", columns: "n, cluster, change_seq, doc", schema: &identityFields, first: "risk", text: map[string]bool{"name": true},
	orders: map[string]string{"risk": "danger", "name": "key", "alerts": openAlertsOfIdentity, "used": "COALESCE(" + lastUse + ",-1)", "requests": "COALESCE(" + requests + ",-1)", "denied": "COALESCE(" + denials + ",-1)", "created": "created"}}

// Identities lists identities; the order is risk unless said otherwise.
func (db *DB) Identities(ctx context.Context, q ImageQuery) (IdentityPage, error) {
	page := IdentityPage{Seq: db.Seq()}
	if q.Now == 0 {
		q.Now = db.opt.Now()
	}
	var err error
	page.Next, page.Total, page.TotalAll, err = db.page(ctx, &identityListing, q, func(rows *sql.Rows, at *string) (int64, error) {
		var x ClusterIdentity
		err := scanDocument(rows.Scan, &x.n, &x.Cluster, &x.ChangeSeq, &x.Doc, at)
		page.Identities = append(page.Identities, x)
		return x.n, err
	})
	for i := range page.Identities {
		if err == nil {
			err = db.joinIdentity(ctx, &page.Identities[i], q.Now)
		}
	}
	return page, err
}

// Identity returns one, by the key of its document or of its habits. Of one whose cluster
// tells no document, but which has used the API, the scope is unknown. The error wraps
// ErrNotFound.
func (db *DB) Identity(ctx context.Context, cluster, key string, now int64) (ClusterIdentity, error) {
	var x ClusterIdentity
	err := db.oneDocument(ctx, cluster, inventory.DocIdentity, documentKey(key), &x.n, &x.Cluster, &x.ChangeSeq, &x.Doc)
	if errors.Is(err, ErrNotFound) {
		u, uerr := db.usage(ctx, clean(cluster), HabitKey(clean(key)), now)
		if uerr != nil {
			return x, uerr
		}
		if u.Requests == 0 {
			return x, err
		}
		x.Cluster, x.Doc, err = clean(cluster), strangerDoc(documentKey(clean(key))), nil
	}
	if err != nil {
		return x, err
	}
	err = db.joinIdentity(ctx, &x, now)
	return x, err
}

// strangerDoc is what the key alone says of an identity.
func strangerDoc(key string) inventory.IdentityDoc {
	d := inventory.IdentityDoc{Key: key, Kind: "User", Name: key, Owner: inventory.Unowned, Scope: "unknown"}
	if kind, name, ok := strings.Cut(key, ":"); ok {
		d.Name = name
		if kind == "serviceaccount" {
			d.Kind = "ServiceAccount"
			d.Namespace, d.Name, _ = strings.Cut(name, "/")
		}
	}
	d.Platform = strings.HasPrefix(d.Name, "system:")
	return d
}

func (db *DB) joinIdentity(ctx context.Context, x *ClusterIdentity, now int64) error {
	who := HabitKey(x.Doc.Key)
	if err := db.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM alerts WHERE identity = ? AND cluster = ? AND status = 1", who, x.Cluster).Scan(&x.AlertsOpen); err != nil {
		return db.explain(err)
	}
	var err error
	x.Usage, err = db.usage(ctx, x.Cluster, who, now)
	return err
}

// Exposure is one way in, as its cluster told it.
type Exposure struct {
	Cluster   string
	Doc       inventory.ExposureDoc
	ChangeSeq uint64

	n int64
}

// ExposurePage is one page of exposures.
type ExposurePage struct {
	Exposures []Exposure
	Next      string
	Total     int64
	TotalAll  int64
	Seq       uint64
}

var exposureListing = listing{table: "inventory", all: "kind = 'exposure'", columns: "n, cluster, change_seq, doc", schema: &exposureFields, first: "reach", text: map[string]bool{"name": true},
	orders: map[string]string{"reach": "(reach_rank * 1000 + danger)", "name": "key", "risk": "danger", "created": "created"}}

// Exposures lists exposures, those that reach furthest first unless said otherwise.
func (db *DB) Exposures(ctx context.Context, q ImageQuery) (ExposurePage, error) {
	page := ExposurePage{Seq: db.Seq()}
	var err error
	page.Next, page.Total, page.TotalAll, err = db.page(ctx, &exposureListing, q, func(rows *sql.Rows, at *string) (int64, error) {
		var x Exposure
		err := scanDocument(rows.Scan, &x.n, &x.Cluster, &x.ChangeSeq, &x.Doc, at)
		page.Exposures = append(page.Exposures, x)
		return x.n, err
	})
	return page, err
}

// Exposure returns one by its key. The error wraps ErrNotFound.
func (db *DB) Exposure(ctx context.Context, cluster, key string) (Exposure, error) {
	var x Exposure
	err := db.oneDocument(ctx, cluster, inventory.DocExposure, key, &x.n, &x.Cluster, &x.ChangeSeq, &x.Doc)
	return x, err
}
