package main

import (
	"bytes"
	"fmt"
	"strings"
)

// codecKind is how one Go type is written and read.
type codecKind struct {
	zero   string // condition under which it is left out; %s is the value
	append string // expression that appends it to b
	decode string // expression that reads it
	ts     string // its TypeScript type
}

var codecKinds = map[string]codecKind{
	"string":         {`%s != ""`, "appendString(b, %s)", "d.str()", "string"},
	"[]byte":         {`len(%s) > 0`, "appendString(b, string(%s))", "[]byte(d.str())", "string"},
	"bool":           {`%s`, `append(b, "true"...)`, "d.bool()", "boolean"},
	"int32":          {`%s != 0`, "strconv.AppendInt(b, int64(%s), 10)", "int32(d.int(32))", "number"},
	"uint32":         {`%s != 0`, "strconv.AppendUint(b, uint64(%s), 10)", "uint32(d.uint(32))", "number"},
	"uint16":         {`%s != 0`, "strconv.AppendUint(b, uint64(%s), 10)", "uint16(d.uint(16))", "number"},
	"int64":          {`%s != 0`, "appendInt64(b, %s)", "d.int(64)", "string"},
	"uint64":         {`%s != 0`, "appendUint64(b, %s)", "d.uint(64)", "string"},
	"[]string":       {`len(%s) > 0`, "appendStrings(b, %s)", "d.strs()", "string[]"},
	"netip.AddrPort": {`%s.IsValid()`, "appendAddr(b, %s)", "d.addr()", "string"},
	"ID":             {`%s != ID{}`, "appendID(b, %s)", "d.id()", "string"},
	"Type":           {`%s != TypeNone`, "appendWord(b, %s.String())", "d.typ()", "EventType"},
	"Source":         {`%s != SourceSyscall`, "appendWord(b, %s.String())", "d.source()", `"syscall" | "k8s_audit"`},
	"Flags":          {`%s != 0`, "appendFlags(b, %s)", "d.flags()", "string[]"},
	"FDKind":         {`%s != FDNone`, "appendFDKind(b, %s)", "d.fdKind()", "string"},
	"Role":           {`%s != RoleUnknown`, "appendWord(b, %s.String())", "d.role()", `"client" | "server"`},
	"L4":             {`%s != L4None`, "appendWord(b, %s.String())", "d.l4()", `"tcp" | "udp" | "icmp" | "raw"`},
	"Phase":          {`%s != PhaseRun`, "appendWord(b, %s.String())", "d.phase()", `"run" | "init"`},
	"Tristate":       {`%s != Unknown`, "appendWord(b, %s.String())", "d.tristate()", `"yes" | "no"`},
	"Lane":           {`%s != 0`, "strconv.AppendUint(b, uint64(%s), 10)", "Lane(d.uint(8))", "number"},
}

func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// params returns the extra parameters of a struct's functions, declared and passed.
func params(name string) (app, dec string) {
	switch name {
	case "Event":
		return ", deep bool", ""
	case "Process":
		return ", deep bool, in *Container, depth int", ", depth int"
	}
	return "", ""
}

func writeCodec(b *bytes.Buffer, c *catalogue) error {
	b.WriteString(goHeader)
	b.WriteString("import \"strconv\"\n\n")
	for _, s := range c.structs {
		app, dec := params(s.Name)
		fmt.Fprintf(b, "func append%s(b []byte, v *%s%s) []byte {\n\tb = append(b, '{')\n", s.Name, s.Name, app)
		for _, f := range s.Slots {
			if err := writeAppend(b, s, f); err != nil {
				return err
			}
		}
		b.WriteString("\treturn append(b, '}')\n}\n\n")
		fmt.Fprintf(b, "func (d *decoder) %s(v *%s%s) {\n\tif !d.expect('{') {\n\t\treturn\n\t}\n", lower(s.Name), s.Name, dec)
		b.WriteString("\tvar seen uint64\n\tfirst := true\n\tfor d.next(&first, '}') {\n\t\tkey := d.key()\n\t\tif d.err != nil {\n\t\t\treturn\n\t\t}\n\t\tswitch string(key) {\n")
		n := 0
		for _, f := range s.Slots {
			if skipped(s.Name, f.Name) {
				continue
			}
			fmt.Fprintf(b, "\t\tcase %q:\n\t\t\td.once(&seen, %d, %q)\n", f.Key, n, f.Key)
			writeDecode(b, s, f)
			n++
		}
		if n > 64 {
			return fmt.Errorf("%s has more than 64 members", s.Name)
		}
		b.WriteString("\t\tdefault:\n\t\t\td.unknown(key)\n\t\t}\n\t}\n}\n\n")
	}
	return nil
}

