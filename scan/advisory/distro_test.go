package advisory

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

const trackerText = `{
 "harbour": {
  "CVE-2029-1000": {"description": "Harbour lets anyone in.", "debianbug": 1000001, "scope": "remote", "releases": {
    "bookworm": {"status": "resolved", "repositories": {"bookworm": "2.1-3+deb12u1"}, "fixed_version": "2.1-3+deb12u1", "urgency": "high"},
    "trixie": {"status": "open", "repositories": {"trixie": "2.4-1"}, "urgency": "medium**", "nodsa": "Minor issue", "nodsa_reason": ""},
    "sid": {"status": "resolved", "repositories": {"sid": "2.5-1"}, "fixed_version": "0", "urgency": "not yet assigned"}}},
  "CVE-2029-1001": {"releases": {
    "bookworm": {"status": "open", "repositories": {}, "urgency": "low", "nodsa": "Too intrusive to backport", "nodsa_reason": "ignored"},
    "bullseye": {"status": "open", "repositories": {}, "urgency": "end-of-life"},
    "trixie": {"status": "undetermined", "repositories": {}, "urgency": "unimportant"},
    "zurg": {"status": "open", "repositories": {}, "urgency": "not yet assigned"}}},
  "TEMP-0000001-ABCDEF": {"releases": {"bookworm": {"status": "open", "repositories": {}, "urgency": "high", "nodsa": "later", "nodsa_reason": "postponed"}}},
  "CVE-2029-1002": {"releases": {"bookworm": {"status": "melted", "repositories": {}, "urgency": "low"}}},
  "CVE-2029-1003": {"releases": ["bookworm"]}
 },
 "odd": ["not", {"an": "object"}],
 "pier": {"CVE-2029-1000": {"releases": {"bookworm": {"status": "open", "repositories": {}, "urgency": "not yet assigned"}}}}
}`

func TestDebiansTrackerSaysHowEachIssueStands(t *testing.T) {
	w := newWorld(t,
		Feed{Name: "debian-tracker", Kind: "file", URL: "/tracker/data/json"},
		Feed{Name: "osv/Debian", Kind: "osv", URL: "/Debian"})
	w.pub.put("/tracker/data/json", gzipped(trackerText))
	w.pub.put("/Debian/all.zip", zipOf(map[string]string{
		// The tracker knows this one better.
		"DEBIAN-CVE-2029-1000.json": osvText("DEBIAN-CVE-2029-1000", "2029-01-01T00:00:00Z", "Debian:12", "harbour", "2.0", `,"upstream":["CVE-2029-1000"]`),
		// Of this one the tracker says nothing.
		"DEBIAN-CVE-2029-2000.json": osvText("DEBIAN-CVE-2029-2000", "2029-01-01T00:00:00Z", "Debian:12", "harbour", "2.0", `,"upstream":["CVE-2029-2000"]`),
		// A notice about issues that the tracker knows all, and one about one it does not know.
		"DSA-1.json": osvText("DSA-1-1", "2029-01-01T00:00:00Z", "Debian:12", "harbour", "2.1-3+deb12u1", `,"related":["CVE-2029-1000","CVE-2029-1001"]`),
		"DSA-2.json": osvText("DSA-2-1", "2029-01-01T00:00:00Z", "Debian:12", "harbour", "2.1-3+deb12u1", `,"upstream":["CVE-2029-1000","CVE-2029-2000"]`),
		"DSA-3.json": osvText("DSA-3-1", "2029-01-01T00:00:00Z", "Debian:12", "harbour", "2.1-3+deb12u1"),
	}))
	res := w.update()
	f := feedOf(t, res, "debian-tracker")
	if f.Error != "" || f.Skipped != 3 || f.Records != 4 || !strings.Contains(strings.Join(f.Why, "\n"), `harbour CVE-2029-1002: release bookworm: unknown status "melted"`) {
		t.Errorf("%+v", f)
	}
	db := w.open()
	list := expect(t, db, "Debian:12", "harbour",
		"CVE-2029-1000 debian-tracker [,2.1-3+deb12u1) high",
		"CVE-2029-1001 debian-tracker [,) wont-fix low",
		"TEMP-0000001-ABCDEF debian-tracker [,) deferred high",
		"DEBIAN-CVE-2029-2000 osv/Debian [,2.0)",
		"DSA-2-1 osv/Debian [,2.1-3+deb12u1)",
		"DSA-3-1 osv/Debian [,2.1-3+deb12u1)")
	for _, e := range list {
		if e.ID == "CVE-2029-1000" && (e.Title != "Harbour lets anyone in." || e.References[0] != "https://security-tracker.debian.org/tracker/CVE-2029-1000") {
			t.Errorf("%+v", e.Record)
		}
		if e.ID == "DSA-2-1" && strings.Join(e.Upstream, " ") != "CVE-2029-1000 CVE-2029-2000" {
			t.Errorf("%+v", e.Record)
		}
		if e.ID == "DEBIAN-CVE-2029-2000" && (strings.Join(e.Aliases, " ") != "CVE-2029-2000" || e.Upstream != nil) {
			t.Errorf("%+v", e.Record)
		}
	}
	expect(t, db, "Debian:13", "harbour", "CVE-2029-1000 debian-tracker [,) deferred medium", "CVE-2029-1001 debian-tracker [,) under-review informational")
	expect(t, db, "Debian:11", "harbour", "CVE-2029-1001 debian-tracker [,) end-of-life")
	expect(t, db, "Debian:sid", "harbour", "CVE-2029-1000 debian-tracker not-affected")
	expect(t, db, "Debian:zurg", "harbour", "CVE-2029-1001 debian-tracker [,) unfixed")
	expect(t, db, "Debian:12", "pier", "CVE-2029-1000 debian-tracker [,) unfixed")
	if r, err := db.Find("CVE-2029-1000"); err != nil || len(r) != 5 {
		t.Errorf("%d records, %v", len(r), err)
	}
}

