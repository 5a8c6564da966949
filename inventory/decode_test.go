package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

func mustDecode(t *testing.T, doc string) *Object {
	t.Helper()
	o, err := Decode([]byte(doc))
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return o
}

func TestSecretsAreNeverHeld(t *testing.T) {
	const canary = "s3cr3t-canary-Zx81"
	for _, doc := range []string{
		`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"},"type":"Opaque","data":{"p":"` + canary + `"},"stringData":{"q":"` + canary + `"}}`,
		`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"redis.conf":"requirepass ` + canary + `"}}`,
		`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"` + canary + `"}},
		  "spec":{"containers":[{"name":"c","image":"postgres","args":["--password=` + canary + `"],"env":[{"name":"POSTGRES_PASSWORD","value":"` + canary + `"},{"name":"OTHER","value":"` + canary + `"}]}]}}`,
	} {
		o := mustDecode(t, doc)
		b, _ := json.Marshal(o)
		if strings.Contains(string(b), canary) {
			t.Errorf("held: %s", b)
		}
	}
}

func TestKindsAreToldByTheirGroup(t *testing.T) {
	for doc, want := range map[string]Kind{
		`{"kind":"Service","apiVersion":"v1","metadata":{"name":"a"}}`:                                              KindService,
		`{"kind":"Deployment","apiVersion":"apps/v9beta3","metadata":{"name":"a"}}`:                                 KindDeployment,
		`{"kind":"HTTPRoute","apiVersion":"gateway.networking.k8s.io/v7","metadata":{"name":"a"}}`:                  KindRoute,
		`{"kind":"Ingress","apiVersion":"extensions/v1beta1","metadata":{"name":"a"}}`:                              KindIngress,
		`{"kind":"Service","apiVersion":"serving.knative.dev/v1","metadata":{"name":"a"}}`:                          "",
		`{"kind":"Job","apiVersion":"batch.volcano.sh/v1","metadata":{"name":"a"}}`:                                 "",
		`{"kind":"Deployment","apiVersion":"batch/v1","metadata":{"name":"a"}}`:                                     "",
		`{"kind":"MutatingAdmissionPolicy","apiVersion":"admissionregistration.k8s.io/v1","metadata":{"name":"a"}}`: KindWebhook,
	} {
		o, err := Decode([]byte(doc))
		switch {
		case want == "" && !errors.Is(err, ErrUnknownKind):
			t.Errorf("%s: %v, want it unknown", doc, err)
		case want != "" && (err != nil || o.Kind != want):
			t.Errorf("%s: %v %v, want %s", doc, o, err, want)
		}
	}
}

func TestWhatHasAnotherShapeIsPassedOverAndNamed(t *testing.T) {
	o := mustDecode(t, `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a"},"spec":{"replicas":"many","template":{"spec":{"hostPID":true,"containers":[{"name":"c","image":"i"}]}}}}`)
	if o.Unread != "spec.replicas" || !o.Workload.Template.HostPID || len(o.Workload.Template.Containers) != 1 {
		t.Errorf("unread %q, %+v", o.Unread, o.Workload)
	}
}

func TestBothShapesOfIngress(t *testing.T) {
	for _, backend := range []string{`{"service":{"name":"web","port":{"number":80}}}`, `{"serviceName":"web","servicePort":80}`} {
		o := mustDecode(t, `{"kind":"Ingress","apiVersion":"networking.k8s.io/v1","metadata":{"name":"a"},"spec":{"rules":[{"host":"h","http":{"paths":[{"path":"/","backend":`+backend+`}]}}]}}`)
		if len(o.Ingress.Backends) != 1 || o.Ingress.Backends[0].Service != "web" || o.Ingress.Backends[0].Port != "80" {
			t.Errorf("%s: %+v", backend, o.Ingress)
		}
	}
}

func TestConfigMapsSayWhoMayEnter(t *testing.T) {
	for content, want := range map[string]string{
		"local all all trust\nhost all all 127.0.0.1/32 trust": "",
		"host all all 0.0.0.0/0 trust":                         "postgres-trust",
		"hostssl all all 10.0.0.0 255.0.0.0 trust":             "postgres-trust",
		"host all all 0.0.0.0/0 scram-sha-256":                 "",
		"port 6379\nprotected-mode no":                         "redis-no-password",
		"protected-mode no\nrequirepass x":                     "redis-password",
		"# protected-mode no":                                  "",
		"[mysqld]\nskip-grant-tables":                          "mysql-no-password",
		"[auth.anonymous]\nenabled = true":                     "grafana-anonymous",
		"[auth.basic]\nenabled = true":                         "",
		"xpack.security.enabled: false":                        "elasticsearch-no-password",
		"c.ServerApp.token = ''":                               "jupyter-no-password",
	} {
		if got := strings.Join(says("f.conf", content), " "); got != want {
			t.Errorf("%q says %q, want %q", content, got, want)
		}
	}
}