// skipped are slots that another part of a carrier brings.
func skipped(of, slot string) bool { return of == "Facts" && slot == "Container" }

func writeAppend(b *bytes.Buffer, s structRow, f slotRow) error {
	v := "v." + f.Name
	key := fmt.Sprintf("b = appendKey(b, %q)", f.Key)
	if skipped(s.Name, f.Name) {
		return nil
	}
	switch f.Type {
	case "*Process":
		switch {
		case s.Name == "Event":
			fmt.Fprintf(b, "\tif deep && %s != nil {\n\t\t%s\n\t\tb = appendProcess(b, %s, true, v.Container, 0)\n\t}\n", v, key, v)
		case s.Name == "Process":
			fmt.Fprintf(b, "\tif deep && %s != nil && depth < MaxLineage {\n\t\t%s\n\t\tb = appendProcess(b, %s, true, v.Container, depth+1)\n\t}\n", v, key, v)
		default:
			fmt.Fprintf(b, "\tif %s != nil {\n\t\t%s\n\t\tb = appendProcess(b, %s, false, nil, 0)\n\t}\n", v, key, v)
		}
		return nil
	case "*Container":
		if s.Name == "Event" {
			fmt.Fprintf(b, "\tif deep && %s != nil {\n\t\t%s\n\t\tb = appendContainer(b, %s)\n\t}\n", v, key, v)
			return nil
		}
		fmt.Fprintf(b, "\tif deep && %s != in {\n\t\t%s\n\t\tif %s == nil {\n\t\t\tb = append(b, \"null\"...)\n\t\t} else {\n\t\t\tb = appendContainer(b, %s)\n\t\t}\n\t}\n", v, key, v, v)
		return nil
	}
	if elem, n := element(f.Type); elem != "" {
		cond := fmt.Sprintf("len(%s) > 0", v)
		if n {
			cond = fmt.Sprintf("%s != (%s{})", v, f.Type)
		}
		call := fmt.Sprintf("append%s(b, &%s[i])", elem, v)
		if elem == "Process" {
			call = fmt.Sprintf("appendProcess(b, &%s[i], false, nil, 0)", v)
		}
		fmt.Fprintf(b, "\tif %s {\n\t\t%s\n\t\tb = append(b, '[')\n\t\tfor i := range %s {\n\t\t\tif i > 0 {\n\t\t\t\tb = append(b, ',')\n\t\t\t}\n\t\t\tb = %s\n\t\t}\n\t\tb = append(b, ']')\n\t}\n", cond, key, v, call)
		return nil
	}
	if f.Type == "PipeEnd" {
		fmt.Fprintf(b, "\tif %s != (PipeEnd{}) {\n\t\t%s\n\t\tb = appendPipeEnd(b, &%s)\n\t}\n", v, key, v)
		return nil
	}
	k, ok := codecKinds[f.Type]
	if !ok {
		return fmt.Errorf("%s.%s: no codec for %s", s.Name, f.Name, f.Type)
	}
	cond := strings.Replace(k.zero, "%s", v, 1)
	if strings.Contains(cond, "{}") {
		cond = "(" + strings.Replace(cond, "ID{}", "(ID{})", 1) + ")"
	}
	fmt.Fprintf(b, "\tif %s {\n\t\t%s\n\t\tb = %s\n\t}\n", cond, key, strings.Replace(k.append, "%s", v, 1))
	return nil
}

