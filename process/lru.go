package process

// lru is a map of bounded size: adding to a full one drops the entry that was
// touched longest ago and counts it.
type lru[K comparable, V any] struct {
	max     int
	at      map[K]*entry[K, V]
	head    entry[K, V] // head.next is the newest, head.prev the oldest
	evicted uint64
}

type entry[K comparable, V any] struct {
	key        K
	value      V
	prev, next *entry[K, V]
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	l := &lru[K, V]{max: limit, at: map[K]*entry[K, V]{}}
	l.head.prev, l.head.next = &l.head, &l.head
	return l
}

func (e *entry[K, V]) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (l *lru[K, V]) front(e *entry[K, V]) {
	e.prev, e.next = &l.head, l.head.next
	e.prev.next, e.next.prev = e, e
}

// peek returns the value without touching it.
func (l *lru[K, V]) peek(key K) (*V, bool) {
	if e, ok := l.at[key]; ok {
		return &e.value, true
	}
	return nil, false
}

// touch returns the value of key, a new zero one if there was none, and makes it
// the newest. The pointer is valid until the entry is dropped.
func (l *lru[K, V]) touch(key K) *V {
	e, ok := l.at[key]
	if ok {
		e.unlink()
	} else {
		if len(l.at) >= l.max {
			oldest := l.head.prev
			oldest.unlink()
			delete(l.at, oldest.key)
			l.evicted++
		}
		e = &entry[K, V]{key: key}
		l.at[key] = e
	}
	l.front(e)
	return &e.value
}

// each calls fn from the oldest to the newest.
func (l *lru[K, V]) each(fn func(K, *V)) {
	for e := l.head.prev; e != &l.head; e = e.prev {
		fn(e.key, &e.value)
	}
}
