package yuma

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// An Entry is a validator's weight or bond on one miner.
type Entry struct {
	UID   UID    // the miner
	Value uint16 // proportion of 65535
}

// A Row holds the entries of one validator, with rising uids. What it leaves
// out is 0.
type Row []Entry

// entrySize is the encoded size of an entry: uid and value, big endian.
const entrySize = 4

// ErrRow means that bytes are not the encoding of a row.
var ErrRow = errors.New("yuma: bad row")

// AppendRow appends the encoding of row to dst: 4 bytes per entry, uid and
// value, big endian. Entries of value 0 are left out, so equal rows have
// equal bytes. Uids must rise.
func AppendRow(dst []byte, row Row) []byte {
	for _, e := range row {
		if e.Value == 0 {
			continue
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(e.UID))
		dst = binary.BigEndian.AppendUint16(dst, e.Value)
	}
	return dst
}

// DecodeRow reads a row of a subnet with n neurons. It accepts only what
// [AppendRow] writes: rising uids below n and no zeros, else it returns
// [ErrRow]. No bytes are an empty row.
func DecodeRow(b []byte, n int) (Row, error) {
	if len(b)%entrySize != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no multiple of %d", ErrRow, len(b), entrySize)
	}
	if len(b) > n*entrySize {
		return nil, fmt.Errorf("%w: %d entries for %d neurons", ErrRow, len(b)/entrySize, n)
	}
	row := make(Row, 0, len(b)/entrySize)
	for ; len(b) > 0; b = b[entrySize:] {
		e := Entry{UID(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint16(b[2:])}
		if e.Value == 0 {
			return nil, fmt.Errorf("%w: uid %d has value 0", ErrRow, e.UID)
		}
		row = append(row, e)
	}
	if err := row.check(n); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRow, err)
	}
	return row, nil
}

// check tells whether uids rise and stay below n.
func (r Row) check(n int) error {
	for i, e := range r {
		if int(e.UID) >= n {
			return fmt.Errorf("uid %d in a subnet of %d neurons", e.UID, n)
		}
		if i > 0 && r[i-1].UID >= e.UID {
			return fmt.Errorf("uid %d follows uid %d", e.UID, r[i-1].UID)
		}
	}
	return nil
}
