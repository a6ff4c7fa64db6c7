package p2p

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// message is what the generated protobuf types offer.
type message interface {
	Size() int
	MarshalTo(data []byte) (int, error)
	Unmarshal(data []byte) error
}

// writeFrame writes m behind its length as an unsigned varint, in one Write.
func writeFrame(w io.Writer, m message) error {
	size := m.Size()
	buf := make([]byte, binary.MaxVarintLen64+size)
	n := binary.PutUvarint(buf, uint64(size))
	if _, err := m.MarshalTo(buf[n : n+size]); err != nil {
		return err
	}
	_, err := w.Write(buf[:n+size])
	return err
}

// readLength reads a frame's length and refuses one above limit, before any
// of the frame has cost memory.
func readLength(r io.ByteReader, limit int) (int, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return 0, err
	}
	if n > uint64(limit) {
		return 0, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, limit)
	}
	return int(n), nil
}

// readFrame reads the n bytes of a frame. Memory grows with what arrives, not
// with what was promised.
func readFrame(r io.Reader, n int) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(min(n, 64<<10) + bytes.MinRead)
	got, err := buf.ReadFrom(io.LimitReader(r, int64(n)))
	if err != nil {
		return nil, err
	}
	if got < int64(n) {
		return nil, io.ErrUnexpectedEOF
	}
	return buf.Bytes(), nil
}

// decode parses data into m. Nothing but m's own encoding is accepted: a field
// that we do not know is a field that no signature covers.
func decode(data []byte, m message) error {
	if err := m.Unmarshal(data); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if m.Size() != len(data) {
		return fmt.Errorf("%w: %d bytes hold a message of %d", ErrMalformed, len(data), m.Size())
	}
	return nil
}

// receive reads one message of at most limit bytes.
func receive(r *bufio.Reader, limit int, m message) error {
	n, err := readLength(r, limit)
	if err != nil {
		return err
	}
	data, err := readFrame(r, n)
	if err != nil {
		return err
	}
	return decode(data, m)
}
