package kubeaudit

import (
	"context"
	"strings"
	"testing"

	"github.com/dockreeve/dockreeve/event"
)

// What an API server quotes when it refuses: seen of a real one.
func TestRefusalsKeepNoSecrets(t *testing.T) {
	for name, doc := range map[string]string{
		"a secret whose patch is not base64, metadata only": `{"auditID":"x","objectRef":{"resource":"secrets"},"responseStatus":{"status":"Failure","code":422,"message":" \"\" is invalid: patch: Invalid value: \"{\\\"data\\\":{\\\"old\\\":\\\"SECRET=\\\",\\\"k\\\":\\\"SECRET not base64\\\"},\\\"kind\\\":\\\"Secret\\\"}\": illegal base64 data at input byte 14"}}`,
		"the same with the answer":                          `{"auditID":"x","objectRef":{"resource":"secrets"},"responseObject":{"kind":"Status","message":"Invalid value: \"{\\\"data\\\":{\\\"k\\\":\\\"SECRET\\\"}}\"","details":{"causes":[{"message":"Invalid value: \"{\\\"data\\\":{\\\"k\\\":\\\"SECRET\\\"}}\"","field":"patch"}]}}}`,
		"a variable of a pod that may not change":           `{"auditID":"x","objectRef":{"resource":"pods"},"responseStatus":{"message":"Pod \"p2\" is invalid: spec: Forbidden: pod updates may not change fields\n+    {\n+     \"Name\": \"API_TOKEN\",\n+     \"Value\": \"SECRET\",\n+     \"ValueFrom\": null\n"}}`,
		"the same as Go writes it":                          `{"auditID":"x","objectRef":{"resource":"pods"},"responseStatus":{"message":"Invalid value: core.EnvVar{Name:\"API_TOKEN\", Value:\"SECRET\", ValueFrom:nil}"}}`,
		"a command of one word":                             `{"auditID":"x","objectRef":{"resource":"pods","subresource":"exec"},"requestURI":"/api/v1/namespaces/a/pods/b/exec?command=%2D%2Dpassword%3DSECRET&stdout=true"}`,
	} {
		root, err := new(parser).tree([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		var r redactor
		if !r.event(&root) {
			t.Errorf("%s: nothing was redacted", name)
		}
		once := string(root.append(nil))
		if strings.Contains(once, "SECRET") {
			t.Errorf("%s: kept %s", name, once)
		}
		if r.event(&root); string(root.append(nil)) != once {
			t.Errorf("%s: changes again: %s", name, root.append(nil))
		}
	}
	root, err := new(parser).tree([]byte(`{"auditID":"x","objectRef":{"resource":"pods"},"responseStatus":{"message":"Pod \"B\" is invalid: metadata.name: Invalid value: \"B\": want lower case"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if new(redactor).event(&root) {
		t.Errorf("a plain refusal is changed: %s", root.append(nil))
	}
}

func TestALargePodDoesNotHideWhatItMayDo(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	env := strings.TrimSuffix(strings.Repeat(`{"name":"N","value":"`+strings.Repeat("y", 400)+`"},`, 3000), ",")
	for name, object := range map[string]string{
		"annotations": `{"kind":"Pod","metadata":{"annotations":{"a":"` + long + `","b":"` + long + `","c":"` + long + `","d":"` + long + `","e":"` + long + `","f":"` + long + `"}},"spec":{"hostPID":true}}`,
		"variables":   `{"kind":"Pod","metadata":{"name":"p"},"spec":{"hostPID":true,"containers":[{"name":"c","env":[` + env + `]}]}}`,
		"escapes":     `{"kind":"Pod","metadata":{"annotations":{"a":"` + strings.Repeat("\x7f", 150<<10) + `"}},"spec":{"hostPID":true}}`,
		"a patch":     `[{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat(long, 6) + `"}},{"op":"add","path":"/spec/hostPID","value":true}]`,
	} {
		doc := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"x","stage":"ResponseComplete","verb":"create","objectRef":{"resource":"pods"},"responseObject":` + object + `,"requestObject":` + object + `}`
		var got string
		in := New(Options{Handler: Handler{Event: func(ev *event.Event, _ Source) error { got = string(ev.JSON); return nil }}})
		if err := in.Reader(strings.NewReader(doc)).Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(got) > MaxEvent || !strings.Contains(got, "hostPID") {
			t.Errorf("%s: %d bytes, %.300s", name, len(got), got)
		}
	}
}
