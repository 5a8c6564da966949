package secret

import (
	"bytes"

	"github.com/dockreeve/dockreeve/finding"
)

// kind is what a finding is called. rank decides between two rules that find the same
// bytes: the more telling one stays.
type kind struct {
	id, title string
	severity  finding.Severity
	rank      int
	shown     int // bytes of the value that are a public prefix, so may be shown
}

// rule is one entry of the table: where to look, and what to do there. Most find a
// token that names itself and fill prefix, set, min and max; the others bring a match.
type rule struct {
	kind
	prefix string // the token begins with it
	core   int    // place of the anchor in prefix
	ends   string // instead of the anchor in prefix: one of these bytes closes an anchor of three
	set    class  // of the bytes behind the prefix
	min    int    // bytes behind the prefix
	max    int
	// check judges the whole token; nil = it must look random.
	check  func(token []byte) bool
	public bool // programs carry one on purpose: low where others' programs lie

	anchors []string                         // instead of prefix: four bytes each, in any case
	match   func(f *finder, k *kind, at int) // looks around the anchor at at
}

func (r *rule) cores() []string {
	if r.anchors != nil {
		return r.anchors
	}
	if r.ends != "" {
		var out []string
		for _, c := range r.ends {
			out = append(out, r.prefix+string(c))
		}
		return out
	}
	return []string{r.prefix[r.core : r.core+4]}
}

const alnumEnds = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// anchors returns the table. The order does not matter. To add a rule: one entry, and
// its case that is found and its cases that are not in rules_test.go.
func anchors() []rule {
	const crit, high, medium, low = finding.Critical, finding.High, finding.Medium, finding.Low
	token := func(id, title string, s finding.Severity, prefix string, set class, min, max int, check func([]byte) bool) rule {
		return rule{kind: kind{id, title, s, 85, 4}, prefix: prefix, set: set, min: min, max: max, check: check}
	}
	public := func(r rule) rule { r.public = true; return r }
	at := func(core int, r rule) rule { r.core = core; return r }
	special := func(id, title string, s finding.Severity, rank, shown int, match func(*finder, *kind, int), anchors ...string) rule {
		return rule{kind: kind{id, title, s, rank, shown}, match: match, anchors: anchors}
	}
	return []rule{
		special("private-key", "Private key", high, 90, 0, matchPEM, "--BE"),
		special("private-key", "Private key in Base64", high, 90, 0, matchPEM64, "LS1C"),
		special("putty-key", "PuTTY private key", high, 90, 0, matchPuTTY, "TTY-"),
		at(10, token("age-key", "age secret key", high, "AGE-SECRET-KEY-1", upper|digit, 58, 58, nil)),

		special("aws-access-key", "AWS access key", crit, 80, 4, matchAWS, "AKIA", "ASIA"),

		special("azure-storage-key", "Azure Storage account key", crit, 80, 0, matchConnectionKey, "ntKe", "edAc", "ssKe"),
		special("azure-key", "Azure key that names its service", crit, 75, 0, matchAzureMarked, "+ASt", "+ACR", "ACDb", "AzFu", "AzSe", "AzCa", "AIoT", "+ASb", "+AEh", "APIM"),
		special("azure-sas", "Azure shared access signature", high, 80, 0, matchSAS, "sv=2"),
		special("azure-client-secret", "Microsoft Entra client secret", crit, 80, 0, matchEntra, digitQ()...),
		special("azure-devops-token", "Azure DevOps personal access token", high, 80, 0, matchDevOps, "AZDO"),

		public(token("gcp-api-key", "Google API key", medium, "AIza", base64u, 35, 35, nil)),
		token("gcp-oauth-secret", "Google OAuth client secret", high, "GOCSPX-", base64u, 28, 28, nil),

		token("github-token", "GitHub token", high, "ghp_", base62, 36, 36, githubChecked),
		token("github-token", "GitHub OAuth token", high, "gho_", base62, 36, 36, githubChecked),
		token("github-token", "GitHub user-to-server token", high, "ghu_", base62, 36, 36, githubChecked),
		token("github-token", "GitHub app token", high, "ghs_", base62, 36, 36, githubChecked),
		token("github-token", "GitHub refresh token", high, "ghr_", base62, 36, 76, nil),
		at(7, token("github-token", "GitHub fine-grained token", high, "github_pat_", base62|dash, 82, 82, finePAT)),

		token("gitlab-token", "GitLab personal access token", high, "glpat-", base64u|dot, 20, 300, nil),
		token("gitlab-token", "GitLab deploy token", high, "gldt-", base64u, 20, 64, nil),
		token("gitlab-token", "GitLab runner token", high, "glrt-", base64u|dot, 20, 300, nil),
		token("gitlab-token", "GitLab trigger token", high, "glptt-", hexa|base64u, 40, 64, nil),
		token("gitlab-token", "GitLab job token", medium, "glcbt-", base64u|dot, 20, 300, nil),

		token("slack-token", "Slack bot token", high, "xoxb-", base62|dash, 24, 120, slackToken),
		token("slack-token", "Slack user token", high, "xoxp-", base62|dash, 24, 160, slackToken),
		token("slack-token", "Slack workspace token", high, "xoxa-", base62|dash, 24, 160, slackToken),
		token("slack-token", "Slack refresh token", high, "xoxr-", base62|dash, 24, 160, slackToken),
		token("slack-token", "Slack legacy token", high, "xoxs-", base62|dash, 24, 160, slackToken),
		token("slack-token", "Slack app token", high, "xapp-", base62|dash, 40, 200, slackToken),
		special("slack-webhook", "Slack webhook address", medium, 80, 0, matchSlackHook, "s.sl"),

		token("npm-token", "npm access token", high, "npm_", base62, 36, 36, githubChecked),
		token("pypi-token", "PyPI upload token", high, "pypi-AgE", base64u, 60, 500, pypiToken),
		at(1, token("stripe-key", "Stripe secret key", crit, "sk_live_", base62, 24, 247, nil)),
		at(1, token("stripe-key", "Stripe restricted key", high, "rk_live_", base62, 24, 247, nil)),
		{kind: kind{"sendgrid-key", "SendGrid API key", high, 85, 3}, prefix: "SG.", ends: alnumEnds, set: base64u | dot, min: 66, max: 66, check: sendGrid},
		special("twilio-key", "Twilio key", high, 60, 2, matchTwilio, "twil"),
		token("vault-token", "HashiCorp Vault token", high, "hvs.", base64u, 24, 300, nil),
		token("vault-token", "HashiCorp Vault batch token", medium, "hvb.", base64u, 100, 400, nil),
		token("vault-token", "HashiCorp Vault recovery token", crit, "hvr.", base64u, 24, 300, nil),
		token("databricks-token", "Databricks token", high, "dapi", hexa|dash, 32, 34, databricks),
		token("dockerhub-token", "Docker Hub access token", high, "dckr_pat_", base64u, 27, 27, nil),
		token("digitalocean-token", "DigitalOcean token", high, "dop_v1_", hexa, 64, 64, nil),
		token("shopify-token", "Shopify token", high, "shpat_", hexa|upper, 32, 32, nil),
		at(2, token("anthropic-key", "Anthropic API key", high, "sk-ant-", base64u, 80, 140, nil)),
		special("openai-key", "OpenAI API key", high, 60, 3, matchOpenAI, "T3Bl"),

		special("registry-auth", "Registry credential", high, 80, 0, matchAuths, `ths"`),
		special("url-password", "Password in an address", high, 60, 0, matchURL, schemeEnds()...),
		special("jwt", "JSON Web Token", low, 40, 0, matchJWT, "eyJh", "eyJ0", "eyJr", "eyJl", "eyJj"),
		special("password", "Password or secret assigned", medium, 20, 0, matchAssign, "sswo", "sswd", "ecre", "oken", "apik", "pi_k", "pi-k", "_pas", "pwd="),
	}
}

