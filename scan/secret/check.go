package secret

import (
	"bytes"
	"encoding/base64"
	"hash/crc32"
)

// githubChecked judges a token of GitHub's and npm's common form: behind the prefix 30
// random bytes in base 62 and the CRC-32 of them in 6 more.
func githubChecked(tok []byte) bool {
	body := tok[4:]
	return len(body) == 36 && checksum62(body[:30]) == [6]byte(body[30:])
}

// checksum62 is the CRC-32 of b in six digits of base 62.
func checksum62(b []byte) (out [6]byte) {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	c := crc32.ChecksumIEEE(b)
	for i := 5; i >= 0; i-- {
		out[i] = digits[c%62]
		c /= 62
	}
	return out
}

// finePAT judges a fine-grained token: 22 bytes, a bar, 59 bytes.
func finePAT(tok []byte) bool {
	body := tok[len("github_pat_"):]
	return body[22] == '_' && bytes.IndexByte(body[:22], '_') < 0 && bytes.IndexByte(body[23:], '_') < 0 && bytes.IndexByte(body, '-') < 0 && random(body[23:], 62)
}

// slackToken judges xox?-number-…: dashed parts, of which the last is random.
func slackToken(tok []byte) bool {
	i := bytes.LastIndexByte(tok, '-')
	return i > 0 && len(tok)-i > 16 && random(tok[i+1:], 36) && classes[tok[5]]&(digit|upper|lower) != 0
}

// pypiToken judges a macaroon of pypi.org: Base64 whose second field names the site.
func pypiToken(tok []byte) bool {
	b := make([]byte, base64.RawURLEncoding.DecodedLen(len(tok)-5))
	n, err := base64.RawURLEncoding.Decode(b, tok[5:])
	if err != nil {
		return false
	}
	b = b[:n]
	return n > 20 && b[0] == 2 && b[1] == 1 && int(b[2]) < n-3 && bytes.Contains(b[3:3+int(b[2])], []byte("pypi.org")) && random(tok[24:], 64)
}

// sendGrid judges SG., 22 bytes, a dot, 43 bytes.
func sendGrid(tok []byte) bool {
	body := tok[3:]
	return len(body) == 66 && body[22] == '.' && bytes.Count(body, []byte(".")) == 1 && random(body[23:], 64)
}

// databricks judges dapi and 32 hex digits, behind which -2 or -3 may stand.
func databricks(tok []byte) bool {
	body := tok[4:]
	if bytes.IndexByte(body[:32], '-') >= 0 || len(body) == 33 || len(body) == 34 && body[32] != '-' {
		return false
	}
	return random(body[:32], 16)
}
