package fixed

import "math/bits"

// Logistic returns 1/(1+exp(−slope/100·(x−mid))): [One]/2 where x is mid, and
// with a positive slope more above and less below. The exponent is limited to
// ±20. The error is below 2⁻⁵⁹.
func Logistic(x, mid Frac, slope int16) Frac {
	above := x >= mid
	distance := max(x, mid) - min(x, mid)
	steep := uint64(slope)
	if slope < 0 {
		above = !above
		steep = -steep
	}
	hi, lo := bits.Mul64(uint64(distance), steep)
	part, _ := bits.Div64(hi%100, lo, 100)
	var sum Sum
	sum.Add(uint64(One))
	sum.Add(uint64(expNeg(hi/100, part)))
	high := sum.Share(uint64(One))
	if !above {
		return One - high
	}
	return high
}

// expNeg returns exp(−(whole + part/2⁶⁴)), where the exponent is no less than
// −20. It splits the exponent into a whole number, 64ths, and a rest whose
// Taylor series ends below 2⁻⁶³ after 7 terms.
func expNeg(whole, part uint64) Frac {
	if whole >= 20 {
		return expWhole[20]
	}
	rest := Frac(part & (1<<58 - 1))
	e := One
	for k := Frac(7); k > 0; k-- {
		e = One - (rest / k).Mul(e)
	}
	return e.Mul(expWhole[whole]).Mul(exp64th[part>>58])
}

// expWhole holds exp(−k), rounded down.
var expWhole = [21]Frac{
	0xffffffffffffffff, 0x5e2d58d8b3bcdf1a, 0x22a555477f03973f, 0x0cbed86667585764,
	0x04b0556e084f3d1d, 0x01b993fe00d53761, 0x00a2728f889ea6ae, 0x003bc2d73849531d,
	0x0015fc21041027ac, 0x0008167912932a2c, 0x0002f9af36ac8f93, 0x000118354238f676,
	0x0000671530ed0ef2, 0x000025ec0a77303b, 0x00000df3637ed80b, 0x00000521d72889fb,
	0x000001e355bbaee8, 0x000000b1cf18bad3, 0x00000041698a31a6, 0x000000181056ff2c,
	0x00000008da432af9,
}

// exp64th holds exp(−k/64), rounded down.
var exp64th = [64]Frac{
	0xffffffffffffffff, 0xfc07f55ff77d2492, 0xf81fab5445aebc89, 0xf446e357f67dfd8d,
	0xf07d5fde38151e72, 0xecc2e44e820d18c2, 0xe9173500cbe01599, 0xe57a1739d263ec93,
	0xe1eb51276c110c3b, 0xde6aa9dcebdb100a, 0xdaf7e94f9261313c, 0xd792d8530d3da530,
	0xd43b4096043bde01, 0xd0f0ec9eb43e8078, 0xcdb3a7c7979ebd5b, 0xca833e3c1bcf93e8,
	0xc75f7cf564105742, 0xc44831b718faa1d8, 0xc13d2b0c44b8af49, 0xbe3e38443bb1dfee,
	0xbb4b296f917bf099, 0xb863cf5d19e0354d, 0xb587fb96f5c4e711, 0xb2b7805fabcb5327,
	0xaff230af4c747553, 0xad37e030a19e3f44, 0xaa88633e692c84aa, 0xa7e38ee09ab13657,
	0xa54938c9b7e846b0, 0xa2b9375427dc3ef5, 0xa033617f9c893772, 0x9db78eee82d48c8b,
	0x9b4597e37cb04ff3, 0x98dd553ee54217fc, 0x967ea07c5ee56f54, 0x942953b06ae2c503,
	0x91dd49860ab457fd, 0x8f9a5d3c6ab3325d, 0x8d606aa49606dedc, 0x8b2f4e1f33b31765,
	0x8906e49a4c9f3d58, 0x86e70b8f1a73fbd7, 0x84cfa0ffdf2c01be, 0x82c08375c5354c26,
	0x80b991fec8010360, 0x7ebaac2ba4e0732c, 0x7cc3b20dd40e2be0, 0x7ad4843589c2dcd3,
	0x78ed03afbf35f94b, 0x770d1204436ab7a7, 0x75349133d3aa7794, 0x736363b63b8e16af,
	0x71996c787c78340f, 0x6fd68edafc62da2b, 0x6e1aaeafbbe37bd9, 0x6c65b0389348a477,
	0x6ab7782576b52d00, 0x690feb92c11d3784, 0x676ef0078609a0cc, 0x65d46b73ea070428,
	0x6440442f81a5d837, 0x62b260f7b6f19492, 0x612aa8ee354537a0, 0x5fa903975b63e9bb,
}
