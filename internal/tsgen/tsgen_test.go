package tsgen

import (
	"strings"
	"testing"
)

type word string

type part struct {
	A string `json:"a"`
	B int    `json:"b"`
}

type whole struct {
	part
	B       string            `json:"b"`
	Maybe   *float64          `json:"maybe,omitempty"`
	Null    *part             `json:"null"`
	List    []part            `json:"list"`
	Words   []word            `json:"words,omitempty"`
	Map     map[string][]part `json:"map,omitempty"`
	Bytes   []byte            `json:"bytes"`
	Hidden  int               `json:"-"`
	private int
	Kept    part `json:"kept,omitempty"`
}

func TestDeclaresWhatJSONWrites(t *testing.T) {
	_ = whole{private: 1}
	got, err := Generate(Options{Header: "// head\n", Types: []any{whole{}}, Enums: []Enum{{Values: []any{word("x"), word("y")}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `// head

export interface part {
  a: string;
  b: number;
}

export interface whole {
  a: string;
  b: string;
  maybe?: number;
  null: part | null;
  list: part[] | null;
  words?: word[];
  map?: { [key: string]: part[] | null | undefined };
  bytes: string | null;
  kept: part;
}

export type word = "x" | "y";
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

type itself struct{}

func (itself) MarshalJSON() ([]byte, error) { return nil, nil }

func TestWhatWritesItselfMustBeNamed(t *testing.T) {
	_, err := Generate(Options{Types: []any{struct1{}}})
	if err == nil || !strings.Contains(err.Error(), "writes itself") {
		t.Errorf("got %v", err)
	}
}

type struct1 struct{ X itself }
