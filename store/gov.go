package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dockreeve/dockreeve/cost"
	"github.com/dockreeve/dockreeve/event"
	"github.com/dockreeve/dockreeve/govern"
	"github.com/dockreeve/dockreeve/inventory"
	"github.com/dockreeve/dockreeve/posture"
)

// ChangeGovernance is told when an evaluation changed something; id: "" = many.
const ChangeGovernance = "governance"

// HopGovernance is the name under which what was not kept of governance is counted.
const HopGovernance = "store.governance"

// The whole documents of an evaluation.
const (
	GovEvaluation = "evaluation" // govern.Evaluation without its lists, its day and the scores of single clusters and owners
	GovCosts      = "costs"      // cost.Report without its clusters
	GovAnomalies  = "anomalies"  // []cost.Anomaly of GovCosts
	GovControls   = "controls"   // []posture.Control
	GovScores     = "scores"     // map[string][]posture.Score
	GovSnapshot   = "snapshot"   // what its taker says of it
	govWriting    = "writing"    // an evaluation is being written in several steps
)

// Bounds of one evaluation; what is beyond is counted as lost, and the evaluation says so.
const (
	maxGovClusters        = 20_000
	maxGovSubscriptions   = 50_000
	maxGovResults         = 500_000
	maxGovRecommendations = 50_000
	maxGovFindings        = 50_000
)

// govOnce is how many rows are written in one transaction with everything else of an
// evaluation; when more have changed they are written in steps of govStep first, so that
// findings do not wait, and the evaluation says meanwhile that it is being written.
const (
	govOnce = 5000
	govStep = 1000
)

// Governance is one evaluation as it is stored.
type Governance struct {
	Evaluation *govern.Evaluation
	Costs      *cost.Report // nil = none
	Controls   []posture.Control
	Results    []posture.Result
}

// GovStored says what SetGovernance did.
type GovStored struct {
	Written int // rows that were new or different
	Gone    int
	Same    int
	Dropped int // beyond the bounds, or of a key that came before
}

// SetGovernance replaces the current evaluation and keeps its day. Rows that are as they
// were are not written and keep their change number.
func (db *DB) SetGovernance(ctx context.Context, g *Governance) (GovStored, error) {
	db.gov.Lock()
	defer db.gov.Unlock()
	w := &govWriter{db: db, ctx: ctx}
	if err := w.write(g); err != nil {
		return w.out, fmt.Errorf("store an evaluation: %w", err)
	}
	return w.out, nil
}

// govRow is a row to write.
type govRow struct {
	key  string
	hash []byte
	doc  []byte
	cols []any
}

// govOp is one row written or removed.
type govOp struct {
	table *govTable
	row   govRow // doc nil = removed
}

type govWriter struct {
	db      *DB
	ctx     context.Context
	pending []govOp
	writing bool // in steps
	at      int64
	out     GovStored
}

func (w *govWriter) write(g *Governance) error {
	ev := g.Evaluation
	w.at = ev.At
	owners := make(map[string]string, len(ev.Clusters))
	for i := range ev.Clusters {
		owners[ev.Clusters[i].ID] = ev.Clusters[i].Ownership.Owner
		owners[ev.Clusters[i].Name] = ev.Clusters[i].Ownership.Owner
	}
	controls := make(map[string]*posture.Control, len(g.Controls))
	for i := range g.Controls {
		controls[g.Controls[i].ID] = &g.Controls[i]
	}
	if err := replaceGov(w, &govClusters, ev.Clusters, clusterColumnsOf); err != nil {
		return err
	}
	if err := replaceGov(w, &govSubscriptions, ev.Subscriptions, subscriptionColumnsOf); err != nil {
		return err
	}
	if err := replaceGov(w, &govResults, g.Results, func(r *posture.Result) (string, []any) { return resultColumnsOf(r, controls, owners) }); err != nil {
		return err
	}
	if err := replaceGov(w, &govRecommendations, ev.Recommendations, recommendationColumnsOf); err != nil {
		return err
	}
	if err := replaceGov(w, &govFindings, ev.Findings, findingColumnsOf); err != nil {
		return err
	}
	if err := w.costs(g.Costs); err != nil {
		return err
	}
	if err := w.finish(g); err != nil {
		return err
	}
	return w.db.reroute(w.ctx)
}

// clusterCost is a row of gov_costs.
type clusterCost struct {
	id string
	cost.ClusterCost
}

func (c clusterCost) MarshalJSON() ([]byte, error) { return json.Marshal(c.ClusterCost) }

func (w *govWriter) costs(r *cost.Report) error {
	var list []clusterCost
	if r != nil {
		for id, c := range r.Clusters {
			list = append(list, clusterCost{id, c})
		}
	}
	return replaceGov(w, &govCosts, list, func(c *clusterCost) (string, []any) { return c.id, nil })
}

