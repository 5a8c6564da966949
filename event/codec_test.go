package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// format reads a field as text, whatever its type.
func format(f *Field, e *Event, a *Arg) (string, bool) {
	var parts []string
	switch {
	case f.Str != nil:
		return f.Str(e, a)
	case f.Int != nil:
		n, ok := f.Int(e, a)
		return strconv.FormatInt(n, 10), ok
	case f.Bool != nil:
		b, ok := f.Bool(e, a)
		return strconv.FormatBool(b), ok
	case f.Addr != nil:
		ip, ok := f.Addr(e, a)
		return ip.String(), ok
	case f.Strs != nil:
		parts = f.Strs(e, a, nil)
	case f.Ints != nil:
		for _, n := range f.Ints(e, a, nil) {
			parts = append(parts, strconv.FormatInt(n, 10))
		}
	case f.Addrs != nil:
		for _, ip := range f.Addrs(e, a, nil) {
			parts = append(parts, ip.String())
		}
	}
	return strings.Join(parts, ","), len(parts) > 0
}

func TestCodecSample(t *testing.T) {
	for _, e := range []*Event{sample(), sampleConnect(), {}} {
		data := e.AppendJSON(nil)
		if !json.Valid(data) {
			t.Fatalf("not JSON: %s", data)
		}
		var back Event
		if err := back.UnmarshalJSON(data); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back.Clone(), e.Clone()) {
			t.Errorf("round trip:\n%s\n%s", data, back.AppendJSON(nil))
		}
	}
}

// TestEncodingJSON holds encoding/json to the same form, for values inside other
// structs too.
func TestEncodingJSON(t *testing.T) {
	type box struct {
		E Event
		P Process
		C *Container
		L Loss
	}
	e := sample()
	in := box{*e.Clone(), *e.Process.Clone(), e.Container.Clone(), Loss{Hop: "h", Count: 1 << 60}}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out box
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("through encoding/json: %s", data)
	}
}

func TestCodecNoAlloc(t *testing.T) {
	e, b := sample(), make([]byte, 0, 16<<10)
	if n := testing.AllocsPerRun(100, func() { e.AppendJSON(b) }); n > 2 { // addresses are rendered by String
		t.Errorf("%v allocations", n)
	}
}

func TestCodecStrict(t *testing.T) {
	for _, in := range []string{
		``, `{`, `[]`, `{"pid":1}`, `{"type":"open","type":"open"}`, `{"type":"nope"}`, `{"tid":"x"}`, `{"tid":4294967296}`,
		`{"path":"` + "\xff" + `"}`, `{"path":"\ud800"}`, `{"path":"\udc00"}`, `{"path":"a` + "\n" + `"}`, `{} x`, "{}\x00", `{,}`, `{"tid":1,}`,
		`{"flags":["created","nope"]}`, `{"container":null}`, `{"client":"1.2.3.4"}`, `{"type":1}`, `{"process":` + strings.Repeat(`{"parent":`, MaxLineage+2),
	} {
		var e Event
		if err := e.UnmarshalJSON([]byte(in)); !errors.Is(err, ErrCodec) {
			t.Errorf("%q: %v", in, err)
		}
	}
	var e Event
	if err := e.UnmarshalJSON(make([]byte, MaxEncoded+1)); !errors.Is(err, ErrCodec) {
		t.Errorf("too long: %v", err)
	}
	if err := e.UnmarshalJSON([]byte(` {"time": 5, "path":"\udcff\u0000\ud83d\ude00é"} `)); err != nil || e.Time != 5 || e.Path != "\xff\x00😀é" {
		t.Errorf("%v %q", err, e.Path)
	}
}

// anyBytes draws strings with NULs, invalid UTF-8 and half surrogates.
var anyBytes = rapid.Custom(func(t *rapid.T) string {
	if rapid.Bool().Draw(t, "text") {
		return rapid.String().Draw(t, "s")
	}
	return string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "b"))
})

