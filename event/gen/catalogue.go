package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// typeRow is one event type.
type typeRow struct {
	Name     string
	Params   []string
	Supplied bool
}

// Const is the Go constant of the type.
func (t typeRow) Const() string {
	var b strings.Builder
	b.WriteString("Type")
	for _, part := range strings.Split(t.Name, "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return b.String()
}

// fieldRow is one field.
type fieldRow struct {
	Name, Type, Arg, Source, Getter, Doc string
	List                                 bool
	Flags                                []string
	Types                                []string // event type names
}

func (f fieldRow) flag(name string) bool { return slices.Contains(f.Flags, name) }

// catalogue is the whole source of truth.
type catalogue struct {
	types  []typeRow
	fields []fieldRow

	structs []structRow
}

func readCatalogue(root string) (*catalogue, error) {
	var c catalogue
	err := lines(filepath.Join(root, "event/catalogue/types.txt"), func(line string) error {
		supplied := strings.HasPrefix(line, "+")
		words := strings.Fields(strings.TrimPrefix(line, "+"))
		c.types = append(c.types, typeRow{Name: words[0], Params: words[1:], Supplied: supplied})
		return nil
	})
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, t := range c.types {
		if known[t.Name] {
			return nil, fmt.Errorf("types.txt: %s is listed twice", t.Name)
		}
		known[t.Name] = true
	}
	groups := map[string][]string{}
	seen := map[string]bool{}
	err = lines(filepath.Join(root, "event/catalogue/fields.txt"), func(line string) error {
		if rest, ok := strings.CutPrefix(line, "group "); ok {
			name, members, ok := strings.Cut(rest, "=")
			if !ok {
				return fmt.Errorf("group without '='")
			}
			groups[strings.TrimSpace(name)] = strings.Fields(members)
			return nil
		}
		cols := strings.Split(line, "|")
		if len(cols) != 8 {
			return fmt.Errorf("%d columns, want 8", len(cols))
		}
		for i := range cols {
			cols[i] = strings.TrimSpace(cols[i])
		}
		f := fieldRow{Name: cols[0], Arg: cols[2], Source: cols[3], Getter: cols[6], Doc: cols[7]}
		f.Type, _, _ = strings.Cut(cols[1], " ")
		f.List = strings.HasSuffix(cols[1], " list")
		if cols[5] != "-" {
			f.Flags = strings.Fields(cols[5])
		}
		for _, w := range strings.Fields(cols[4]) {
			switch {
			case w == "-":
			case strings.HasPrefix(w, "@"):
				members, ok := groups[w]
				if !ok {
					return fmt.Errorf("no group %s", w)
				}
				f.Types = append(f.Types, members...)
			case known[w]:
				f.Types = append(f.Types, w)
			default:
				return fmt.Errorf("no event type %s", w)
			}
		}
		for _, t := range f.Types {
			if !known[t] {
				return fmt.Errorf("no event type %s", t)
			}
		}
		if (f.Getter == "-") != (len(f.Types) == 0) {
			return fmt.Errorf("%s: a getter and the types that supply it go together", f.Name)
		}
		if seen[f.Name] {
			return fmt.Errorf("%s is listed twice", f.Name)
		}
		seen[f.Name] = true
		c.fields = append(c.fields, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(c.fields, func(a, b fieldRow) int { return strings.Compare(a.Name, b.Name) })
	if c.structs, err = readStructs(root); err != nil {
		return nil, err
	}
	return &c, nil
}

// lines calls fn for each line that is neither blank nor a comment.
func lines(path string, fn func(string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := fn(line); err != nil {
			return fmt.Errorf("%s:%d: %w", filepath.Base(path), n, err)
		}
	}
	return s.Err()
}
