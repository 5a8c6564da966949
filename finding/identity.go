package finding

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
)

// ID names one finding: the rule that judged and the events it judged, in
// order. The same rule on the same events has the same id at the edge, at the
// hub and on replay, so counting by id never counts twice. 32 hex digits.
func ID(ruleID string, eventIDs ...string) string {
	return hex.EncodeToString(sum("dockreeve finding 1", append([]string{ruleID}, eventIDs...)...)[:16])
}

// Fingerprint groups findings that a person would treat as one matter: the same
// rule, in the same workload, by the same executable, on the same class of
// object. The prefix is the version of this definition: alerts of different
// versions never merge.
func Fingerprint(ruleID, workload, executable, objectClass string) string {
	return "1:" + hex.EncodeToString(sum("dockreeve fingerprint 1", ruleID, workload, executable, objectClass)[:16])
}

// AlertID is the alert of a fingerprint: 16 characters, safe in an address.
func AlertID(fingerprint string) string {
	return lower.EncodeToString(sum("dockreeve alert 1", fingerprint)[:10])
}

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// sum hashes parts with their lengths, so that ("ab", "c") and ("a", "bc") differ.
func sum(domain string, parts ...string) []byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range append([]string{domain}, parts...) {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}