func TestAlpinesDatabaseSaysWhichVersionFixed(t *testing.T) {
	w := newWorld(t,
		Feed{Name: "alpine/v3.20/main", Kind: "file", URL: "/v3.20/main.json"},
		Feed{Name: "alpine/v3.20/community", Kind: "file", URL: "/v3.20/community.json"},
		Feed{Name: "osv/Alpine", Kind: "osv", URL: "/Alpine"})
	w.pub.put("/v3.20/main.json", `{"apkurl":"x","archs":["x86_64"],"reponame":"main","urlprefix":"y","distroversion":"v3.20","packages":[
	 {"pkg":{"name":"crane","secfixes":{"1.2-r0":["CVE-2029-1 CVE-2029-0003","CVE-2029-0001 XSA-77 (+ regression)"],"1.2-r3":["CVE-2029-0001"],"1.2_rc1-r0":["CVE-2029-0004"],"0":["CVE-2029-0002"],"1.0-r0":[]}}},
	 {"pkg":{"name":"hook","secfixes":{"3-r0":["GHSA-aaaa-bbbb-cccc"]}}},
	 {"pkg":{"name":"winch","secfixes":["3-r0"]}},
	 {"pkg":{"name":"rope","secfixes":{"3-r0":["???"]}}}]}`)
	w.pub.put("/v3.20/community.json", `{"distroversion":"v3.20","reponame":"community","packages":[{"pkg":{"name":"yacht","secfixes":{"7-r1":["CVE-2029-0009"]}}}]}`)
	w.pub.put("/Alpine/all.zip", zipOf(map[string]string{
		"A.json": osvText("ALPINE-CVE-2029-0001", "2029-01-01T00:00:00Z", "Alpine:v3.20", "crane", "1.1"),
		"B.json": osvText("ALPINE-CVE-2029-0077", "2029-01-01T00:00:00Z", "Alpine:v3.20", "crane", "1.1"),
	}))
	f := feedOf(t, w.update(), "alpine/v3.20/main")
	if f.Error != "" || f.Skipped != 2 {
		t.Errorf("%+v", f)
	}
	db := w.open()
	const main = " alpine/v3.20/main "
	expect(t, db, "Alpine:v3.20", "crane",
		"CVE-2029-0003"+main+"[,1.2-r0)", // CVE-2029-1 is too short to be a CVE
		"CVE-2029-0001"+main+"[,1.2-r3)",
		"CVE-2029-0004"+main+"[,1.2_rc1-r0)",
		"CVE-2029-0002"+main+"not-affected",
		"ALPINE-CVE-2029-0077 osv/Alpine [,1.1)")
	expect(t, db, "Alpine:v3.20", "hook", "GHSA-aaaa-bbbb-cccc"+main+"[,3-r0)")
	expect(t, db, "Alpine:v3.20", "yacht", "CVE-2029-0009 alpine/v3.20/community [,7-r1)")
	if r, err := db.Find("xsa-77"); err != nil || len(r) != 1 || r[0].ID != "CVE-2029-0001" {
		t.Errorf("%+v, %v", r, err)
	}

	// The mirror mixed up two files: neither is taken for the other.
	w.pub.put("/v3.20/main.json", w.pub.files["/v3.20/community.json"])
	if f := feedOf(t, w.update(), "alpine/v3.20/main"); !strings.Contains(f.Error, "it is alpine/v3.20/community, not alpine/v3.20/main") {
		t.Errorf("%+v", f)
	}
}