// fill sets every exported slot of v to something drawn.
func fill(t *rapid.T, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case Type:
		v.SetUint(uint64(rapid.Uint16Range(0, uint16(typeCount)-1).Draw(t, "type")))
	case Source:
		v.SetUint(uint64(rapid.Uint8Range(0, 1).Draw(t, "source")))
	case Flags:
		v.SetUint(uint64(rapid.Uint8().Draw(t, "flags")))
	case FDKind:
		v.SetUint(uint64(rapid.SampledFrom([]FDKind{0, 'f', 'd', '4', '6', 'u', 'p', 'e', 'v', 'o'}).Draw(t, "kind")))
	case Role, Tristate:
		v.SetUint(uint64(rapid.Uint8Range(0, 2).Draw(t, "role")))
	case Phase:
		v.SetUint(uint64(rapid.Uint8Range(0, 1).Draw(t, "phase")))
	case L4:
		v.SetUint(uint64(rapid.Uint8Range(0, 4).Draw(t, "l4")))
	case netip.AddrPort:
		if rapid.Bool().Draw(t, "addr") {
			ip := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip")))
			v.Set(reflect.ValueOf(netip.AddrPortFrom(ip, rapid.Uint16().Draw(t, "port"))))
		}
	case *Process:
		if depth < 3 && rapid.Bool().Draw(t, "process") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth+1)
		}
	case *Container:
		if rapid.Bool().Draw(t, "container") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), depth+1)
		}
	case []byte:
		if s := anyBytes.Draw(t, "json"); s != "" {
			v.SetBytes([]byte(s))
		}
	default:
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					fill(t, v.Field(i), depth)
				}
			}
		case reflect.Slice:
			n := rapid.IntRange(0, 3).Draw(t, "n")
			if n > 0 {
				v.Set(reflect.MakeSlice(v.Type(), n, n))
			}
			fallthrough
		case reflect.Array:
			for i := range v.Len() {
				fill(t, v.Index(i), depth)
			}
		case reflect.String:
			v.SetString(anyBytes.Draw(t, "s"))
		case reflect.Bool:
			v.SetBool(rapid.Bool().Draw(t, "bool"))
		case reflect.Int32, reflect.Int64:
			v.SetInt(reflect.ValueOf(rapid.Int64().Draw(t, "int")).Convert(v.Type()).Int())
		case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
			v.SetUint(reflect.ValueOf(rapid.Uint64().Draw(t, "uint")).Convert(v.Type()).Uint())
		default:
			t.Fatalf("fill cannot draw %s", v.Type())
		}
	}
}

// TestCodecRoundTrip draws events with every slot filled and compares what comes
// back with what went in.
func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var e Event
		fill(t, reflect.ValueOf(&e).Elem(), 0)
		data := e.AppendJSON(nil)
		if !json.Valid(data) || bytes.ContainsAny(data, "\n\x00") {
			t.Fatalf("not one line of JSON: %q", data)
		}
		var back Event
		if err := back.UnmarshalJSON(data); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if !reflect.DeepEqual(back.Clone(), e.Clone()) {
			t.Fatalf("in  %s\nout %s", data, back.AppendJSON(nil))
		}
		var f, fback Facts
		fill(t, reflect.ValueOf(&f).Elem(), 2)
		f.Container = nil
		for i := range f.Heal {
			f.Heal[i] = f.Heal[i].Flat()
		}
		if f.Image != nil {
			flat := f.Image.Flat()
			f.Image = &flat
		}
		if err := fback.UnmarshalJSON(f.AppendJSON(nil)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(f, fback) {
			t.Fatalf("facts in  %s\nout %s", f.AppendJSON(nil), fback.AppendJSON(nil))
		}
	})
}

