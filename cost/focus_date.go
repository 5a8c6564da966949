package cost

import (
	"fmt"
	"strings"
	"time"
)

// Orders of day and month in dates like 03/04/2026.
const (
	DayMonth = "dmy"
	MonthDay = "mdy"
)

var isoForms = []string{
	time.RFC3339Nano, "2006-01-02", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04Z07:00",
	"2006-01-02 15:04", "2006-01-02 15:04:05Z07:00", "20060102", "2006/01/02",
}

// dateOf reads a date as Unix nanoseconds; without a zone it is UTC. order is the order
// of day and month where the date does not tell; either says that it is needed and not
// known. shows is the order that this date proves, "" if none.
func dateOf(s, order string) (t int64, shows string, either bool, err error) {
	raw := s
	s = strings.TrimSpace(s)
	if len(s) > 40 {
		return 0, "", false, fmt.Errorf("%.40q is no date: too long", raw)
	}
	for _, f := range isoForms {
		if v, e := time.Parse(f, s); e == nil {
			t, err = within(v, raw)
			return t, "", false, err
		}
	}
	bad := fmt.Errorf("%.40q is no date: expected one like 2026-11-30 or 2026-11-30T00:00:00Z", raw)
	date, clock, _ := strings.Cut(s, " ")
	sep := byte(0)
	for _, c := range []byte("./-") {
		if strings.Count(date, string(c)) == 2 {
			sep = c
		}
	}
	if sep == 0 {
		return 0, "", false, bad
	}
	p := strings.Split(date, string(sep))
	if !allDigits(p[0]) || !allDigits(p[1]) || !allDigits(p[2]) || len(p[0]) > 2 || len(p[1]) > 2 || len(p[2]) != 4 {
		return 0, "", false, bad
	}
	a, b, year := digits(p[0]), digits(p[1]), digits(p[2])
	switch {
	case sep == '.':
		order = DayMonth // nobody writes months first with dots
	case a > 12 && b <= 12:
		shows = DayMonth
	case b > 12 && a <= 12:
		shows = MonthDay
	case a != b && order == "":
		return 0, "", true, nil
	}
	if shows != "" && order != "" && shows != order {
		return 0, shows, false, fmt.Errorf("%.40q is no date with the order of this file, which is %s", raw, order)
	}
	if shows != "" {
		order = shows
	}
	day, month := a, b
	if order == MonthDay {
		day, month = b, a
	}
	v := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if month < 1 || v.Month() != time.Month(month) || v.Day() != day {
		return 0, shows, false, bad
	}
	if clock = strings.TrimSpace(clock); clock != "" {
		ok := false
		for _, f := range []string{"15:04:05", "15:04", "3:04:05 PM", "3:04 PM"} {
			if c, e := time.Parse(f, clock); e == nil {
				v = v.Add(time.Duration(c.Hour())*time.Hour + time.Duration(c.Minute())*time.Minute + time.Duration(c.Second())*time.Second)
				ok = true
				break
			}
		}
		if !ok {
			return 0, shows, false, bad
		}
	}
	t, err = within(v, raw)
	return t, shows, false, err
}

func within(v time.Time, raw string) (int64, error) {
	if v.Year() < 2000 || v.Year() > 2199 {
		return 0, fmt.Errorf("%.40q is no date of a bill: expected a year from 2000 to 2199", raw)
	}
	return v.UnixNano(), nil
}

func digits(s string) (n int) {
	for i := 0; i < len(s); i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n
}