const ovalHead = `<?xml version="1.0" encoding="UTF-8"?>
<oval_definitions xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5" xmlns:oval="http://oval.mitre.org/XMLSchema/oval-common-5" xmlns:linux="http://oval.mitre.org/XMLSchema/oval-definitions-5#linux">
 <generator><oval:product_name>%s</oval:product_name><oval:timestamp>2029-01-02T03:04:05</oval:timestamp></generator>
`

// azureText is OVAL as Azure Linux has it: every definition is (CVE, package, operation, version, patchable).
func azureText(rows ...[5]string) string {
	var defs, tests, objects, states strings.Builder
	for i, r := range rows {
		fmt.Fprintf(&defs, `<definition class="vulnerability" id="oval:x:def:%d"><metadata><title>%s in %s</title><affected family="unix"><platform>Azure Linux</platform></affected><reference ref_id="%s" ref_url="https://example.com/%s" source="CVE"/><patchable>%s</patchable><advisory_date>2029-01-01T00:00:00Z</advisory_date><severity>High</severity></metadata><criteria operator="AND"><criterion comment="c" test_ref="oval:x:tst:%d"/></criteria></definition>`, i, r[0], r[1], r[0], r[0], r[4], i)
		fmt.Fprintf(&tests, `<linux:rpminfo_test id="oval:x:tst:%d"><linux:object object_ref="oval:x:obj:%d"/><linux:state state_ref="oval:x:ste:%d"/></linux:rpminfo_test>`, i, i, i)
		fmt.Fprintf(&objects, `<linux:rpminfo_object id="oval:x:obj:%d"><linux:name>%s</linux:name></linux:rpminfo_object>`, i, r[1])
		fmt.Fprintf(&states, `<linux:rpminfo_state id="oval:x:ste:%d"><linux:evr datatype="evr_string" operation="%s">%s</linux:evr></linux:rpminfo_state>`, i, r[2], r[3])
	}
	return fmt.Sprintf(ovalHead, "Azure Linux OVAL Definition Generator") + "<definitions>" + defs.String() + "</definitions><tests>" + tests.String() + "</tests><objects>" + objects.String() + "</objects><states>" + states.String() + "</states></oval_definitions>"
}

func TestAzureLinuxSpeaksOVAL(t *testing.T) {
	w := newWorld(t, Feed{Name: "azurelinux/3", Kind: "file", URL: "/azurelinux-3.0-oval.xml"})
	w.pub.put("/azurelinux-3.0-oval.xml", azureText(
		[5]string{"CVE-2029-0001", "crane", "less than", "0:1.2-3.azl3", "true"},
		[5]string{"CVE-2029-0002", "crane", "less than", "2:1.2-3.azl3", "true"},
		[5]string{"CVE-2029-0003", "crane", "less than or equal", "0:1.1-1.azl3", "false"},
		[5]string{"CVE-2029-0004", "crane", "less than", "0:9-9.azl3", "Not Applicable"},
		[5]string{"CVE-2029-0005", "hook", "less than or equal", "0:1-1.azl3", "false"},
		[5]string{"CVE-2029-0005", "hook", "less than", "0:3-1.azl3", "true"},
		[5]string{"nothing", "hook", "less than", "0:3-1.azl3", "true"},
	))
	f := feedOf(t, w.update(), "azurelinux/3")
	if f.Error != "" || f.Skipped != 1 {
		t.Errorf("%+v", f)
	}
	db := w.open()
	const feed = " azurelinux/3 "
	list := expect(t, db, "Azure Linux:3.0", "crane",
		"CVE-2029-0001"+feed+"[,1.2-3.azl3) high",
		"CVE-2029-0002"+feed+"[,2:1.2-3.azl3) high",
		"CVE-2029-0003"+feed+"[,)≤1.1-1.azl3 high",
		"CVE-2029-0004"+feed+"not-affected high")
	if list[0].Title != "CVE-2029-0001 in crane" || list[0].Published == 0 {
		t.Errorf("%+v", list[0].Record)
	}
	expect(t, db, "Azure Linux:3", "hook", "CVE-2029-0005"+feed+"[,)≤1-1.azl3 high", "CVE-2029-0005"+feed+"[,3-1.azl3) high")
	if i := feedInfo(db, "azurelinux/3"); day(i.Date) != "2029-01-02" {
		t.Errorf("%+v", i)
	}
}

