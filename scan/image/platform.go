package image

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// platform is what an image runs on.
type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	OSVersion    string `json:"os.version"`
	Variant      string `json:"variant"`
}

func (p platform) String() string {
	if p.OS == "" && p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" && !(p.Architecture == "arm64" && p.Variant == "v8") {
		s += "/" + p.Variant
	}
	return s
}

// runnable is false for what builders put beside images, such as attestations.
func (p platform) runnable() bool {
	return p.OS != "unknown" && p.Architecture != "unknown" && p.OS != "" && p.Architecture != ""
}

// matches compares with a wanted platform; a wanted one without variant takes any.
func (p platform) matches(want platform) bool {
	if p.OS != want.OS || p.Architecture != want.Architecture {
		return false
	}
	variant := func(p platform) string {
		if p.Architecture == "arm64" && p.Variant == "" {
			return "v8"
		}
		return p.Variant
	}
	return want.Variant == "" || variant(p) == variant(want)
}

// wanted is Options.Platform, understood.
type wanted struct {
	all      bool
	explicit bool
	platform platform
}

func parsePlatform(s string) (wanted, error) {
	switch s {
	case "all":
		return wanted{all: true}, nil
	case "":
		return wanted{platform: platform{OS: "linux", Architecture: runtime.GOARCH}}, nil
	}
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) == 1 && parts[0] != "" {
		parts = []string{"linux", parts[0]}
	}
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return wanted{}, fmt.Errorf("platform %q: want os/arch, os/arch/variant or all, as in linux/arm64", clip(s, 80))
	}
	p := platform{OS: parts[0], Architecture: parts[1]}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "armhf":
		p.Architecture, p.Variant = "arm", "v7"
	case "armel":
		p.Architecture, p.Variant = "arm", "v6"
	}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return wanted{explicit: true, platform: p}, nil
}

// noPlatform names what there is instead.
func noPlatform(what string, want wanted, have []platform) error {
	var names []string
	for _, p := range have {
		if s := p.String(); s != "" && !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	slices.Sort(names)
	if len(names) > 30 {
		names = append(names[:30], "…")
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: %w: it holds no runnable image", what, ErrPlatform)
	}
	if want.all {
		return fmt.Errorf("%s: %w", what, ErrPlatform)
	}
	return fmt.Errorf("%s: %w %s; there is %s: choose with --platform", what, ErrPlatform, want.platform, strings.Join(names, ", "))
}
