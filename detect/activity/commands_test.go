package activity

import (
	"regexp"
	"testing"
)

// TestEveryCommandNamesWhatItIsOf: by its subscription or its full id.
func TestEveryCommandNamesWhatItIsOf(t *testing.T) {
	command, named, n := regexp.MustCompile(`\baz [a-z-]+ [a-z-]+( [a-z-]+)?( |,|\.|;|$)`), regexp.MustCompile(`--subscription |--ids |--resource `), 0
	for _, r := range Shipped().Rules {
		for _, line := range r.Response {
			if !command.MatchString(line) || regexp.MustCompile(`and the like`).MatchString(line) {
				continue
			}
			n++
			if !named.MatchString(line) {
				t.Errorf("%s: %s", r.ID, line)
			}
		}
	}
	if n < 8 {
		t.Errorf("%d commands", n)
	}
}
