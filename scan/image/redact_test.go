package image

import (
	"strings"
	"testing"
)

// TestCommandLinesLoseTheirPasswords: steps of the history and command lines name
// secrets in more ways than NAME=value.
func TestCommandLinesLoseTheirPasswords(t *testing.T) {
	const secret = "hunter2secretpw"
	for _, given := range []func(string) string{nil, func(s string) string { return s }} {
		red := redactor{given}
		for _, s := range []string{
			"RUN /bin/sh -c curl -u admin:" + secret + " https://x.example",
			"/bin/sh -c apt-get update &&     curl --user admin:" + secret + " https://x.example; true",
			"RUN docker login -u bob -p " + secret + " registry.example",
			"RUN |1 NPM_TOKEN=" + secret + " /bin/sh -c npm ci",
			"RUN git clone https://bob:" + secret + "@git.example/x",
			"RUN deploy --password " + secret,
			"RUN curl -H 'Authorization: Bearer " + secret + "' https://x.example",
		} {
			if got := red.text(s); strings.Contains(got, secret) {
				t.Errorf("shown as %s", got)
			}
		}
		for _, a := range [][]string{{"app", "--password", secret}, {"mysql", "-p" + secret}, {"app", "--token=" + secret}, {"sh", "-c", "app --password " + secret}, {secret}} {
			got := strings.Join(red.args(a), " ")
			if strings.Contains(got, secret) && a[0] != secret {
				t.Errorf("%q shown as %s", a, got)
			}
		}
		if got := strings.Join(red.args([]string{"nginx", "-g", "daemon off;"}), " "); got != "nginx -g daemon off;" {
			t.Errorf("a harmless command line became %s", got)
		}
	}
}
