package sim

import (
	"fmt"
	"math"
	"testing"

	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	sdk "github.com/cosmos/cosmos-sdk/types"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
)

// price returns what a neuron costs in the next block.
func (a *arena) price() coin.Amount {
	a.t.Helper()
	r := &subnetv1.QueryPriceResponse{}
	if err := a.Query("/plexus.subnet.v1.Query/Price", &subnetv1.QueryPriceRequest{Netuid: 1}, r); err != nil {
		a.t.Fatal(err)
	}
	return coin.Amount(r.Price.Amount.Uint64())
}

// fund gives a new person coins, and returns it.
func (a *arena) fund(name string, amount coin.Amount) *Person {
	a.t.Helper()
	p, bank := NewPerson(name), NewPerson("bank")
	a.block(a.sign(bank, banktypes.NewMsgSend(bank.Account(), p.Account(), sdk.NewCoins(nplx(amount)))))
	return p
}

// A siege is what a bot paid that registered whenever the price was below its
// limit, and what a human found who came amid it.
type siege struct {
	slots int
	paid  coin.Amount
	wait  int64       // blocks until the human was in; −1 if it never was
	price coin.Amount // that the human paid
}

// besieged runs a bot for two half-lives of the price. The human comes after
// the first, and is ready to pay most.
func besieged(t *testing.T, limit, most coin.Amount) siege {
	const half, end = 360, 720
	a := newArena(t, 1, 1, func(h *subnetv1.Hyperparameters) { h.Tempo, h.MaxUids = 50_000, 1024; h.ActivityCutoff = 50_000 })
	s := siege{wait: -1}
	human := a.fund("human", 200*coin.PLX)
	began := a.height
	for a.height < began+end {
		var txs [][]byte
		if s.wait < 0 && a.height >= began+half && a.price() <= most { // the human is as fast as the bot, and luckier
			s.wait, s.price = a.height-began-half, a.price()
			txs = append(txs, a.sign(human, &subnetv1.MsgRegisterNeuron{Account: human.Address(), Netuid: 1, MaxPrice: nplx(most)}))
		}
		if p := a.price(); p <= limit && len(txs) == 0 {
			bot := a.fund(fmt.Sprint("bot", s.slots), limit)
			p = a.price()
			txs = append(txs, a.sign(bot, &subnetv1.MsgRegisterNeuron{Account: bot.Address(), Netuid: 1, MaxPrice: nplx(limit)}))
			s.slots, s.paid = s.slots+1, s.paid+p
		}
		a.block(txs...)
	}
	return s
}

// A bot that buys every slot below a price keeps out who will not pay that
// price, at a cost, and nobody who will.
func TestAttackBotsThatBurn(t *testing.T) {
	t.Log("the bot buys up to | human's max price | slots in 720 blocks | bot paid | per half-life | human waited | human paid")
	for _, limit := range some(1, coin.PLX, coin.PLX/10, 10*coin.PLX) {
		for _, factor := range []float64{0.7, 1.5} {
			most := coin.Amount(factor * float64(limit))
			s := besieged(t, limit, most)
			t.Logf("%v | %v | %d | %v | %v | %d blocks | %v", limit, most, s.slots, s.paid, s.paid/2, s.wait, s.price)
			if factor < 1 && s.wait >= 0 || factor > 1 && s.wait != 0 {
				t.Errorf("limit %v, max price %v: the human waited %d blocks", limit, most, s.wait)
			}
			// log 2 / log 1.26 = 3 slots a half-life, and those of the first rush.
			if rush := math.Log(float64(limit)/float64(coin.DefaultPrice().Min)) / math.Log(1.26); float64(s.slots) > rush+9 {
				t.Errorf("the bot got %d slots below %v in two half-lives; want at most %.0f and 3 each", s.slots, limit, rush)
			}
		}
	}
}

// Half-life and duration of a siege by work. A seal takes a millisecond, so
// the difficulties are small; what matters is how they stand to the powers.
const (
	workHalf = 60
	workEnd  = 4 * workHalf
)

// A miningBot registers by work.
type miningBot struct {
	slots, seals int
	person       *Person
	nonce        uint64
}

// worked runs a bot that tries some seals a block. It returns what that cost
// the bot, and in how many half-lives a human who tries one seal a block would
// expect to get a slot, at the difficulties that the bot leaves.
func worked(t *testing.T, power int) (bot miningBot, human float64) {
	a := newArena(t, 1, 1, func(h *subnetv1.Hyperparameters) {
		h.Tempo, h.MaxUids, h.ActivityCutoff = 50_000, 1024, 50_000
		h.WorkQuota, h.WorkMin, h.WorkHalfLife, h.WorkIncrease = 1, 8, workHalf, 200
	})
	var chance float64 // of the human, summed over blocks
	bot.person = NewPerson("worker 0")
	for began := a.height; a.height < began+workEnd; {
		q := &subnetv1.QueryWorkResponse{}
		if err := a.Query("/plexus.subnet.v1.Query/Work", &subnetv1.QueryWorkRequest{Netuid: 1}, q); err != nil {
			t.Fatal(err)
		}
		chance += 1 / float64(q.Difficulty)
		var txs [][]byte
		for range power {
			bot.nonce++
			bot.seals++
			if !coin.Hashes(q.Difficulty).Meets(coin.Seal(bot.person.Account(), 1, q.Hash, bot.nonce)) {
				continue
			}
			txs = append(txs, a.sign(bot.person, &subnetv1.MsgRegisterByWork{Account: bot.person.Address(), Netuid: 1, Height: q.Height, Nonce: bot.nonce}))
			bot.slots++
			bot.person = NewPerson(fmt.Sprint("worker ", bot.slots))
			break
		}
		a.block(txs...)
	}
	return bot, workEnd / chance / workHalf
}

// Power raises the difficulty, not the number of slots.
func TestAttackBotsThatWork(t *testing.T) {
	t.Log("bot's power to a human's | slots in 4 half-lives | seals per slot | a human expects a slot in")
	most := map[int]int{}
	for _, power := range some(2, 1, 16, 4) {
		bot, human := worked(t, power)
		most[power] = bot.slots
		t.Logf("%d× | %d | %d | %.1f half-lives", power, bot.slots, bot.seals/max(bot.slots, 1), human)
	}
	if most[16] > most[1]+10 {
		t.Errorf("16 times the power gave %d slots, once %d; want about 4 more, one for each doubling, and not 16 times as many", most[16], most[1])
	}
}
