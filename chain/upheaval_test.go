package chain

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/chain/subnet"
	"github.com/plexus-network/plexus/coin"
)

// upheaval returns a person and what it does to subnets as a whole, or to what
// has to go with them.
func (s *storm) upheaval() (*person, sdk.Msg) {
	rich, val := pick(s, s.rich), pick(s, s.validators)
	at := s.subnetAtRandom()
	owner := s.owner(at.Owner)
	switch s.rng.IntN(12) {
	case 0:
		return rich, &subnetv1.MsgRegisterSubnet{Owner: rich.String(), Kind: "text", Name: "new", MaxPrice: nplx(9 * coin.PLX)}
	case 1, 2:
		any := pick(s, s.all)
		return any, &subnetv1.MsgRegisterNeuron{Account: any.String(), Netuid: at.Netuid, MaxPrice: nplx(9 * coin.PLX)}
	case 3:
		return owner, &subnetv1.MsgSetMechanisms{Authority: owner.String(), Netuid: at.Netuid, Count: 1 + s.rng.Uint32N(3)}
	case 4:
		first := s.rng.Uint32N(math.MaxUint16)
		return owner, &subnetv1.MsgSetMechanisms{Authority: owner.String(), Netuid: at.Netuid, Count: 2, Split: []uint32{first, math.MaxUint16 - first}}
	case 5:
		return owner, &subnetv1.MsgOfferSubnet{Authority: owner.String(), Netuid: at.Netuid, Heir: rich.String()}
	case 6:
		heir := s.owner(at.Heir)
		return heir, &subnetv1.MsgAcceptSubnet{Account: heir.String(), Netuid: at.Netuid}
	case 7, 8:
		m := &subnetv1.MsgSetWeights{Account: val.String(), Netuid: at.Netuid, Mechanism: s.rng.Uint32N(3)}
		for uid := range at.Neurons {
			m.Uids, m.Weights = append(m.Uids, uid), append(m.Weights, s.rng.Uint32N(math.MaxUint16))
		}
		return val, m
	case 9:
		loan := subnetv1.Loan{Child: rich.String(), Proportion: 1 + s.rng.Uint32N(math.MaxUint16)}
		return val, &subnetv1.MsgSetChildren{Account: val.String(), Netuid: at.Netuid, Loans: []subnetv1.Loan{loan}}
	case 10:
		return rich, &subnetv1.MsgSetCommitment{Account: rich.String(), Netuid: at.Netuid, Data: []byte("here")}
	}
	return rich, &subnetv1.MsgRotate{Account: rich.String(), To: pick(s, s.rich).String()}
}

// subnetAtRandom returns one of the subnets.
func (s *storm) subnetAtRandom() subnetv1.Subnet {
	r := &subnetv1.QuerySubnetsResponse{}
	s.query("/plexus.subnet.v1.Query/Subnets", &subnetv1.QuerySubnetsRequest{}, r)
	return pick(s, r.Subnets[1:])
}

// owner returns the person of an address; somebody if it is nobody's.
func (s *storm) owner(address string) *person {
	for _, p := range append(s.all, s.person("owner")) {
		if p.String() == address {
			return p
		}
	}
	return s.rich[0]
}

// Subnets come, change hands, split and go, while people go about their
// business: the invariants hold after every block, and the state survives an
// export.
func TestUpheavalKeepsInvariants(t *testing.T) {
	s := newStorm(t, 11)
	s.rng = rand.New(rand.NewPCG(11, 2))
	p := subnet.DefaultParams()
	p.EpochsPerBlock, p.Freeze, p.UpdateInterval, p.SubnetPriceDecay = 1, 0, 1, 10
	p.ChildrenDelay, p.CommitmentInterval = 2, 1
	p.MaxSubnets, p.SubnetImmunity, p.SubnetPriceMin = 3, 15, uint64(coin.PLX)
	if err := s.ask(&subnetv1.MsgUpdateParams{Authority: governance().String(), Params: p}); err != nil {
		t.Fatal(err)
	}
	for i, v := range s.validators { // so that they can register
		s.must(s.rich[i], banktypes.NewMsgSend(s.rich[i].address(), v.address(), sdk.NewCoins(nplx(100*coin.PLX))))
	}
	done := map[string]int{}
	for range 150 {
		var txs [][]byte
		var kinds []string
		used := map[*person]bool{}
		for range s.rng.IntN(6) {
			p, msg := s.upheaval()
			if used[p] || s.app.Accounts.GetAccount(s.ctx(), p.address()) == nil {
				continue
			}
			used[p] = true
			txs, kinds = append(txs, s.tx(p, 0, msg)), append(kinds, fmt.Sprintf("%T", msg))
		}
		for i, r := range s.block(txs...).TxResults {
			if r.Code == 0 {
				done[kinds[i]]++
			}
		}
	}
	for _, msg := range []sdk.Msg{&subnetv1.MsgRegisterSubnet{}, &subnetv1.MsgSetMechanisms{}, &subnetv1.MsgAcceptSubnet{}, &subnetv1.MsgSetWeights{}} {
		if kind := fmt.Sprintf("%T", msg); done[kind] < 3 {
			t.Errorf("%d of %s succeeded; the upheaval is too mild: %v", done[kind], kind, done)
		}
	}
	if all := s.netuids(); all[len(all)-1] < 10 {
		t.Errorf("subnets %v are left; want that many came and went", all)
	}
	s.roundTrip()
}