// FuzzEventCodec feeds arbitrary bytes: no panic, and what decodes encodes to a
// form that decodes to the same.
func FuzzEventCodec(f *testing.F) {
	f.Add(sample().AppendJSON(nil))
	f.Add(sampleConnect().AppendJSON(nil))
	f.Add([]byte(`{"path":"\udcff\u0000","process":{"container":null,"parent":{"pid":1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Event
		if err := e.UnmarshalJSON(data); err != nil {
			if !errors.Is(err, ErrCodec) {
				t.Fatalf("error without ErrCodec: %v", err)
			}
			return
		}
		once := e.AppendJSON(nil)
		var back Event
		if err := back.UnmarshalJSON(once); err != nil {
			t.Fatalf("%v in %s", err, once)
		}
		if twice := back.AppendJSON(nil); !bytes.Equal(once, twice) {
			t.Fatalf("not stable:\n%s\n%s", once, twice)
		}
	})
}

// FuzzFactsCodec does the same for facts.
func FuzzFactsCodec(f *testing.F) {
	f.Add([]byte(`{"pid":1,"start":"5","image":{"comm":"sh","stdio":[{"kind":"p","ino":"4"}]},"heal":[{"pid":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, back Facts
		if v.UnmarshalJSON(data) != nil {
			return
		}
		once := v.AppendJSON(nil)
		if err := back.UnmarshalJSON(once); err != nil {
			t.Fatalf("%v in %s", err, once)
		}
		if twice := back.AppendJSON(nil); !bytes.Equal(once, twice) {
			t.Fatalf("not stable:\n%s\n%s", once, twice)
		}
	})
}

func TestClone(t *testing.T) {
	e := sample()
	value(t, e, "evt.args", nil)
	c := e.Clone()
	want := e.AppendJSON(nil)
	e.Process.Args[0], e.Container.Labels[0].Key, e.Process.Parent.Comm = "changed", "changed", "changed"
	if got := c.AppendJSON(nil); !bytes.Equal(got, want) {
		t.Errorf("clone changed with its original:\n%s\n%s", got, want)
	}
	if c.Process.Container != c.Container {
		t.Error("a shared container became two")
	}
	p := &Process{}
	p.Parent = p // a broken source must not hang a copy
	n := 0
	for q := p.Clone(); q != nil; q = q.Parent {
		n++
	}
	if n != MaxLineage+1 {
		t.Errorf("lineage of %d", n)
	}
}

// TestGenerated holds the generated files to their tables; the generator's own
// test compares the bytes.
func TestCatalogueNames(t *testing.T) {
	path := os.Getenv("DOCKREEVE_FIELDS_JSON")
	if path == "" {
		path = filepath.Join("..", "..", "shared", "reference", "falco_fields.json")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("list of known fields not there: %v", err)
	}
	var known struct {
		Fields map[string]json.RawMessage `json:"all_known_fields"`
	}
	if err := json.Unmarshal(data, &known); err != nil {
		t.Fatal(err)
	}
	for name := range known.Fields {
		if _, ok := LookupField(name); !ok && name != "NA" {
			t.Errorf("field %s is missing", name)
		}
	}
}

func BenchmarkGetters(b *testing.B) {
	for _, name := range []string{"proc.name", "proc.cmdline", "proc.aname", "fd.name", "fd.directory", "evt.arg", "thread.cap_effective"} {
		f, _ := LookupField(name)
		a := &Arg{Key: "flags"}
		if name == "proc.aname" {
			a = &Arg{Index: 2, IsNum: true}
		}
		if name != "proc.aname" && name != "evt.arg" {
			a = nil
		}
		b.Run(name, func(b *testing.B) {
			base := sampleConnect()
			if name == "fd.directory" || name == "evt.arg" {
				base = sample()
			}
			b.ReportAllocs()
			for b.Loop() {
				base.Invalidate()
				f.Str(base, a)
			}
		})
	}
}

func BenchmarkCodec(b *testing.B) {
	e, buf := sample(), make([]byte, 0, 16<<10)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = e.AppendJSON(buf[:0])
		}
		b.SetBytes(int64(len(buf)))
	})
	b.Run("decode", func(b *testing.B) {
		data := e.AppendJSON(nil)
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		var back Event
		for b.Loop() {
			if err := back.UnmarshalJSON(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
