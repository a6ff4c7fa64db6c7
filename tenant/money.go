package tenant

import (
	"fmt"
	"strings"

	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/ledger"
	"github.com/plexus-network/plexus/market"
)

// Money formats an exact amount of a denom for people, PLX in its own unit
// unless it is less than a thousandth.
func Money(exact, denom string) string {
	e, err := market.ParseExact(exact)
	switch {
	case err != nil || denom != coin.Denom:
		return Shorten(exact + denom)
	case e.Floor() < market.Amount(coin.PLX/1000):
		return Shorten(market.Price{Denom: denom, Amount: e}.String())
	}
	return coin.Amount(e.Floor()).String()
}

func amount(m ledger.Money) string { return Money(fmt.Sprint(uint64(m.Amount)), m.Denom) }

// Shorten drops the zeros behind the point of a price such as
// "50.500000000000000000uact", but not those of its denom.
func Shorten(price string) string {
	end := strings.IndexFunc(price, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		return price
	}
	number := price[:end]
	if strings.Contains(number, ".") {
		number = strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
	}
	return number + " " + price[end:]
}

// span formats seconds in the two greatest units.
func span(seconds int64) string {
	day, hour, minute := int64(86400), int64(3600), int64(60)
	switch {
	case seconds >= 400*day:
		return fmt.Sprintf("%.1f years", float64(seconds)/float64(365*day))
	case seconds >= 2*day:
		return fmt.Sprintf("%d days %d h", seconds/day, seconds%day/hour)
	case seconds >= 2*hour:
		return fmt.Sprintf("%d h %d min", seconds/hour, seconds%hour/minute)
	case seconds >= 2*minute:
		return fmt.Sprintf("%d min", seconds/minute)
	}
	return fmt.Sprintf("%d s", seconds)
}

// Count says how many of a thing there are: "1 block", "2 blocks".
func Count[N int | int64 | uint64](n N, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
