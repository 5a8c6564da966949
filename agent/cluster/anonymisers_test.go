package cluster

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnonymisers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# exits\n192.0.2.7\n198.51.100.0/25  # a network\n2001:db8::/64\n")
	a, err := OpenAnonymisers(file, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]bool{"192.0.2.7": true, "192.0.2.8": false, "198.51.100.127": true, "198.51.100.128": false, "2001:db8::9": true, "2001:db8:0:1::9": false} {
		if got := a.Contains(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s on the list: %v, want %v", ip, got, want)
		}
	}
	write("192.0.2.8\nnonsense\n")
	if err := a.reload(); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line that is no address: %v", err)
	}
	if !a.Contains(netip.MustParseAddr("192.0.2.7")) {
		t.Error("a list that cannot be read took the place of the good one")
	}
	write("192.0.2.8\n")
	if err := a.reload(); err != nil || a.Contains(netip.MustParseAddr("192.0.2.7")) || !a.Contains(netip.MustParseAddr("192.0.2.8")) {
		t.Errorf("the new list is not in use: %v", err)
	}
}
