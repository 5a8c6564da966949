package report

import "strings"

// The PDF is set in fonts that every reader has, which hold the letters of Windows-1252
// and nothing else (docs/decisions/0014-pdf.md). letters says what stands for others.
var letters = func() map[rune]string {
	m := map[rune]string{}
	for plain, others := range map[string]string{
		"A": "ĀĂĄǍΑА", "C": "ĆĈĊČ", "D": "ĎĐ", "E": "ĒĔĖĘĚΕЕ", "G": "ĜĞĠĢ", "H": "ĤĦ", "I": "ĨĪĬĮİ", "J": "Ĵ", "K": "Ķ", "L": "ĹĻĽĿŁ", "N": "ŃŅŇŊ", "O": "ŌŎŐΟО",
		"R": "ŔŖŘ", "S": "ŚŜŞȘ", "T": "ŢŤŦȚ", "U": "ŨŪŬŮŰŲ", "W": "Ŵ", "Y": "Ŷ", "Z": "ŹŻ",
		"a": "āăąǎ", "c": "ćĉċč", "d": "ďđ", "e": "ēĕėęě", "g": "ĝğġģ", "h": "ĥħ", "i": "ĩīĭįı", "j": "ĵ", "k": "ķ", "l": "ĺļľŀł", "n": "ńņňŋ", "o": "ōŏő",
		"r": "ŕŗř", "s": "śŝşș", "t": "ţťŧț", "u": "ũūŭůűų", "w": "ŵ", "y": "ŷ", "z": "źż",
		"->": "→", "<-": "←", "-": "‐‑‒−", "<=": "≤", ">=": "≥", " ": "\u2007\u2009\u202f\t", "": "\u200b\u200c\u200d\ufeff\u00ad",
	} {
		for _, r := range others {
			m[r] = plain
		}
	}
	return m
}()

// windows1252 holds the code points of 0x80 to 0x9f.
const windows1252 = "€\x00‚ƒ„…†‡ˆ‰Š‹Œ\x00Ž\x00\x00‘’“”•–—˜™š›œ\x00žŸ"

var high = func() map[rune]byte {
	m, i := map[rune]byte{}, byte(0x80)
	for _, r := range windows1252 {
		if r != 0 {
			m[r] = i
		}
		i++
	}
	return m
}()

// latin sets text for the PDF and counts what had to be written otherwise: a letter by
// its plain form, and what has none by a question mark.
func (p *pdf) latin(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "?") {
		switch c, ok := high[r]; {
		case ok:
			b.WriteByte(c)
		case r == '\n' || r >= 0x20 && r < 0x7f || r >= 0xa0 && r <= 0xff && r != 0xad:
			b.WriteByte(byte(r))
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			b.WriteByte(' ')
		default:
			plain, ok := letters[r]
			if !ok {
				plain = "?"
			}
			if !strings.ContainsAny(plain, "<>- ") && plain != "" {
				p.otherwise++
			}
			b.WriteString(plain)
		}
	}
	return b.String()
}
