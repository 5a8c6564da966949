package cost

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dockreeve/dockreeve/inventory/cloud"
)

//go:embed data/sizes.csv
var shippedSizes []byte

const mostSizes = 100_000

// ShippedSizes gives the VM sizes that come with Dockreeve. What the tenant itself says
// of its sizes comes before them.
func ShippedSizes() []cloud.Size {
	s, err := LoadSizes(bytes.NewReader(shippedSizes))
	if err != nil {
		panic("cost/data/sizes.csv: " + err.Error()) // a mistake in this repository, which a test finds
	}
	for i := range s {
		s[i].Source = "shipped table"
	}
	return s
}

// LoadSizes reads VM sizes as CSV: a heading name,vcpus,memoryGiB,gpus and one size a
// line; lines that begin with # are passed over. At most 100,000 sizes are read. An
// error names line and column.
func LoadSizes(r io.Reader) ([]cloud.Size, error) {
	c := csv.NewReader(io.LimitReader(r, 16<<20))
	c.Comment = '#'
	c.FieldsPerRecord = 4
	c.ReuseRecord = true
	var out []cloud.Size
	for n := 0; ; n++ {
		rec, err := c.Read()
		if err == io.EOF {
			if n == 0 {
				return nil, fmt.Errorf("VM sizes: the file is empty: expected the heading name,vcpus,memoryGiB,gpus")
			}
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("VM sizes: %w", err)
		}
		if n == 0 {
			if h := strings.ToLower(strings.Join(rec, ",")); h != "name,vcpus,memorygib,gpus" {
				return nil, fmt.Errorf("VM sizes: the heading is %.80q: expected name,vcpus,memoryGiB,gpus", h)
			}
			continue
		}
		line, _ := c.FieldPos(0)
		vcpus, err1 := strconv.Atoi(strings.TrimSpace(rec[1]))
		memory, err2 := strconv.ParseFloat(strings.TrimSpace(rec[2]), 64)
		gpus, err3 := strconv.Atoi(strings.TrimSpace(rec[3]))
		switch {
		case strings.TrimSpace(rec[0]) == "":
			return nil, fmt.Errorf("VM sizes, line %d: no name", line)
		case err1 != nil || vcpus < 1 || vcpus > 10_000:
			return nil, fmt.Errorf("VM sizes, line %d, vcpus: %.40q is no number of vCPUs", line, rec[1])
		case err2 != nil || !(memory > 0 && memory < 1e6):
			return nil, fmt.Errorf("VM sizes, line %d, memoryGiB: %.40q is no number of GiB", line, rec[2])
		case err3 != nil || gpus < 0 || gpus > 1000:
			return nil, fmt.Errorf("VM sizes, line %d, gpus: %.40q is no number of GPUs", line, rec[3])
		case len(out) == mostSizes:
			return nil, fmt.Errorf("VM sizes, line %d: more than %d sizes", line, mostSizes)
		}
		out = append(out, cloud.Size{Name: strings.TrimSpace(rec[0]), VCPUs: vcpus, Memory: memory, GPUs: gpus})
	}
}

// sizeTable finds a VM size by its name. A size that is in no table is not known: digits
// of a name are not its vCPUs (Standard_E4-2ads_v5 has 2).
type sizeTable map[string]cloud.Size

func sizesOf(in *Input) sizeTable {
	t := sizeTable{}
	put := func(all []cloud.Size) {
		for _, s := range all {
			k := sizeName(s.Name)
			if _, ok := t[k]; !ok && s.VCPUs > 0 {
				t[k] = s
			}
		}
	}
	if in.Tenant != nil {
		put(in.Tenant.Sizes)
	}
	put(in.Sizes)
	put(ShippedSizes())
	return t
}

func sizeName(s string) string { return strings.TrimPrefix(lower(strings.TrimSpace(s)), "standard_") }

func (t sizeTable) find(name string) (cloud.Size, bool) {
	s, ok := t[sizeName(name)]
	return s, ok
}
