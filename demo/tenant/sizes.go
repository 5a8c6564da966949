package tenant

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed data/sizes.csv
var sizesCSV string

//go:embed data/prices.csv
var pricesCSV string

// UnknownSize is a VM size that no table knows; one pool has it.
const UnknownSize = "Standard_D24qs_v9"

// unknownCores is what a node of it really has, for the bill.
const unknownCores = 24

// size is a VM size of the demo's table. Prices are EUR an hour.
type size struct {
	Name             string
	Cores, Available int
	Memory           float64
	GPUs             int
	Hour, Spot       float64
}

// price is a meter of the demo's table.
type price struct {
	Key, Service, Category, Sub, Meter, Unit string
	Amount                                   float64
}

// rowsOf reads the lines of an embedded table that are not comments.
func rowsOf(table string) (rows [][]string, asOf string) {
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if date, ok := strings.CutPrefix(line, "# as of "); ok {
			asOf = date
		}
		if line == "" || line[0] == '#' {
			continue
		}
		rows = append(rows, strings.Split(line, ","))
	}
	return rows, asOf
}

// number reads a field of an embedded table: one that is no number is a mistake in this
// repository, which the tests of the tables find.
func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("demo/tenant/data: " + err.Error())
	}
	return f
}

func readSizes() ([]size, map[string]*size) {
	rows, _ := rowsOf(sizesCSV)
	out := make([]size, len(rows))
	by := make(map[string]*size, len(rows))
	for i, r := range rows {
		out[i] = size{Name: r[0], Cores: int(number(r[1])), Available: int(number(r[2])), Memory: number(r[3]), GPUs: int(number(r[4])), Hour: number(r[5]), Spot: number(r[6])}
		by[r[0]] = &out[i]
	}
	return out, by
}

func readPrices() (out map[string]price, order []string, asOf string) {
	rows, asOf := rowsOf(pricesCSV)
	out = map[string]price{}
	for _, r := range rows {
		out[r[0]] = price{Key: r[0], Service: r[1], Category: r[2], Sub: r[3], Meter: r[4], Unit: r[5], Amount: number(r[6])}
		order = append(order, r[0])
	}
	return out, order, asOf
}
