package grammar

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// mostInteger is the largest integer of maxDigits digits.
const mostInteger = 999_999_999_999_999

// integers is a whole number of a schema, within its bounds.
func (s *schemas) integers(o *object, path string, next int32) (int32, error) {
	least, most := int64(-mostInteger), int64(mostInteger)
	bounded := false
	for _, b := range []struct {
		keyword string
		up      bool
		step    int64
	}{{"minimum", true, 0}, {"exclusiveMinimum", true, 1}, {"maximum", false, 0}, {"exclusiveMaximum", false, -1}} {
		v, given := o.values[b.keyword]
		if !given {
			continue
		}
		number, _ := v.(json.Number)
		f, err := strconv.ParseFloat(string(number), 64)
		if err != nil {
			return 0, s.wrong(path+"/"+b.keyword, "%v is no number", v)
		}
		bounded = true
		// The whole numbers beyond a fraction are those beyond its neighbour.
		if b.up {
			least = max(least, whole(math.Ceil(f), b.step, f == math.Ceil(f)))
		} else {
			most = min(most, whole(math.Floor(f), b.step, f == math.Floor(f)))
		}
	}
	switch {
	case !bounded:
		return s.integer(next), nil
	case least > most:
		return 0, s.wrong(path, "no integer is from %d to %d", least, most)
	}
	return s.between(least, most, next), nil
}

// whole is f as an integer, moved by step where it was one already.
func whole(f float64, step int64, exact bool) int64 {
	n := int64(max(min(f, mostInteger+1), -mostInteger-1))
	if exact {
		n += step
	}
	return n
}

// between is a whole number from least to most, each of at most maxDigits digits.
func (t *terminals) between(least, most int64, next int32) int32 {
	var outs []int32
	if least < 0 {
		outs = append(outs, t.literal("-", t.positive(max(1, -most), -least, next)))
	}
	if least <= 0 && most >= 0 {
		outs = append(outs, t.literal("0", next))
	}
	if most > 0 {
		outs = append(outs, t.positive(max(1, least), most, next))
	}
	return t.split(outs...)
}

// positive is a whole number from least, at least 1, to most.
func (t *terminals) positive(least, most int64, next int32) int32 {
	var outs []int32
	low := strconv.FormatInt(least, 10)
	for least <= most {
		high := min(most, int64(math.Pow10(len(low)))-1)
		outs = append(outs, t.alike(low, strconv.FormatInt(high, 10), next))
		least = high + 1
		low = strconv.FormatInt(least, 10)
	}
	return t.split(outs...)
}

// alike is a number from low to high, which have as many digits.
func (t *terminals) alike(low, high string, next int32) int32 {
	if low == "" {
		return next
	}
	n := len(low) - 1
	if low == "0"+strings.Repeat("0", n) && high == strings.Repeat("9", n+1) {
		return t.digits(n+1, n+1, next)
	}
	a, b := low[0], high[0]
	if a == b {
		return t.bytes(bytes(a, a), t.alike(low[1:], high[1:], next))
	}
	outs := []int32{
		t.bytes(bytes(a, a), t.alike(low[1:], strings.Repeat("9", n), next)),
		t.bytes(bytes(b, b), t.alike(strings.Repeat("0", n), high[1:], next)),
	}
	if a+1 < b {
		outs = append(outs, t.bytes(bytes(a+1, b-1), t.digits(n, n, next)))
	}
	return t.split(outs...)
}

// numbers is any number of a schema. The one bound that it can be held to is
// that it is not negative.
func (s *schemas) numbers(o *object, path string, next int32) (int32, error) {
	for _, k := range []string{"maximum", "exclusiveMinimum", "exclusiveMaximum"} {
		if _, given := o.values[k]; given {
			return 0, s.wrong(path+"/"+k, "%s cannot be held to of a number, only of an integer", k)
		}
	}
	v, given := o.values["minimum"]
	if !given {
		return s.number(next), nil
	}
	number, _ := v.(json.Number)
	if f, err := strconv.ParseFloat(string(number), 64); err != nil || f != 0 {
		return 0, s.wrong(path+"/minimum", "a minimum of a number other than 0 cannot be held to, only of an integer")
	}
	return s.call(s.share("magnitude", s.magnitude), next), nil
}