func writeDecode(b *bytes.Buffer, s structRow, f slotRow) {
	v := "v." + f.Name
	switch f.Type {
	case "*Process":
		depth := "0"
		if s.Name == "Process" {
			fmt.Fprintf(b, "\t\t\tif depth >= MaxLineage {\n\t\t\t\td.fail(\"more than %%d ancestors\", MaxLineage)\n\t\t\t\treturn\n\t\t\t}\n")
			depth = "depth+1"
		}
		fmt.Fprintf(b, "\t\t\t%s = new(Process)\n\t\t\td.process(%s, %s)\n", v, v, depth)
		return
	case "*Container":
		if s.Name == "Process" {
			fmt.Fprintf(b, "\t\t\td.own(depth)\n\t\t\tif d.literal(\"null\") {\n\t\t\t\tcontinue\n\t\t\t}\n")
		}
		fmt.Fprintf(b, "\t\t\t%s = new(Container)\n\t\t\td.container(%s)\n", v, v)
		return
	case "PipeEnd":
		fmt.Fprintf(b, "\t\t\td.pipeEnd(&%s)\n", v)
		return
	}
	if elem, fixed := element(f.Type); elem != "" {
		call := fmt.Sprintf("d.%s(&item)", lower(elem))
		if elem == "Process" {
			call = "d.process(&item, 0)"
		}
		if fixed {
			fmt.Fprintf(b, "\t\t\tn := 0\n\t\t\td.list(len(%s), func() {\n\t\t\t\tvar item %s\n\t\t\t\t%s\n\t\t\t\t%s[n] = item\n\t\t\t\tn++\n\t\t\t})\n", v, elem, call, v)
		} else {
			limit := "MaxLabels"
			if elem == "Process" {
				limit = "MaxLineage"
			}
			fmt.Fprintf(b, "\t\t\td.list(%s, func() {\n\t\t\t\tvar item %s\n\t\t\t\t%s\n\t\t\t\t%s = append(%s, item)\n\t\t\t})\n", limit, elem, call, v, v)
		}
		return
	}
	fmt.Fprintf(b, "\t\t\t%s = %s\n", v, codecKinds[f.Type].decode)
}

// element returns the struct a list holds, and whether its length is fixed.
func element(typ string) (elem string, fixed bool) {
	if rest, ok := strings.CutPrefix(typ, "[]"); ok && rest != "byte" && rest != "string" {
		return rest, false
	}
	if strings.HasPrefix(typ, "[3]") {
		return typ[3:], true
	}
	return "", false
}

// writeTS writes the same shapes for the console.
func writeTS(b *bytes.Buffer, c *catalogue) error {
	b.WriteString("// Code generated by event/gen from event/catalogue and the event package. DO NOT EDIT.\n//\n")
	b.WriteString("// 64-bit numbers are decimal strings. A byte that was no UTF-8 is a lone surrogate\n// U+DC80…U+DCFF in a string. A member that is missing has its zero value.\n\n")
	b.WriteString("/** Event types that the kernel sensor supplies; others load from recorded files. */\nexport type EventType =\n")
	for _, t := range c.types {
		if t.Supplied {
			fmt.Fprintf(b, "  | %q\n", t.Name)
		}
	}
	b.WriteString("  | (string & {});\n\n")
	for _, s := range c.structs {
		name := s.Name
		if name == "Event" {
			name = "RuntimeEvent" // Event is the browser's own
		}
		fmt.Fprintf(b, "export interface %s {\n", name)
		for _, f := range s.Slots {
			if skipped(s.Name, f.Name) {
				continue
			}
			ts := ""
			switch elem, _ := element(f.Type); {
			case elem != "":
				ts = elem + "[]"
			case f.Type == "*Container" && s.Name == "Process":
				ts = "Container | null"
			case strings.HasPrefix(f.Type, "*"):
				ts = f.Type[1:]
			case f.Type == "PipeEnd":
				ts = f.Type
			default:
				ts = codecKinds[f.Type].ts
			}
			fmt.Fprintf(b, "  %s?: %s;\n", f.Key, ts)
		}
		b.WriteString("}\n\n")
	}
	b.WriteString("/** One field of the rule language. */\nexport interface FieldInfo {\n  name: string;\n  type: string;\n  list?: boolean;\n  argument?: string;\n  source: string;\n  supplied: boolean;\n  doc: string;\n}\n\nexport const fields: readonly FieldInfo[] = [\n")
	for _, f := range c.fields {
		fmt.Fprintf(b, "  { name: %q, type: %q, ", f.Name, f.Type)
		if f.List {
			b.WriteString("list: true, ")
		}
		if f.Arg != "-" {
			fmt.Fprintf(b, "argument: %q, ", f.Arg)
		}
		fmt.Fprintf(b, "source: %q, supplied: %v, doc: %q },\n", f.Source, len(f.Types) > 0, f.Doc)
	}
	b.WriteString("];\n")
	return nil
}