// digitQ are the anchors of an Entra secret: a digit, Q, ~ and any byte would be too
// many, so the two halves: dQ~? is found by its first three bytes.
func digitQ() []string {
	var out []string
	for _, d := range "0123456789" {
		for _, c := range alnumEnds + ".~" {
			out = append(out, string(d)+"Q~"+string(c))
		}
	}
	return out
}

// schemeEnds are the anchors of an address: the last byte of its scheme and "://".
func schemeEnds() []string {
	var out []string
	for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789" {
		out = append(out, string(c)+"://")
	}
	return out
}

// at calls the rule of an anchor.
func (d *Detector) at(f *finder, index uint16, i int) {
	r := &d.rules[index]
	if r.match != nil {
		r.match(f, &r.kind, i)
		return
	}
	f.token(r, i)
}

// token checks for a token that names itself.
func (f *finder) token(r *rule, i int) {
	from := i - r.core
	b := f.content
	if from < 0 || len(b)-from < len(r.prefix)+r.min || !bytes.HasPrefix(b[from:], []byte(r.prefix)) || !startsWord(b, from) {
		return
	}
	body := from + len(r.prefix)
	to := run(b, body, r.max+1, r.set)
	for to > body && classes[b[to-1]]&(dot|dash) != 0 { // the end of a sentence, not of a token
		to--
	}
	if n := to - body; n < r.min || n > r.max {
		return
	}
	if to < len(b) && classes[b[to]]&base62 != 0 {
		return
	}
	tok := b[from:to]
	if r.check == nil {
		if !random(b[body:to], alphabet(r.set)) {
			return
		}
	} else if !r.check(tok) {
		return
	}
	severity := r.severity
	if r.public && f.place.vendor {
		severity = finding.Low
	}
	f.foundAs(&r.kind, severity, tok, from, to)
}

// alphabet is the size of what a set allows.
func alphabet(c class) int {
	n := 0
	for _, s := range [...]struct {
		c class
		n int
	}{{lower, 26}, {upper, 26}, {digit, 10}, {dash, 2}, {plus, 2}} {
		if c&s.c != 0 {
			n += s.n
		}
	}
	if n == 0 || c&hexa != 0 && c&lower == 0 {
		return 16
	}
	return n
}