// replaceGov makes a table hold the list.
func replaceGov[T any](w *govWriter, table *govTable, list []T, columns func(*T) (string, []any)) error {
	have, err := w.have(table)
	if err != nil {
		return err
	}
	seen := make(map[string]bool, len(list))
	for part := range slices.Chunk(list, govEncoded) {
		rows, err := govRowsOf(table, part, columns)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.key == "" || seen[row.key] || len(seen) >= table.max {
				w.out.Dropped++
				continue
			}
			seen[row.key] = true
			if old, ok := have[row.key]; ok && old == [16]byte(row.hash) {
				w.out.Same++
				continue
			}
			w.out.Written++
			if err := w.add(govOp{table, row}); err != nil {
				return err
			}
		}
	}
	for key := range have {
		if seen[key] {
			continue
		}
		w.out.Gone++
		if err := w.add(govOp{table, govRow{key: key}}); err != nil {
			return err
		}
	}
	return nil
}

// govEncoded is how many rows are encoded at once, so that their documents, of which most
// are as they were, are never all in memory.
const govEncoded = 4096

// govRowsOf encodes things as rows, by as many workers as there are processors.
func govRowsOf[T any](table *govTable, list []T, columns func(*T) (string, []any)) ([]govRow, error) {
	rows, errs := make([]govRow, len(list)), make([]error, len(list))
	workers := runtime.GOMAXPROCS(0)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(list); i += workers {
				r := &rows[i]
				r.key, r.cols = columns(&list[i])
				r.key = short(r.key)
				if r.doc, errs[i] = json.Marshal(&list[i]); errs[i] != nil {
					errs[i] = fmt.Errorf("encode %s %s: %w", table.name, r.key, errs[i])
				}
				r.hash = hashOfRow(r.doc, r.cols)
			}
		})
	}
	group.Wait()
	return rows, errors.Join(errs...)
}

func hashOfRow(doc []byte, cols []any) []byte {
	h := sha256.New()
	h.Write(doc)
	h.Write(appendColumns(make([]byte, 0, 256), cols))
	return h.Sum(nil)[:16]
}

// appendColumns writes columns as fmt.Append does, which hashes of before are of, faster.
func appendColumns(to []byte, cols []any) []byte {
	last := true // a text, or the beginning: no space after it
	for _, c := range cols {
		text, is := c.(string)
		if !is && !last {
			to = append(to, ' ')
		}
		switch v := c.(type) {
		case string:
			to = append(to, text...)
		case int64:
			to = strconv.AppendInt(to, v, 10)
		default:
			to = fmt.Append(to, v)
		}
		last = is
	}
	return to
}

func (w *govWriter) have(table *govTable) (map[string][16]byte, error) {
	rows, err := w.db.read.QueryContext(w.ctx, "SELECT key, hash FROM "+table.name)
	if err != nil {
		return nil, w.db.explain(err)
	}
	defer rows.Close()
	out := map[string][16]byte{}
	for rows.Next() {
		var key string
		var hash []byte
		if err := rows.Scan(&key, &hash); err != nil {
			return nil, w.db.explain(err)
		}
		var h [16]byte
		copy(h[:], hash)
		out[key] = h
	}
	return out, w.db.explain(rows.Err())
}

func (w *govWriter) add(op govOp) error {
	if w.pending = append(w.pending, op); len(w.pending) <= govOnce {
		return nil
	}
	for len(w.pending) > 0 {
		part := w.pending[:min(govStep, len(w.pending))]
		err := w.db.update(w.ctx, func(t *tx) error {
			if err := t.govDoc(govWriting, w.at, []byte("{}")); err != nil {
				return err
			}
			return t.govRows(part)
		})
		if err != nil {
			return err
		}
		w.pending = w.pending[len(part):]
	}
	w.pending, w.writing = nil, true
	return nil
}

// finish writes what is left, the whole documents and the day, in one transaction.
func (w *govWriter) finish(g *Governance) error {
	docs, err := w.documents(g)
	if err != nil {
		return err
	}
	day, err := packDay(&g.Evaluation.Day, w.at)
	if err != nil {
		return err
	}
	return w.db.update(w.ctx, func(t *tx) error {
		if err := t.govRows(w.pending); err != nil {
			return err
		}
		if err := t.govMaps(g.Controls); err != nil {
			return err
		}
		for _, d := range docs {
			if err := t.govDoc(d.name, w.at, d.doc); err != nil {
				return err
			}
		}
		if g.Costs == nil {
			if _, err := t.exec("DELETE FROM gov_docs WHERE name IN (?, ?)", GovCosts, GovAnomalies); err != nil {
				return err
			}
		}
		if _, err := t.exec("DELETE FROM gov_docs WHERE name = ?", govWriting); err != nil {
			return err
		}
		if err := t.govDay(day); err != nil {
			return err
		}
		if w.out.Dropped > 0 {
			now := t.db.opt.Now()
			if err := t.loss("hub", &event.Loss{Hop: HopGovernance, Reason: "too_many_rows", Count: uint64(w.out.Dropped), From: now, To: now}, now); err != nil {
				return err
			}
		}
		_, err := t.tell(ChangeGovernance, "")
		return err
	})
}

type govDocument struct {
	name string
	doc  []byte
}