func TestUbuntuSpeaksOVAL(t *testing.T) {
	const def = `<definition class="vulnerability" id="oval:com.ubuntu.noble:def:%d"><metadata><title>%s on Ubuntu</title><affected family="unix"><platform>Ubuntu 24.04 LTS</platform></affected><reference source="CVE" ref_id="%s" ref_url="https://ubuntu.com/security/%s"/><description>d</description><advisory><severity>%s</severity><public_date>2029-01-01 00:00:00 UTC</public_date></advisory></metadata><criteria><extend_definition definition_ref="oval:com.ubuntu.noble:def:100"/><criteria operator="OR">%s</criteria></criteria></definition>`
	row := func(n int, id, severity, criteria string) string {
		return fmt.Sprintf(def, n, id, id, id, severity, criteria)
	}
	text := fmt.Sprintf(ovalHead, "Canonical CVE OVAL Generator") + `<definitions>
	<definition class="inventory" id="oval:com.ubuntu.noble:def:100"><metadata><title>Ubuntu</title></metadata><criteria/></definition>` +
		row(1, "CVE-2029-0001", "High", `<criterion test_ref="t1" comment="crane package in noble was vulnerable but has been fixed (note: '1.2-3ubuntu1')."/>`) +
		row(2, "CVE-2029-0002", "Low", `<criterion test_ref="t2" comment="crane package in noble is affected and needs fixing."/><criterion test_ref="t2" comment="The 'hook' package in noble is affected, but a decision has been made to defer addressing it (note: '2029-01-01')."/>`) +
		row(3, "CVE-2029-0003", "Medium", `<criterion test_ref="t2" comment="crane package in noble is affected and may need fixing."/><criterion test_ref="t2" comment="hook: while related to the CVE in some way, a decision has been made to ignore this issue (note: 'code-not-compiled')."/>`) +
		row(4, "CVE-2029-0004", "Untriaged", `<criterion test_ref="t1"/>`) +
		`</definitions><tests>
	<linux:dpkginfo_test id="t1"><linux:object object_ref="o1"/><linux:state state_ref="s1"/></linux:dpkginfo_test>
	<linux:dpkginfo_test id="t2"><linux:object object_ref="o1"/></linux:dpkginfo_test></tests>
	<objects><linux:dpkginfo_object id="o1"><linux:name var_ref="v1" var_check="at least one"/></linux:dpkginfo_object></objects>
	<states><linux:dpkginfo_state id="s1"><linux:evr datatype="debian_evr_string" operation="less than">0:1.2-3ubuntu1</linux:evr></linux:dpkginfo_state></states>
	<variables><constant_variable id="v1"><value>crane-bin</value><value>libcrane1</value></constant_variable></variables></oval_definitions>`
	usn := strings.ReplaceAll(strings.ReplaceAll(text, "CVE OVAL Generator", "USN OVAL Generator"), `<reference source="CVE" ref_id="CVE-2029-0001"`, `<reference source="USN" ref_id="USN-1-1" ref_url="https://ubuntu.com/security/notices/USN-1-1"/><reference source="CVE" ref_id="CVE-2029-0001"`)
	w := newWorld(t,
		Feed{Name: "ubuntu-cve/noble", Kind: "file", URL: "/cve.xml"},
		Feed{Name: "ubuntu-usn/noble", Kind: "file", URL: "/usn.xml"})
	w.pub.put("/cve.xml", text)
	w.pub.put("/usn.xml", usn)
	for _, f := range w.update().Feeds {
		if f.Error != "" || f.Skipped > 0 || f.Records != 4 {
			t.Errorf("%+v", f)
		}
	}
	db := w.open()
	const eco, feed = "Ubuntu:24.04:LTS", " ubuntu-cve/noble "
	expect(t, db, eco, "crane",
		"CVE-2029-0001"+feed+"[,1.2-3ubuntu1) high",
		"CVE-2029-0002"+feed+"[,) unfixed low",
		"CVE-2029-0003"+feed+"[,) under-review medium")
	expect(t, db, eco, "hook", "CVE-2029-0002"+feed+"[,) deferred low", "CVE-2029-0003"+feed+"[,) wont-fix medium")
	// Where nothing names the source package, the binary packages stand for it.
	expect(t, db, eco, "libcrane1", "CVE-2029-0004"+feed+"[,1.2-3ubuntu1)")
	if r, err := db.Find("USN-1-1"); err != nil || len(r) != 1 || strings.Join(r[0].Upstream, " ") != "CVE-2029-0001" {
		t.Errorf("%+v, %v", r, err)
	}
}