func TestQuantities(t *testing.T) {
	for s, want := range map[string]int64{"100m": 100, "2": 2000, "1.5": 1500, "1e3": 1000000, "": 0, "-1": 0, "Inf": 0, "0x10": 0, "many": 0} {
		if got := quantity(s, 1000); got != want {
			t.Errorf("%q: %d thousandths, want %d", s, got, want)
		}
	}
	for s, want := range map[string]int64{"1Gi": 1 << 30, "128974848": 128974848, "129M": 129000000, "1e99Ei": 1 << 62} {
		if got := quantity(s, 1); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	read := func(doc string) (names string, err error) {
		err = DecodeList([]byte(doc), func(o *Object, err error) bool {
			if err != nil {
				names += "error "
			} else {
				names += string(o.Kind) + "/" + o.Name + " "
			}
			return true
		})
		return names, err
	}
	for doc, want := range map[string]string{
		`{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}`:                                             "Pod/a Pod/b ",
		`{"items":[{"metadata":{"name":"a"}}],"kind":"DeploymentList","apiVersion":"apps/v1"}`:                                                           "Deployment/a ",
		`{"kind":"List","apiVersion":"v1","items":[{"kind":"Widget","metadata":{"name":"a"}},{"kind":"Pod","apiVersion":"v1","metadata":{"name":"b"}}]}`: "error Pod/b ",
		`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"b"}}`:                                                                                       "Pod/b ",
		`{"kind":"PodList","apiVersion":"v1","items":null}`:                                                                                              "",
	} {
		if got, err := read(doc); got != want || err != nil {
			t.Errorf("%s: %q %v, want %q", doc, got, err, want)
		}
	}
	if _, err := read(`{"kind":"PodList","items":[{]}`); err == nil {
		t.Error("half a list is no list")
	}
}

func TestBounds(t *testing.T) {
	var subjects, labels []string
	for i := range 3000 {
		subjects = append(subjects, fmt.Sprintf(`{"kind":"User","name":"u%d"}`, i))
		labels = append(labels, fmt.Sprintf(`"k%04d":"v"`, i))
	}
	o := mustDecode(t, `{"kind":"RoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"a","labels":{`+strings.Join(labels, ",")+`},"annotations":{"a":"`+strings.Repeat("é", 2000)+`"}},"subjects":[`+strings.Join(subjects, ",")+`]}`)
	if len(o.Binding.Subjects) != maxSubjects || len(o.Labels) != maxLabels || len(o.Annotations["a"]) > maxText || !utf8.ValidString(o.Annotations["a"]) {
		t.Errorf("%d subjects, %d labels, %d bytes of annotation", len(o.Binding.Subjects), len(o.Labels), len(o.Annotations["a"]))
	}
	if _, err := Decode([]byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"containers":[{}` + strings.Repeat(",{}", maxValues+1) + `]}}`)); err == nil {
		t.Error("a pod of too many containers was read")
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"testdata/shop.json"} {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	for _, s := range []string{
		`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"},"spec":{"volumes":[{"name":"v","projected":{"sources":[{"secret":{"name":"s"}}]}}],"containers":[{"name":"c","image":"a@sha256:b","ports":[{"containerPort":1}],"args":["a"]}]},"status":{"podIPs":[{"ip":"::1"}],"containerStatuses":[{"name":"c","state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]}}`,
		`{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"a"},"rules":[{"verbs":["*"]}],"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}}`,
		`{"kind":"NetworkPolicy","apiVersion":"networking.k8s.io/v1","metadata":{"name":"a","namespace":"n"},"spec":{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"0.0.0.0/0"}}],"ports":[{"port":"web"}]}]}}`,
		`{"kind":"Service","apiVersion":"v1","metadata":{"name":"a","namespace":"n"},"spec":{"type":"LoadBalancer","selector":{"a":"b"},"ports":[{"port":80,"targetPort":"http"}],"loadBalancerSourceRanges":["::/0","x"]}}`,
		`{"kind":"Gateway","apiVersion":"gateway.networking.k8s.io/v1","metadata":{"name":"a"},"spec":{"listeners":[{"port":443,"protocol":"HTTPS"}]}}`,
		`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"pg_hba.conf":"host all all 0.0.0.0/0 trust"}}`,
		`{"kind":"List","items":[{"kind":"Node","apiVersion":"v1","metadata":{"name":"n"}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := NewState(Options{})
		DecodeList(doc, func(o *Object, err error) bool {
			if (o == nil) == (err == nil) {
				t.Fatalf("object %v and error %v", o, err)
			}
			if err != nil {
				return true
			}
			b, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if o.Name == "" || !utf8.ValidString(o.Name) || !utf8.Valid(b) {
				t.Fatalf("name %q", o.Name)
			}
			s.Assess(o)
			s.Put(o)
			return true
		})
		s.Full()
	})
}
