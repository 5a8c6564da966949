package sensor

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPreflight takes one thing at a time away from a machine that works.
func TestPreflight(t *testing.T) {
	good := Facts{OS: "linux", Arch: "amd64", Caps: 1 << capSysAdmin, Release: "5.15.0-1073-azure", PIDNamespace: hostPIDNamespace}
	if err := Preflight(good); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		check, says, remedy string
		change              func(*Facts)
	}{
		{"platform", "windows/amd64", "--replay", func(f *Facts) { f.OS = "windows" }},
		{"platform", "linux/riscv64", "--replay", func(f *Facts) { f.Arch = "riscv64" }},
		{"proc", "/proc", "mount procfs", func(f *Facts) { f.Proc = fs.ErrNotExist }},
		{"capabilities", "CAP_BPF", "root", func(f *Facts) { f.Caps = 1 << capBPF }},
		{"kernel", "5.14.21 is older than 5.15", "5.15 or newer", func(f *Facts) { f.Release = "5.14.21" }},
		{"kernel", "4.18.0", "5.15 or newer", func(f *Facts) { f.Release = "4.18.0-553.el8" }},
		{"kernel", "no version", "--replay", func(f *Facts) { f.Release = "weird" }},
		{"btf", "no type information", "CONFIG_DEBUG_INFO_BTF", func(f *Facts) { f.BTF = fs.ErrNotExist }},
		{"btf", "cannot be read", "/sys", func(f *Facts) { f.BTF = fs.ErrPermission }},
		{"lockdown", "confidentiality", "integrity", func(f *Facts) { f.Lockdown = "none integrity [confidentiality]" }},
		{"pidns", "own pid namespace", "hostPID", func(f *Facts) { f.PIDNamespace = 4026532999 }},
	} {
		f := good
		tc.change(&f)
		err := Preflight(f)
		var u *Unsupported
		if !errors.As(err, &u) || u.Check != tc.check || !strings.Contains(err.Error(), tc.says) || !strings.Contains(u.Remedy, tc.remedy) {
			t.Errorf("%s: %v", tc.check, err)
		}
	}
	f := good
	f.Caps = 1<<capBPF | 1<<capPerfmon
	f.Lockdown = "none [integrity] confidentiality"
	f.Release = "6.18.44-fc"
	if err := Preflight(f); err != nil {
		t.Error(err)
	}
	if err := loadError(unix.EPERM); !strings.Contains(err.Error(), "seccomp") || !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
}