// vexText is a document as Red Hat writes it: a tree of products, which parts belong to
// which, and how each stands.
func vexText(cve, changed, status string) string {
	return fmt.Sprintf(`{"document":{"aggregate_severity":{"text":"Moderate"},"category":"csaf_vex","csaf_version":"2.0","tracking":{"id":%q,"initial_release_date":"2029-01-01T00:00:00+00:00","current_release_date":%q,"status":"final"},"title":"crane: it falls"},
"product_tree":{"branches":[{"category":"vendor","name":"Red Hat","branches":[
 {"category":"product_family","name":"RHEL","branches":[
  {"category":"product_name","name":"RHEL 9 BaseOS","product":{"name":"RHEL 9 BaseOS","product_id":"BaseOS-9","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9::baseos"}}},
  {"category":"product_name","name":"RHEL 9","product":{"name":"RHEL 9","product_id":"rhel9","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9"}}},
  {"category":"product_name","name":"RHEL 8 AppStream","product":{"name":"RHEL 8","product_id":"AppStream-8","product_identification_helper":{"cpe":"cpe:/a:redhat:enterprise_linux:8::appstream"}}},
  {"category":"product_name","name":"RHEL 6","product":{"name":"RHEL 6","product_id":"rhel6","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:6"}}},
  {"category":"product_name","name":"EUS","product":{"name":"EUS","product_id":"EUS-9.2","product_identification_helper":{"cpe":"cpe:/a:redhat:rhel_eus:9.2::appstream"}}}]},
 {"category":"architecture","name":"x86_64","branches":[
  {"category":"product_version","name":"a","product":{"name":"crane-1:1.2-3.el9.x86_64","product_id":"crane-1:1.2-3.el9.x86_64","product_identification_helper":{"purl":"pkg:rpm/redhat/crane@1.2-3.el9?arch=x86_64&epoch=1"}}},
  {"category":"product_version","name":"b","product":{"name":"crane-1:1.2-9.el9.x86_64","product_id":"crane-1:1.2-9.el9.x86_64","product_identification_helper":{"purl":"pkg:rpm/redhat/crane@1.2-9.el9?arch=x86_64&epoch=1"}}},
  {"category":"product_version","name":"c","product":{"name":"pulley","product_id":"pulley-8.x86_64","product_identification_helper":{"purl":"pkg:rpm/redhat/pulley@2-1.module%%2Bel8?arch=x86_64"}}},
  {"category":"product_version","name":"d","product":{"name":"winch","product_id":"winch","product_identification_helper":{"purl":"pkg:rpm/redhat/winch?arch=src"}}},
  {"category":"product_version","name":"m","product":{"name":"rig:4:8080:abc","product_id":"rig:4:8080:abc","product_identification_helper":{"purl":"pkg:rpmmod/redhat/rig@4:8080:abc"}}},
  {"category":"product_version","name":"q","product":{"name":"new","product_id":"new-8","product_identification_helper":{"purl":"pkg:rpm/redhat/block@3-1.el8?arch=x86_64&rpmmod=rig:5:8090:def"}}},
  {"category":"product_version","name":"i","product":{"name":"image","product_id":"image","product_identification_helper":{"purl":"pkg:oci/crane?tag=1"}}}]}]}],
"relationships":[
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"BaseOS-9:crane-3"},"product_reference":"crane-1:1.2-3.el9.x86_64","relates_to_product_reference":"BaseOS-9"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"BaseOS-9:crane-9"},"product_reference":"crane-1:1.2-9.el9.x86_64","relates_to_product_reference":"BaseOS-9"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"EUS-9.2:crane-9"},"product_reference":"crane-1:1.2-9.el9.x86_64","relates_to_product_reference":"EUS-9.2"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"AppStream-8:rig"},"product_reference":"rig:4:8080:abc","relates_to_product_reference":"AppStream-8"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"AppStream-8:rig:pulley"},"product_reference":"pulley-8.x86_64","relates_to_product_reference":"AppStream-8:rig"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"AppStream-8:new"},"product_reference":"new-8","relates_to_product_reference":"AppStream-8"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"rhel9:winch"},"product_reference":"winch","relates_to_product_reference":"rhel9"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"rhel6:winch"},"product_reference":"winch","relates_to_product_reference":"rhel6"},
 {"category":"default_component_of","full_product_name":{"name":"x","product_id":"rhel9:image"},"product_reference":"image","relates_to_product_reference":"rhel9"}]},
"vulnerabilities":[{"cve":%q,"title":"crane: it falls","references":[{"url":"https://example.com/crane"}],
 "scores":[{"cvss_v3":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","baseScore":9.8},"products":["x"]}],
 "threats":[{"category":"impact","details":"Important"}],%s}]}`, cve, changed, cve, status)
}

