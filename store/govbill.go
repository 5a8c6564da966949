package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/dockreeve/dockreeve/cost"
)

// packedCharges is a part of a day's charges as it is stored.
type packedCharges struct {
	day  string
	n    int
	blob []byte
}

// chargesBlock begins a part that is a cost.Block: then comes the length of its rows, its
// rows and its facts, both compressed. A part of before is a compressed gob of
// []cost.Charge, which begins otherwise.
const chargesBlock = 1

// zstdMagic begins what zstd compressed (RFC 8878).
const zstdMagic = 0x28

func (db *DB) packCharges(b *cost.Bill) []packedCharges {
	var out []packedCharges
	for at, block := range b.Days(chargePart) {
		rows := db.zip.EncodeAll(block.Rows, nil)
		blob := binary.AppendUvarint([]byte{chargesBlock}, uint64(len(rows)))
		blob = db.zip.EncodeAll(block.Facts, append(blob, rows...))
		out = append(out, packedCharges{dayOf(at), block.Len, blob})
	}
	return out
}

// unpackedCharges puts the parts of charges into a bill.
type unpackedCharges struct {
	bill   *cost.Bill
	loader *cost.Loader
	zip    *zstd.Decoder
	rows   []byte // room for them
	most   int
	over   int
}

func (u *unpackedCharges) add(blob []byte) error {
	switch {
	case len(blob) > 0 && blob[0] == zstdMagic:
		return u.addGob(blob)
	case len(blob) == 0 || blob[0] != chargesBlock:
		return errors.New("a part of no form that this version knows")
	}
	size, n := binary.Uvarint(blob[1:])
	rest := blob[1+max(n, 0):]
	if n <= 0 || size > uint64(len(rest)) {
		return errors.New("a part that ends early")
	}
	var err error
	if u.rows, err = u.zip.DecodeAll(rest[:size], u.rows[:0]); err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	over, err := u.loader.Add(u.rows, func() ([]byte, error) { return u.zip.DecodeAll(rest[size:], nil) }, u.most)
	u.over += over
	return err
}

func (u *unpackedCharges) addGob(blob []byte) error {
	doc, err := u.zip.DecodeAll(blob, nil)
	if err != nil {
		return fmt.Errorf("decompress: %w", err)
	}
	var list []cost.Charge
	if err := gob.NewDecoder(bytes.NewReader(doc)).Decode(&list); err != nil {
		return err
	}
	for i := range list {
		if u.bill.Len() >= u.most {
			u.over += len(list) - i
			break
		}
		u.bill.Add(&list[i])
	}
	return nil
}

// billWhere reads charges by day, in the order in which they came.
func (db *DB) billWhere(ctx context.Context, most int, where string, args ...any) (bill *cost.Bill, over int, err error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUnzipped))
	if err != nil {
		return nil, 0, err
	}
	defer z.Close()
	bill = &cost.Bill{}
	u := &unpackedCharges{bill: bill, loader: cost.NewLoader(bill), zip: z, most: most}
	rows, err := db.read.QueryContext(ctx, "SELECT doc FROM gov_charges WHERE "+where+" ORDER BY day, n", args...)
	if err != nil {
		return nil, 0, db.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var blob []byte
		if err := rows.Scan(&blob); err != nil {
			return nil, 0, db.explain(err)
		}
		if err := u.add(blob); err != nil {
			return nil, 0, fmt.Errorf("stored charges: %w", err)
		}
	}
	return bill, u.over, db.explain(rows.Err())
}

// Bill is every charge of one origin that begins on one of the days from..to (YYYY-MM-DD,
// both included), by day; at most most of them, the oldest, and how many there are over that.
func (db *DB) Bill(ctx context.Context, origin, from, to string, most int) (bill *cost.Bill, over int, err error) {
	return db.billWhere(ctx, most, "origin = ? AND valid = 1 AND day >= ? AND day <= ?", origin, from, to)
}
