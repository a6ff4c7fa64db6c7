package market

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Attribute is a word about a machine: what a provider claims, an auditor
// signs, or a tenant requires.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Attributes are sorted by key, with every key once.
type Attributes []Attribute

// Sort puts a into the order of its keys.
func (a Attributes) Sort() {
	slices.SortFunc(a, func(x, y Attribute) int { return cmp.Compare(x.Key, y.Key) })
}

// Get returns the value of key, and whether there is one.
func (a Attributes) Get(key string) (string, bool) {
	for _, attr := range a {
		if attr.Key == key {
			return attr.Value, true
		}
	}
	return "", false
}

// Validate tells which key is malformed or stands twice.
func (a Attributes) Validate() error {
	seen := make(map[string]bool, len(a))
	for _, attr := range a {
		if !validKey(attr.Key) {
			return fmt.Errorf("attribute key %q: a key is 2 to 128 letters, digits and _ / . -, begins with a letter, and may end in *", attr.Key)
		}
		if seen[attr.Key] {
			return fmt.Errorf("attribute %q stands twice", attr.Key)
		}
		seen[attr.Key] = true
	}
	return nil
}

// validKey tells whether key is one that the chain stores.
//
// Source: akash-network/chain-sdk, types/attributes/v1: the same language as
// its pattern ^([a-zA-Z][\w\/\.\-]{1,126}[\w\*]?)$.
func validKey(key string) bool {
	body := strings.TrimSuffix(key, "*")
	if len(body) < 2 || len(key) > 128 || len(body) == 128 && !word(body[127]) {
		return false
	}
	for i := range len(body) {
		c := body[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || !word(c) && c != '/' && c != '.' && c != '-') {
			return false
		}
	}
	return true
}

// word tells whether c is a letter, a digit or an underscore.
func word(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '_'
}

// covers tells whether one of has satisfies want, whose key may be a pattern
// of path.Match.
func covers(want Attribute, has Attributes) bool {
	return slices.ContainsFunc(has, func(h Attribute) bool {
		matched, err := path.Match(want.Key, h.Key)
		return err == nil && matched && want.Value == h.Value
	})
}

// missing returns the first of want that has does not cover, or false.
func missing(want, has Attributes) (Attribute, bool) {
	for _, w := range want {
		if !covers(w, has) {
			return w, true
		}
	}
	return Attribute{}, false
}

// below returns what stands under a folder of keys, without its name.
func (a Attributes) below(folder string) Attributes {
	var found Attributes
	for _, attr := range a {
		if key, ok := strings.CutPrefix(attr.Key, folder); ok {
			found = append(found, Attribute{key, attr.Value})
		}
	}
	return found
}
