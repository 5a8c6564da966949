package cost

import (
	"fmt"
	"math"
	"strings"
)

// figure is an amount as a bill writes it: millionths, and what is left of them in
// millionths of millionths of a millionth (10⁻¹⁸ units). More decimals than that are cut.
type figure struct {
	micros Amount
	rest   int64 // of the same sign, |rest| < 10¹²
}

const restUnit = 1_000_000_000_000

// What the form of a number says about a file's decimal separator.
const (
	saysNothing = 0
	saysEither  = 'e' // 1.234: one thousand, or one and a bit
)

// evidence says which decimal separator a number shows: '.', ',', saysNothing, or
// saysEither together with the separator that it has.
func evidence(s string) (says, has byte) {
	s = strings.TrimSpace(s)
	dots, commas := strings.Count(s, "."), strings.Count(s, ",")
	switch {
	case dots == 0 && commas == 0:
		return saysNothing, 0
	case dots > 0 && commas > 0:
		if strings.LastIndexByte(s, '.') > strings.LastIndexByte(s, ',') {
			return '.', '.'
		}
		return ',', ','
	case dots > 1:
		return ',', '.'
	case commas > 1:
		return '.', ','
	}
	has = '.'
	if commas == 1 {
		has = ','
	}
	before, after, _ := strings.Cut(s, string(has))
	before = strings.TrimLeft(before, "+-( ")
	for _, g := range groupings {
		if strings.Contains(before, g) {
			return has, has // thousands are grouped by something else
		}
	}
	after = strings.TrimRight(after, "-) ")
	if len(before) >= 1 && len(before) <= 3 && before[0] != '0' && len(after) == 3 && allDigits(after) {
		return saysEither, has
	}
	return has, has
}

// groupings group thousands beside the dot and the comma.
var groupings = []string{"\u00a0", "\u202f", "\u2009", " ", "'", "’"}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// canonical rewrites a number with the decimal separator of its file (0 = it has none) to
// [-]digits[.digits][e[-]digits]. It checks that thousands are groups of three.
func canonical(s string, decimal byte) (string, error) {
	raw := s
	bad := func(why string) (string, error) { return "", fmt.Errorf("%.40q is no number: %s", raw, why) }
	s = strings.TrimSpace(s)
	if len(s) > 100 {
		return bad("too long")
	}
	negative := false
	if strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")") {
		negative, s = true, s[1:len(s)-1]
	}
	switch {
	case strings.HasPrefix(s, "−"):
		negative, s = !negative, s[len("−"):]
	case strings.HasPrefix(s, "-"):
		negative, s = !negative, s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	case strings.HasSuffix(s, "-"):
		negative, s = !negative, s[:len(s)-1]
	}
	s = strings.TrimSpace(s)
	exponent := ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		s, exponent = s[:i], s[i+1:]
		sign := ""
		if strings.HasPrefix(exponent, "-") {
			sign = "-"
		}
		exponent = strings.TrimPrefix(strings.TrimPrefix(exponent, "-"), "+")
		if !allDigits(exponent) {
			return bad("its exponent is none")
		}
		if exponent = strings.TrimLeft(exponent, "0"); exponent == "" {
			exponent = "0"
		}
		if len(exponent) > 3 {
			return bad("its exponent is none")
		}
		exponent = "e" + sign + exponent
	}
	if decimal == 0 {
		decimal = '.'
	}
	whole, part, pointed := strings.Cut(s, string(decimal))
	if strings.IndexByte(part, decimal) >= 0 {
		return bad(fmt.Sprintf("it has the decimal separator %q twice", decimal))
	}
	thousands := ","
	if decimal == ',' {
		thousands = "."
	}
	for _, g := range append([]string{thousands}, groupings...) {
		if !strings.Contains(whole, g) {
			continue
		}
		groups := strings.Split(whole, g)
		for i, d := range groups {
			if !allDigits(d) || i > 0 && len(d) != 3 || i == 0 && len(d) > 3 {
				return bad(fmt.Sprintf("%q does not group thousands there; the decimal separator of this file is %q", g, decimal))
			}
		}
		whole = strings.Join(groups, "")
		break
	}
	if whole == "" && part != "" {
		whole = "0"
	}
	if !allDigits(whole) || pointed && part != "" && !allDigits(part) {
		return bad("expected digits")
	}
	out := whole
	if part != "" {
		out += "." + part
	}
	if negative {
		out = "-" + out
	}
	return out + exponent, nil
}

// figureOf reads a canonical number exactly.
func figureOf(s string) (figure, error) {
	raw := s
	negative := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	exponent := 0
	if i := strings.IndexByte(s, 'e'); i >= 0 {
		for _, c := range strings.TrimPrefix(s[i+1:], "-") {
			exponent = exponent*10 + int(c-'0')
		}
		if strings.HasPrefix(s[i+1:], "-") {
			exponent = -exponent
		}
		s = s[:i]
	}
	whole, part, _ := strings.Cut(s, ".")
	digits := whole + part
	point := len(whole) + exponent // digits before the point
	var f figure
	lead := true
	for i := 0; i < max(point+18, 0); i++ {
		d := byte('0')
		if i < len(digits) {
			d = digits[i]
		} else if lead {
			break // nothing but zeros
		}
		lead = lead && d == '0'
		if lead {
			continue
		}
		switch at := i - point; {
		case at < 6:
			if f.micros > mostOfRow/10 {
				return figure{}, fmt.Errorf("%.40q is more than a trillion", raw)
			}
			f.micros = f.micros*10 + Amount(d-'0')
		default:
			f.rest = f.rest*10 + int64(d-'0')
		}
	}
	if f.micros > mostOfRow {
		return figure{}, fmt.Errorf("%.40q is more than a trillion", raw)
	}
	if point < -18 {
		f.rest = 0
	}
	if negative {
		f.micros, f.rest = -f.micros, -f.rest
	}
	return f, nil
}

// carry holds what rounding left over, so that the rounded amounts of a file add up to
// what the exact ones do, to less than a micro.
type carry int64

// round gives the amount of a figure in millionths, with what earlier ones left.
func (c *carry) round(f figure) Amount {
	*c += carry(f.rest)
	n := math.Round(float64(*c) / restUnit)
	*c -= carry(n) * restUnit
	return f.micros + Amount(n)
}
