package gateway

import (
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// What of an answer is put to the vote (self-consistency: X. Wang et al., 2022,
// takes the final answers of several samples and keeps the most frequent).
const (
	extractAuto  = "auto"      // json where the answer is JSON, else the last number, else the last line
	extractExact = "exact"     // all of it
	extractNum   = "number"    // the last number
	extractLine  = "last-line" // the last line that is not empty
	extractJSON  = "json"      // the last JSON object, array or value, or a field of it
)

var extracts = []string{extractAuto, extractExact, extractNum, extractLine, extractJSON}

// vote returns what answer votes for, in a form in which equal votes are equal
// texts; empty when it votes for nothing.
func vote(answer, extract, field string) string {
	switch extract {
	case extractExact:
		return normal(answer)
	case extractNum:
		return lastNumber(answer)
	case extractLine:
		return normal(lastLine(answer))
	case extractJSON:
		return lastJSON(answer, field)
	}
	if v := lastJSON(answer, ""); strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
		return v
	}
	if v := lastNumber(answer); v != "" {
		return v
	}
	return normal(lastLine(answer))
}

// normal folds case and spaces and drops marks around a text.
func normal(s string) string {
	s = strings.Join(strings.Fields(strings.ToLower(s)), " ")
	return strings.Trim(s, " .,;:!?*_`\"'()")
}

// lead is what an answer's last line often begins with.
var lead = regexp.MustCompile(`(?i)^\W*(so |therefore |thus |hence )?(the )?(final )?(answer)( is)?\s*[:=]?\s*`)

func lastLine(s string) string {
	for _, line := range slices.Backward(strings.Split(s, "\n")) {
		if strings.TrimSpace(line) != "" {
			return lead.ReplaceAllString(strings.TrimSpace(line), "")
		}
	}
	return ""
}

// number is a decimal number, with commas between thousands or without.
var number = regexp.MustCompile(`[-+]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?([eE][-+]?\d{1,3})?`)

// maxNumber bounds the digits of a number that is compared.
const maxNumber = 64

// lastNumber returns the last number in its shortest decimal form.
func lastNumber(s string) string {
	all := number.FindAllString(s, -1)
	if len(all) == 0 || len(all[len(all)-1]) > maxNumber {
		return ""
	}
	r, ok := new(big.Rat).SetString(strings.ReplaceAll(all[len(all)-1], ",", ""))
	if !ok {
		return ""
	}
	if r.IsInt() {
		return r.Num().String()
	}
	return strings.TrimRight(r.FloatString(20), "0")
}

// lastJSON returns the last object or array in s, or all of s where that is one
// JSON value, with its keys sorted and no spaces; or the field of it that is
// named, by names with dots between.
func lastJSON(s, field string) string {
	v, ok := findJSON(s)
	if !ok {
		return ""
	}
	if field != "" {
		for name := range strings.SplitSeq(field, ".") {
			object, _ := v.(map[string]any)
			if v, ok = object[name]; !ok {
				return ""
			}
		}
	}
	if text, isText := v.(string); isText {
		return normal(text)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// maxStarts bounds how many brackets are tried as the beginning of a value.
const maxStarts = 64

func findJSON(s string) (v any, ok bool) {
	if json.Unmarshal([]byte(s), &v) == nil {
		return v, true
	}
	for at, tries := 0, 0; tries < maxStarts; tries++ {
		i := strings.IndexAny(s[at:], "{[")
		if i < 0 {
			break
		}
		var found any
		d := json.NewDecoder(strings.NewReader(s[at+i:]))
		if d.Decode(&found) != nil {
			at += i + 1
			continue
		}
		v, ok = found, true
		at += i + int(d.InputOffset())
	}
	return v, ok
}