func (w *govWriter) documents(g *Governance) ([]govDocument, error) {
	ev := *g.Evaluation
	ev.Clusters, ev.Subscriptions, ev.Recommendations, ev.Findings, ev.Day = nil, nil, nil, nil, govern.Day{}
	scores := ev.Scores
	ev.Scores = map[string][]posture.Score{"": scores[""]}
	if w.out.Dropped > 0 {
		ev.Gaps = append(ev.Gaps[:len(ev.Gaps):len(ev.Gaps)], inventory.Gap{What: "lists of this evaluation", Reason: fmt.Sprintf("%d rows are not kept: there are more than a list holds, or two have one key", w.out.Dropped)})
	}
	var out []govDocument
	add := func(name string, v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode %s: %w", name, err)
		}
		out = append(out, govDocument{name, b})
		return nil
	}
	err := errors.Join(add(GovEvaluation, &ev), add(GovScores, scores), add(GovControls, g.Controls))
	if g.Costs != nil && err == nil {
		r := *g.Costs
		r.Clusters = nil
		err = errors.Join(add(GovCosts, &r), add(GovAnomalies, r.Anomalies))
	}
	return out, err
}

func (t *tx) govRows(ops []govOp) error {
	if len(ops) == 0 {
		return nil
	}
	seq, err := t.tell(ChangeGovernance, "")
	if err != nil {
		return err
	}
	last := map[*govTable]int64{}
	for i := range ops {
		op := &ops[i]
		if op.row.doc == nil {
			if _, err := t.exec(op.table.drop, op.row.key); err != nil {
				return err
			}
			continue
		}
		n, ok := last[op.table]
		if !ok {
			if err := t.row(op.table.last, nil, &n); err != nil {
				return err
			}
		}
		n++
		last[op.table] = n
		if _, err := t.exec(op.table.put, append([]any{n, op.row.key, op.row.hash, int64(seq), op.row.doc}, op.row.cols...)...); err != nil {
			return fmt.Errorf("%s %s: %w", op.table.name, op.row.key, err)
		}
	}
	return nil
}

func (t *tx) govMaps(controls []posture.Control) error {
	if _, err := t.exec("DELETE FROM gov_maps"); err != nil {
		return err
	}
	for i := range controls {
		for framework, ids := range controls[i].Maps {
			for _, id := range ids {
				if _, err := t.exec("INSERT INTO gov_maps (framework, requirement, control) VALUES (?,?,?) ON CONFLICT DO NOTHING", short(framework), short(id), short(controls[i].ID)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// govDoc keeps a whole document; one that is as it was keeps its change number.
func (t *tx) govDoc(name string, at int64, doc []byte) error {
	hash := hashOfRow(doc, nil)
	n, err := t.exec("UPDATE gov_docs SET at = ? WHERE name = ? AND hash = ?", at, name, hash)
	if err != nil || n > 0 {
		return err
	}
	seq, err := t.tell(ChangeGovernance, "")
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO gov_docs (name, at, change_seq, hash, doc) VALUES (?,?,?,?,?)
		ON CONFLICT (name) DO UPDATE SET at = excluded.at, change_seq = excluded.change_seq, hash = excluded.hash, doc = excluded.doc`, name, at, int64(seq), hash, t.db.zip.EncodeAll(doc, nil))
	return err
}

// SetGovDocument keeps a document beside the evaluation, as its taker wrote it: JSON.
func (db *DB) SetGovDocument(ctx context.Context, name string, at int64, doc []byte) error {
	return db.update(ctx, func(t *tx) error { return t.govDoc(name, at, doc) })
}

// GovDocument returns a whole document, as JSON. The error wraps ErrNotFound when nothing
// was evaluated yet.
func (db *DB) GovDocument(ctx context.Context, name string) (doc []byte, at int64, seq uint64, err error) {
	var blob []byte
	var n int64
	err = db.read.QueryRowContext(ctx, "SELECT at, change_seq, doc FROM gov_docs WHERE name = ?", name).Scan(&at, &n, &blob)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, 0, fmt.Errorf("governance document %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, 0, 0, db.explain(err)
	}
	if doc, err = unzip(blob, maxUnzipped); err != nil {
		return nil, 0, 0, fmt.Errorf("governance document %s: %w", name, err)
	}
	return doc, at, uint64(n), nil
}

// GovWriting says since which evaluation lists are being replaced in steps; 0 = they are
// all of one evaluation.
func (db *DB) GovWriting(ctx context.Context) (int64, error) {
	var at int64
	err := db.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(at),0) FROM gov_docs WHERE name = ?", govWriting).Scan(&at)
	return at, db.explain(err)
}

// GovEvaluated is when the current evaluation was made; 0 = there is none.
func (db *DB) GovEvaluated(ctx context.Context) (int64, error) {
	var at int64
	err := db.read.QueryRowContext(ctx, "SELECT COALESCE(MAX(at),0) FROM gov_docs WHERE name = ?", GovEvaluation).Scan(&at)
	return at, db.explain(err)
}

// maxUnzipped bounds a stored document as JSON.
const maxUnzipped = 512 << 20

// dayOf is the day of a time, in UTC.
func dayOf(at int64) string { return time.Unix(0, at).UTC().Format(time.DateOnly) }
