package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxSize is how many bytes of JSON a manifest may have, and maxObjects how
// many JSON objects: a Service takes hundreds of bytes in memory, but "{}" only
// two on the wire.
const (
	MaxSize    = 8 << 20
	maxObjects = 200_000
)

// Parse reads a manifest that a tenant sends, and bounds it before anything is
// made of it. It refuses unknown fields and whatever follows. It does not
// validate: see [Manifest.Check]. The hash of what it returns is that of what
// will be run, however the JSON was written.
func Parse(text []byte) (Manifest, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, and at most %d are read", ErrInvalid, len(text), MaxSize)
	}
	if err := countObjects(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var m Manifest
	if err := decoder.Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the list of groups", ErrInvalid)
	}
	return m, nil
}

// countObjects walks the tokens of text, and stops when there are too many.
func countObjects(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for objects := 0; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if token == json.Delim('{') {
			objects++
		}
		if objects > maxObjects {
			return fmt.Errorf("more than %d objects", maxObjects)
		}
	}
}
