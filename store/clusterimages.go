package store

import (
	"strings"

	"github.com/dockreeve/dockreeve/inventory"
)

// notWatchedThere is why loads are not seen in what only a cluster tells of.
const notWatchedThere = "no sensor reports from the node it runs on"

// digestOf is the digest in what a runtime calls an image: repository@sha256:…, or
// sha256:… alone; "" where there is none.
func digestOf(id string) string {
	if _, after, ok := strings.Cut(id, "@"); ok {
		id = after
	}
	if !isDigest(id) || len(id) != len("sha256:")+64 {
		return ""
	}
	return id
}

// refsOf are the digests a workload's image may be known by, the one that decides first.
func refsOf(i *inventory.ImageDoc) (ref, imageID string) {
	ref = digestOf(i.Digest)
	imageID = digestOf(i.ImageID)
	if strings.Contains(i.ImageID, "@") { // of the manifest, then
		if ref == "" {
			ref = imageID
		}
		imageID = ""
	}
	if ref == "" {
		ref = imageID
	}
	return ref, imageID
}

// workloadRuns notes which images a workload runs: they become known to the scanner as
// those are that nodes tell of. What nodes tell of too is not counted twice, see
// countRunning.
func (t *tx) workloadRuns(cluster string, w *inventory.WorkloadDoc, now int64) error {
	key := short(w.Key)
	if _, err := t.exec("DELETE FROM workload_images WHERE cluster = ? AND workload = ?", cluster, key); err != nil {
		return err
	}
	node := senderOf(cluster)
	want := map[string]bool{}
	for i := range w.Images {
		img := &w.Images[i]
		ref, id := refsOf(img)
		if ref == "" {
			continue
		}
		for _, r := range []string{ref, id} {
			if r == "" {
				continue
			}
			if _, err := t.exec("INSERT INTO workload_images (cluster, workload, ref) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", cluster, key, r); err != nil {
				return err
			}
		}
		if img.Pods <= 0 {
			continue
		}
		container := short(img.Container) + "@" + ref + " of " + key
		if want[container] {
			continue
		}
		want[container] = true
		since := img.Since
		if since == 0 {
			since = now
		}
		changed, err := t.exec(`INSERT INTO running (node, container, name, workload, ref, image, image_name, image_id, runtime, rootfs, pid, unknown, not_watched, since, until, ended, dirty, copies, cluster)
			VALUES (?,?,?,?,?,0,?,?,'','',0,'',?,?,?,0,1,?,?) ON CONFLICT (node, container) DO UPDATE SET
			ended = 0, dirty = 1, copies = excluded.copies, since = excluded.since, until = excluded.until, image_name = excluded.image_name
			WHERE running.ended <> 0 OR running.copies <> excluded.copies OR running.image_name <> excluded.image_name`,
			node, container, short(img.Container), key, ref, short(img.Image), id, notWatchedThere, since, now, int64(min(img.Pods, 1_000_000)), cluster)
		if err != nil {
			return err
		}
		if changed > 0 {
			if _, err := t.tell(ChangeImage, ""); err != nil {
				return err
			}
		}
	}
	rows, err := t.rows("SELECT container FROM running WHERE node = ? AND workload = ? AND ended = 0", node, key)
	if err != nil {
		return err
	}
	var over []string
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			rows.Close()
			return err
		}
		if !want[c] {
			over = append(over, c)
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	for _, c := range over {
		if _, err := t.exec("UPDATE running SET ended = ?, until = ?, dirty = 1 WHERE node = ? AND container = ?", now, now, node, c); err != nil {
			return err
		}
	}
	if len(over) > 0 {
		_, err = t.tell(ChangeImage, "")
	}
	return err
}

// endRuns ends what a cluster told of a workload; workload "" means of all.
func (t *tx) endRuns(cluster, workload string, now int64) error {
	n, err := t.exec("UPDATE running SET ended = ?, until = ?, dirty = 1 WHERE node = ? AND (? = '' OR workload = ?) AND ended = 0", now, now, senderOf(cluster), workload, workload)
	if err != nil || n == 0 {
		return err
	}
	_, err = t.tell(ChangeImage, "")
	return err
}