const (
	vexFixed = `"product_status":{"fixed":["BaseOS-9:crane-9","BaseOS-9:crane-3","EUS-9.2:crane-9","AppStream-8:rig:pulley","AppStream-8:new","rhel9:image"],"known_affected":["rhel9:winch","rhel6:winch"]},
 "remediations":[{"category":"no_fix_planned","details":"Out of support scope","product_ids":["rhel6:winch"]},{"category":"none_available","details":"Fix deferred","product_ids":["rhel9:winch"]},{"category":"vendor_fix","details":"update","product_ids":["BaseOS-9:crane-9"]}]`
	vexOpen = `"product_status":{"known_affected":["rhel9:winch"],"under_investigation":["rhel6:winch"],"known_not_affected":["BaseOS-9:crane-3"]},"remediations":[{"category":"no_fix_planned","details":"Will not fix","product_ids":["rhel9:winch"]}]`
)

func TestRedHatsVEXSaysHowEachProductStands(t *testing.T) {
	w := newWorld(t, Feed{Name: "redhat-vex", Kind: "redhat-vex", URL: "/vex"})
	w.pub.put("/vex/archive_latest.txt", "csaf_vex_2029-01-10.tar.zst\n")
	w.pub.put("/vex/csaf_vex_2029-01-10.tar.zst", tarZst(map[string]string{
		"2029/cve-2029-0001.json": vexText("CVE-2029-0001", "2029-01-05T00:00:00+00:00", vexFixed),
		"2029/cve-2029-0002.json": vexText("CVE-2029-0002", "2029-01-05T00:00:00+00:00", vexOpen),
		"2029/cve-2029-0003.json": vexText("CVE-2029-0003", "2029-01-05T00:00:00+00:00", vexOpen),
		"2029/cve-2029-0004.json": vexText("CVE-2029-0004", "2029-01-05T00:00:00+00:00", vexOpen),
		"2029/cve-2029-0005.json": `{"document":{"csaf_version":"2.0"},"vulnerabilities":{"cve":"CVE-2029-0005"}}`,
		"index.txt":               "2029/cve-2029-0001.json\n",
	}))
	// One document changed after the archive was made, another is gone since.
	w.pub.put("/vex/changes.csv", "\"2029/cve-2029-0003.json\",\"2029-01-11T00:00:00+00:00\"\n\"2029/cve-2029-0001.json\",\"2029-01-05T00:00:00+00:00\"\n")
	w.pub.put("/vex/deletions.csv", "\"2029/cve-2029-0004.json\",\"2029-01-11T00:00:00+00:00\"\n")
	w.pub.put("/vex/2029/cve-2029-0003.json", vexText("CVE-2029-0003", "2029-01-11T00:00:00+00:00", vexFixed))
	f := feedOf(t, w.update(), "redhat-vex")
	if f.Error != "" || f.Skipped != 1 || f.Records != 3 || !strings.Contains(f.Why[0], "cve-2029-0005") {
		t.Errorf("%+v", f)
	}
	db := w.open()
	list := expect(t, db, "Red Hat:enterprise_linux:9", "crane",
		"CVE-2029-0001 redhat-vex [,1:1.2-3.el9)", // the first fix of the stream
		"CVE-2029-0003 redhat-vex [,1:1.2-3.el9)",
		"CVE-2029-0002 redhat-vex not-affected")
	if r := list[0].Record; r.Severity.String() != "high" || r.CVSS != 9.8 || r.Title != "crane: it falls" {
		t.Errorf("%+v", r)
	}
	expect(t, db, "Red Hat:rhel_eus:9.2::appstream", "crane", "CVE-2029-0001 redhat-vex [,1:1.2-9.el9)", "CVE-2029-0003 redhat-vex [,1:1.2-9.el9)")
	expect(t, db, "Red Hat:enterprise_linux:8::appstream", "pulley", "CVE-2029-0001 redhat-vex [,2-1.module+el8) module rig:4", "CVE-2029-0003 redhat-vex [,2-1.module+el8) module rig:4")
	expect(t, db, "Red Hat:enterprise_linux:8", "block", "CVE-2029-0001 redhat-vex [,3-1.el8) module rig:5", "CVE-2029-0003 redhat-vex [,3-1.el8) module rig:5")
	expect(t, db, "Red Hat:enterprise_linux:9", "winch", "CVE-2029-0001 redhat-vex [,) deferred", "CVE-2029-0003 redhat-vex [,) deferred", "CVE-2029-0002 redhat-vex [,) wont-fix")
	expect(t, db, "Red Hat:enterprise_linux:6", "winch", "CVE-2029-0001 redhat-vex [,) end-of-life", "CVE-2029-0003 redhat-vex [,) end-of-life", "CVE-2029-0002 redhat-vex [,) under-review")
	w.pub.requests()

	// From then on only what changed, and what is deleted goes.
	w.pub.put("/vex/changes.csv", "\"2029/cve-2029-0001.json\",\"2029-01-12T00:00:00+00:00\"\n\"2029/cve-2029-0003.json\",\"2029-01-11T00:00:00+00:00\"\n")
	w.pub.put("/vex/deletions.csv", "\"2029/cve-2029-0003.json\",\"2029-01-12T00:00:00+00:00\"\n\"2029/cve-2029-0004.json\",\"2029-01-11T00:00:00+00:00\"\n")
	w.pub.put("/vex/2029/cve-2029-0001.json", vexText("CVE-2029-0001", "2029-01-12T00:00:00+00:00", vexOpen))
	f = feedOf(t, w.update(), "redhat-vex")
	if f.Error != "" || f.Records != 2 || f.Read != 1 {
		t.Errorf("%+v", f)
	}
	if got := strings.Join(w.pub.requests(), "\n"); strings.Contains(got, "tar") || !strings.Contains(got, "200 /vex/2029/cve-2029-0001.json") {
		t.Errorf("asked\n%s", got)
	}
	expect(t, w.open(), "Red Hat:enterprise_linux:9", "winch", "CVE-2029-0001 redhat-vex [,) wont-fix", "CVE-2029-0002 redhat-vex [,) wont-fix")
	if f := feedOf(t, w.update(), "redhat-vex"); !f.Unchanged {
		t.Errorf("%+v", f)
	}

	// Names in those lists become addresses: anything else than a document is refused.
	w.pub.put("/vex/changes.csv", "\"../../etc/passwd\",\"2029-01-13T00:00:00+00:00\"\n")
	if _, err := Update(context.Background(), w.path, w.opt); err == nil || !strings.Contains(err.Error(), "is no document") {
		t.Error(err)
	}
	if i := feedInfo(w.open(), "redhat-vex"); i.Records != 2 || !strings.Contains(i.Error, "is no document") {
		t.Errorf("%+v", i)
	}
}
