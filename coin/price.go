package coin

import (
	"errors"
	"fmt"
	"math/bits"
)

// A Price is the law of a registration's price: it jumps with every
// registration and decays by half in HalfLife blocks, within [Min, Max].
//
// Rule and vectors: opentensor/subtensor, subnets/registration.rs.
type Price struct {
	Min, Max Amount
	HalfLife uint32 // blocks until an unclamped price has halved; 0 means no decay
	Growth   uint32 // percent of the price left by a registration, at least 100
}

// DefaultPrice is the law of a new subnet: from 0.0005 to 100 PLX, a half-life
// of 360 blocks, and 26 % more after each registration.
func DefaultPrice() Price {
	return Price{Min: PLX / 2000, Max: 100 * PLX, HalfLife: 360, Growth: 126}
}

// Validate tells what is wrong with the law, if anything.
func (p Price) Validate() error {
	if p.Min > p.Max {
		return fmt.Errorf("coin: lowest price %v is above the highest %v", p.Min, p.Max)
	}
	if p.Growth < 100 {
		return fmt.Errorf("coin: growth of %d %% would lower the price; it must be at least 100 %%", p.Growth)
	}
	return nil
}

// Decay returns what price has become after that many blocks. Every block
// rounds down, so that 1024 with a half-life of 2 blocks becomes 511 in these
// two. The work grows with blocks, but ends when the price arrives at Min,
// after about HalfLife·log₂(price/Min) of them.
func (p Price) Decay(price Amount, blocks uint64) Amount {
	price = p.clamp(price)
	if p.HalfLife == 0 {
		return price
	}
	factor := halving(p.HalfLife)
	for ; blocks > 0 && price > p.Min; blocks-- {
		price = p.clamp(Amount(mulQ32(uint64(price), factor)))
	}
	return price
}

// Bump returns the price that a registration at price leaves behind.
func (p Price) Bump(price Amount) Amount {
	hi, lo := bits.Mul64(uint64(price), uint64(max(p.Growth, 100)))
	if hi >= 100 {
		return p.Max
	}
	bumped, _ := bits.Div64(hi, lo, 100)
	return p.clamp(Amount(bumped))
}

// clamp brings price into [Min, Max].
func (p Price) clamp(price Amount) Amount { return max(min(price, p.Max), p.Min) }

// halving returns the greatest Q32 factor whose power n is at most a half.
func halving(n uint32) uint64 {
	lo, hi := uint64(0), uint64(1)<<32
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		if powQ32(mid, n) <= 1<<31 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// mulQ32 returns ⌊v·f/2³²⌋, or 2⁶⁴−1 when that does not fit.
func mulQ32(v, f uint64) uint64 {
	hi, lo := bits.Mul64(v, f)
	if hi>>32 != 0 {
		return 1<<64 - 1
	}
	return hi<<32 | lo>>32
}

// powQ32 returns fⁿ in Q32 by squaring, each product rounded down.
func powQ32(f uint64, n uint32) uint64 {
	result := uint64(1) << 32
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result = mulQ32(result, f)
		}
		f = mulQ32(f, f)
	}
	return result
}

// A SubnetPrice is the law of a subnet's registration price: it doubles with
// every registration and falls in a straight line to Min.
//
// Rule: opentensor/subtensor, the network lock cost.
type SubnetPrice struct {
	Min      Amount
	Interval uint64 // blocks in which the last price paid would fall to nothing
}

// ErrInterval means that a [SubnetPrice] has no interval to fall in.
var ErrInterval = errors.New("coin: a subnet price needs an interval of at least 1 block")

// First returns the price while no subnet was ever registered.
func (p SubnetPrice) First() Amount { return p.Min }

// After returns the price that many blocks after a subnet was registered for
// last:
//
//	max(2·last − ⌊last/Interval⌋·blocks, Min)
//
// or [ErrInterval] when Interval is 0.
func (p SubnetPrice) After(last Amount, blocks uint64) (Amount, error) {
	if p.Interval == 0 {
		return 0, ErrInterval
	}
	doubled, err := last.Add(last)
	if err != nil {
		doubled = 1<<64 - 1
	}
	hi, fallen := bits.Mul64(uint64(last)/p.Interval, blocks)
	if hi != 0 || fallen >= uint64(doubled) {
		return p.Min, nil
	}
	return max(doubled-Amount(fallen), p.Min), nil
}