// writeDoc writes the reference page.
func writeDoc(b *bytes.Buffer, c *catalogue) error {
	b.WriteString(docIntro)
	args := map[string]string{"-": "", "index?": "`[n]` optional", "index": "`[n]`", "key?": "`[key]` optional", "key": "`[key]`"}
	prev := ""
	for _, f := range c.fields {
		family, _, _ := strings.Cut(f.Name, ".")
		if family != prev {
			fmt.Fprintf(b, "\n## %s\n\n| field | type | argument | supplied by | meaning |\n|---|---|---|---|---|\n", family)
			prev = family
		}
		typ := f.Type
		if f.List {
			typ += " list"
		}
		doc := f.Doc
		for _, w := range f.Flags {
			switch w {
			case "deprecated":
				doc += " *(deprecated)*"
			case "extension":
				doc += " *(ours)*"
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.Name, typ, args[f.Arg], c.supplied(f), doc)
	}
	b.WriteString("\n## Event types supplied\n\n| evt.type | parameters of evt.args |\n|---|---|\n")
	for _, t := range c.types {
		if t.Supplied {
			fmt.Fprintf(b, "| `%s` | %s |\n", t.Name, strings.Join(t.Params, ", "))
		}
	}
	return nil
}

// supplied says in short which events give a field a value.
func (c *catalogue) supplied(f fieldRow) string {
	n := 0
	for _, t := range c.types {
		if t.Supplied {
			n++
		}
	}
	var kernel, more []string
	for _, t := range f.Types {
		if t == "pluginevent" {
			more = append(more, "audit")
		} else {
			kernel = append(kernel, t)
		}
	}
	switch len(kernel) {
	case 0:
		if more == nil {
			return "–"
		}
	case n:
		more = append([]string{"all"}, more...)
	default:
		more = append(kernel, more...)
	}
	return strings.Join(more, ", ")
}

const docIntro = `<!-- Code generated by event/gen from event/catalogue. DO NOT EDIT. -->
# Fields of the rule language

Names and types follow the public rule dialect; the meanings below are those of this program.
Events of type ` + "`load`" + ` (docs/sensor.md) are recorded and replayed, and no rule sees them.
A field that nothing supplies yet ("–") still loads: a rule on it is shown as ` + "`not assessed`" + `.
A field has no value when the event does not hold it, and every comparison with "no value" is false.
*(ours)* marks fields the public dialect does not have.

Where we differ on purpose: all times are UTC. ` + "`fd.lip`, `fd.rip`" + ` and their ports also have a value
when it is not known which end connected. A container whose metadata is not known yet gives no value for it, so negative
tests do not match by accident; ` + "`container.id`" + ` is there as soon as the id is. A clone event is the new child's:
` + "`proc.*`" + ` describes the child, ` + "`proc.p*`" + ` who forked it; fork, vfork and clone3 are reported as clone.
The peer of a standard stream is a program that was started with the pipe in place: in ` + "`a | b`" + ` the
one that starts second sees the other's name, so a rule that wants both orders tests ` + "`proc.stdin.peer`" + ` on the reader
and ` + "`proc.stdout.peer`" + ` on the writer.

"audit" means Kubernetes audit events (source k8s_audit, evt.type pluginevent). ` + "`ka.*`" + ` has a value only where the event has
an auditID. Values that are no text are given as JSON without blanks, as the document has them; ` + "`null`" + ` is a value. A container, volume or
rule that lacks what a field asks for adds nothing to its list. Of a key that an object has twice the first counts. A document that is
no JSON, is larger than 4 MiB or nests deeper than 10,000 gives no value at all. On purpose different from the public plugin: ` + "`ka.sourceips`" + ` gives
the addresses (there it looks in the wrong place and never has a value); ` + "`eff_run_as_user`" + ` and ` + "`eff_run_as_group`" + ` look into security contexts (there
always 0); ` + "`ka.req.binding.subject.has_name`" + ` compares (there always true); ` + "`ka.req.volume.hostpath`" + ` looks at every volume; ` + "`add_capabilities`" + ` gives
the capabilities (there each container's as one JSON text); a container without image or name in a patch does not hide those
of the others. Kept although odd: ` + "`image.repository`" + ` ends at the first colon.

` + "`audit.*`" + ` is what the cluster agent adds when it takes an event in (who acts, from where, whose the object is, what it allows, what is
unusual) and travels in the event. Once it was added a truth that was left out is false and a count 0, not "no value"; what could
not be computed is named in ` + "`audit.not_assessed`" + `. For an event without it these fields have no value, but for those the event
itself holds: ` + "`audit.stage`, `audit.level`, `audit.sourceip`, `audit.sourceips`, `audit.target.apigroup`, `audit.userextra`" + `.
`
