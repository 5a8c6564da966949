package advisory

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockreeve/dockreeve/scan"
)

// epssScale keeps scores as whole numbers, so that what was written is read again:
// FIRST gives five to nine decimals.
const epssScale = 1e9

// maxScores bounds the EPSS feed: there were 360,000 CVEs in 2026.
const maxScores = 4_000_000

type score struct {
	year          uint16
	number        uint32
	score, centil uint32
}

// scores are the rows of the EPSS feed.
type scores struct{ list []score }

func (s *scores) each(f func(key, value []byte) error) error {
	slices.SortStableFunc(s.list, func(a, b score) int {
		return cmp.Or(cmp.Compare(a.year, b.year), cmp.Compare(a.number, b.number))
	})
	var key [6]byte
	var value [8]byte
	for i, e := range s.list {
		if i+1 < len(s.list) && s.list[i+1].year == e.year && s.list[i+1].number == e.number {
			continue
		}
		binary.BigEndian.PutUint16(key[:], e.year)
		binary.BigEndian.PutUint32(key[2:], e.number)
		binary.BigEndian.PutUint32(value[:], e.score)
		binary.BigEndian.PutUint32(value[4:], e.centil)
		if err := f(key[:], value[:]); err != nil {
			return err
		}
	}
	return nil
}

// readEPSS reads FIRST's CSV: a comment with the date of the model run, a line of
// column names, then cve,epss,percentile.
func (b *builder) readEPSS(in io.Reader) error {
	c := b.feed(feedEPSS)
	list := &scores{}
	r := bufio.NewReaderSize(in, 64<<10)
	for line := 1; ; line++ {
		raw, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("line %d has more than 64 KiB: not an EPSS file", line)
		}
		if text := strings.TrimSpace(string(raw)); text != "" {
			switch {
			case strings.HasPrefix(text, "#"):
				for _, f := range strings.Split(text[1:], ",") {
					if k, v, _ := strings.Cut(f, ":"); strings.TrimSpace(k) == "score_date" {
						if t := parseTime(v); t != 0 {
							c.date = t
						}
					}
				}
			case strings.HasPrefix(text, "cve,"):
			default:
				s, err := parseScore(text)
				if err != nil {
					c.skip(fmt.Sprintf("line %d", line), err)
				} else if list.list = append(list.list, s); len(list.list) > maxScores {
					return fmt.Errorf("more than %d scores", maxScores)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if len(list.list) == 0 {
		return errors.New("it holds no score")
	}
	c.records, c.mode = len(list.list), replacing
	b.scores = list
	return nil
}

func parseScore(line string) (s score, err error) {
	f := strings.Split(line, ",")
	if len(f) != 3 {
		return s, fmt.Errorf("%d columns, not cve,epss,percentile", len(f))
	}
	year, number, ok := splitCVE(f[0])
	if !ok {
		return s, fmt.Errorf("%q is no CVE", clip(f[0], 40))
	}
	s.year, s.number = uint16(year), uint32(number)
	for i, to := range []*uint32{&s.score, &s.centil} {
		v, err := strconv.ParseFloat(f[i+1], 64)
		if err != nil || !(v >= 0 && v <= 1) {
			return s, fmt.Errorf("%q is no number between 0 and 1", clip(f[i+1], 40))
		}
		*to = uint32(v*epssScale + 0.5)
	}
	return s, nil
}

// readKEV reads CISA's catalogue.
func (b *builder) readKEV(in io.Reader) error {
	c := b.feed(feedKEV)
	list := map[string][]byte{}
	d := newJSON(in, 1<<20)
	err := d.object(func(key string) error {
		switch key {
		case "dateReleased":
			var s string
			if err := d.value(&s); err != nil {
				return err
			}
			c.date = parseTime(s)
			return nil
		case "vulnerabilities":
			return d.array(func(i int) error {
				var v struct {
					CVE        string `json:"cveID"`
					Added      string `json:"dateAdded"`
					Due        string `json:"dueDate"`
					Ransomware string `json:"knownRansomwareCampaignUse"`
					Action     string `json:"requiredAction"`
				}
				if err := d.value(&v); err != nil {
					return d.bad(err, func(err error) { c.skip(fmt.Sprintf("entry %d", i+1), err) })
				}
				if !IsCVE(v.CVE) {
					c.skip(fmt.Sprintf("entry %d", i+1), fmt.Errorf("%q is no CVE", clip(v.CVE, 40)))
					return nil
				}
				if _, err := time.Parse(time.DateOnly, v.Added); err != nil {
					c.skip(v.CVE, fmt.Errorf("dateAdded %q is no date", clip(v.Added, 40)))
					return nil
				}
				if _, err := time.Parse(time.DateOnly, v.Due); err != nil {
					v.Due = ""
				}
				list[strings.ToUpper(v.CVE)] = encodeKEV(&scan.KEV{Added: v.Added, Due: v.Due, Ransomware: strings.EqualFold(v.Ransomware, "known"), Action: clip(v.Action, 500)})
				return nil
			})
		}
		return d.skip()
	})
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("it lists no vulnerability")
	}
	c.records, c.mode = len(list), replacing
	b.kev = list
	return nil
}

func encodeKEV(k *scan.KEV) []byte {
	b := appendStrings(nil, []string{k.Added, k.Due, k.Action})
	if k.Ransomware {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeKEV(b []byte) (*scan.KEV, error) {
	r := reader{b: b}
	s := r.strings()
	ransomware := r.byte() == 1
	if r.err != nil || len(s) != 3 {
		return nil, errShort
	}
	return &scan.KEV{Added: s[0], Due: s[1], Action: s[2], Ransomware: ransomware}, nil
}

// parseTime reads the forms of time that feeds use, as Unix nanoseconds; 0 for
// anything else and for what lies before 1990 or cannot be said in nanoseconds.
func parseTime(s string) int64 {
	s = strings.TrimSpace(s)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", time.DateOnly, time.RFC1123} {
		if t, err := time.Parse(layout, s); err == nil {
			if t.Year() < 1990 || t.Year() > 2200 {
				return 0
			}
			return t.UnixNano()
		}
	}
	return 0
}
