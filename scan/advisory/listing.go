package advisory

import (
	"bytes"
	"sort"
)

// NamesAfter lists, in their order, the names of packages of an ecosystem that come after
// one ("" = from the first), at most limit of them, which must have advisories. Another
// call with the last name goes on.
func (db *DB) NamesAfter(ecosystem, after string, limit int) ([]string, error) {
	prefix := packageKey(ecosystem, "")
	from := packageKey(ecosystem, after)
	t := db.packages
	c := t.cursor()
	c.next = max(0, sort.Search(len(t.blocks), func(i int) bool { return bytes.Compare(t.blocks[i].first, from) >= 0 })-1)
	var names []string
	for len(names) < limit {
		more, err := c.step()
		if err != nil {
			return nil, db.damaged(err)
		}
		if !more || bytes.Compare(c.key, from) > 0 && !bytes.HasPrefix(c.key, prefix) {
			break
		}
		if bytes.Compare(c.key, from) <= 0 {
			continue
		}
		r := reader{b: c.value}
		n, _, _ := packageHead(&r)
		if r.err != nil {
			return nil, db.damaged(r.err)
		}
		if n > 0 {
			names = append(names, splitKey(c.key).Name)
		}
	}
	return names, nil
}
