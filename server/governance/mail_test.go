package governance

import (
	"strings"
	"testing"
	"time"

	"github.com/dockreeve/dockreeve/inventory/cloud"
	"github.com/dockreeve/dockreeve/notify"
	"github.com/dockreeve/dockreeve/source/azure"
	"github.com/dockreeve/dockreeve/test/smtp"
)

// Each owner who is a mail address gets one mail a week, whatever fails or restarts.
func TestOwnersAreMailedOnceAWeek(t *testing.T) {
	post := smtp.Serve(t, "")
	m, err := notify.ParseMail("smtp://"+post.Addr, "reports@example.org")
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, Options{Mail: &Mail{Server: m, Link: "https://console.example.org"}})
	if err := f.MailTeams(t.Context()); err != nil || len(post.Messages()) != 0 {
		t.Fatalf("before anything was evaluated: %v, %d mails", err, len(post.Messages()))
	}
	const sub = "/subscriptions/11111111-0000-0000-0000-000000000001"
	cluster := func(name, owner string) cloud.Cluster {
		return cloud.Cluster{ID: sub + "/resourcegroups/g/providers/microsoft.containerservice/managedclusters/" + name, Name: name, Kind: cloud.KindAKS, Subscription: sub, ResourceGroup: "g", Tags: map[string]string{"owner": owner}}
	}
	f.mu.Lock()
	f.snapshot = &azure.Snapshot{Tenant: &cloud.Tenant{ID: "t", Collected: f.now(), Finished: f.now(), Subscriptions: []cloud.Subscription{{ID: sub, Name: "alpha"}},
		Clusters: []cloud.Cluster{cluster("a", "kim@example.org"), cluster("b", "lou@example.org"), cluster("c", "platform team")}}}
	f.mu.Unlock()
	if _, err := f.Reevaluate(t.Context()); err != nil {
		t.Fatal(err)
	}
	post.Refuse("RCPT TO:<kim")
	if err := f.MailTeams(t.Context()); err == nil || !strings.Contains(err.Error(), "kim@example.org") {
		t.Errorf("a mail that was refused is no error: %v", err)
	}
	if got := post.Messages(); len(got) != 1 || !strings.Contains(got[0].To, "lou@") || !strings.Contains(got[0].Data, "console.example.org") {
		t.Fatalf("%q", got)
	}
	post.Refuse("")
	again := &fixture{New(Options{DB: f.db, Clock: f.clock, Mail: f.opt.Mail}), f.db, f.clock} // after a restart
	for range 2 {
		if err := again.MailTeams(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := post.Messages(); len(got) != 2 || !strings.Contains(got[1].To, "kim@") {
		t.Fatalf("%d mails; want one each: %q", len(got), got)
	}
	f.clock.Advance(7 * 24 * time.Hour)
	if err := again.MailTeams(t.Context()); err != nil || len(post.Messages()) != 4 {
		t.Errorf("a week later: %v, %d mails in all, want 4", err, len(post.Messages()))
	}
}
