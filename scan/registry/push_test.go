package registry

import (
	"strings"
	"testing"
	"time"
)

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func azureEvent(action, target string) string {
	return `{"id":"5c","timestamp":"2026-11-02T03:04:05.5Z","action":"` + action + `","target":{` + target + `},
		"request":{"id":"7f","host":"crdock.azurecr.io","method":"PUT","useragent":"docker/28"}}`
}

func TestAzureWebhook(t *testing.T) {
	image := `"mediaType":"application/vnd.docker.distribution.manifest.v2+json","size":524,"digest":"` + digestA + `","length":524,"repository":"team/app","tag":"1.2"`
	got, err := ParseAzure(strings.NewReader(azureEvent("push", image)))
	want := Push{Registry: "crdock.azurecr.io", Repository: "team/app", Tag: "1.2", Digest: digestA, Action: Pushed,
		Time: time.Date(2026, 11, 2, 3, 4, 5, 500_000_000, time.UTC).UnixNano()}
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for what, body := range map[string]string{
		"ping":       azureEvent("ping", ""),
		"quarantine": azureEvent("quarantine", image),
		"chart":      azureEvent("chart_push", `"repository":"charts/app"`),
		"helm":       azureEvent("push", strings.Replace(image, "docker.distribution.manifest.v2", "cncf.helm.config.v1", 1)),
	} {
		if got, err := ParseAzure(strings.NewReader(body)); err != nil || got != nil {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if got, err := ParseAzure(strings.NewReader(azureEvent("delete", `"digest":"`+digestA+`","repository":"team/app"`))); err != nil || len(got) != 1 || got[0].Action != Deleted {
		t.Errorf("delete: %+v, %v", got, err)
	}
	for want, body := range map[string]string{
		"target.repository": azureEvent("push", strings.Replace(image, "team/app", "../app", 1)),
		"target.tag":        azureEvent("push", strings.Replace(image, "1.2", "a b", 1)),
		"target.digest":     azureEvent("push", strings.Replace(image, digestA, "sha256:1", 1)),
		"is missing":        azureEvent("push", strings.Replace(image, digestA, "", 1)),
		"request.host":      strings.Replace(azureEvent("push", image), "crdock.azurecr.io", "evil.example/../", 1),
		"no action":         `{}`,
		"JSON":              `{"action":`,
		"larger":            strings.Repeat(" ", maxNotification+1),
	} {
		if got, err := ParseAzure(strings.NewReader(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q: %+v, %v", want, got, err)
		}
	}
}

func TestDistributionNotification(t *testing.T) {
	event := func(action, media, tag string) string {
		return `{"id":"1","timestamp":"2026-11-02T03:04:05Z","action":"` + action + `","target":{"mediaType":"` + media + `","digest":"` + digestA +
			`","repository":"team/app","url":"http://registry.example/v2/team/app/…","tag":"` + tag + `"},"request":{"host":"registry.example:5000"},"actor":{},"source":{"addr":"r:5000"}}`
	}
	body := `{"events":[` + strings.Join([]string{
		event("push", "application/octet-stream", ""), event("pull", "application/vnd.oci.image.manifest.v1+json", "1"),
		event("push", "application/vnd.oci.image.manifest.v1+json", "1"), event("push", "application/vnd.docker.distribution.manifest.list.v2+json", ""),
		event("mount", "application/octet-stream", ""), event("delete", "", ""),
	}, ",") + `]}`
	got, err := ParseDistribution(strings.NewReader(body))
	if err != nil || len(got) != 3 || got[0].Tag != "1" || got[1].Tag != "" || got[2].Action != Deleted || got[0].Registry != "registry.example:5000" {
		t.Errorf("%+v, %v", got, err)
	}
	for want, body := range map[string]string{
		"no events": `{}`, "at most": `{"events":[` + strings.Repeat("{},", maxEvents) + `{}]}`, "event 1": `{"events":[{},{"action":"push"}]}`,
	} {
		if _, err := ParseDistribution(strings.NewReader(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q: %v", want, err)
		}
	}
}

func FuzzNotifications(f *testing.F) {
	f.Add(azureEvent("push", `"digest":"`+digestA+`","repository":"a","tag":"1"`))
	f.Add(`{"events":[{"action":"delete","target":{"tag":"1","repository":"a"},"request":{"host":"h"}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, parse := range []func(string) ([]Push, error){
			func(s string) ([]Push, error) { return ParseAzure(strings.NewReader(s)) },
			func(s string) ([]Push, error) { return ParseDistribution(strings.NewReader(s)) },
		} {
			got, err := parse(body)
			if err != nil && got != nil {
				t.Fatal("both an error and pushes")
			}
			for _, p := range got {
				if !validRepository(p.Repository) || strings.ContainsAny(p.Registry+p.Repository+p.Tag, "\n \x00<>\"'") || p.Digest == "" && p.Tag == "" {
					t.Fatalf("%+v", p)
				}
			}
		}
	})
}

func FuzzNextPage(f *testing.F) {
	f.Add(`</v2/_catalog?last=a&n=2>; rel="next"`)
	f.Add(`<https://evil.example/v2/x>; rel=prev, <y?z>;rel=next`)
	f.Fuzz(func(t *testing.T, link string) {
		if next := nextPage("/v2/_catalog?n=200", []string{link}); next != "" && next[0] != '/' {
			t.Fatalf("%q leads to %q", link, next)
		}
	})
}
