package ledger

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"golang.org/x/sync/errgroup"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// workGas is the limit of gas of a registration by work whose account does not
// exist yet, and so cannot run on trial.
const workGas = 2_000_000

// workRound is for how long a solver works before it looks whether the
// difficulty changed. Nothing is lost by starting anew: every seal has the same
// chance.
const workRound = 10 * time.Second

// Work is what registration by proof of work takes on a subnet.
type Work struct {
	Difficulty coin.Hashes // in the next block
	After      coin.Hashes // right after one more registration
	Floor      coin.Hashes // what the difficulty falls to in time
	HalfLife   yuma.Blocks // in which the difficulty halves
	Quota      int         // registrations in a block; 0 means that there are none by work
	Height     yuma.Height // of the block to bind work to, and its hash
	Hash       []byte
}

// Toil says how to work. The zero value uses every core and reports nothing.
type Toil struct {
	Threads int            // 0 means one per core
	Report  func(Progress) // called about once a second; may be nil
}

// Progress is where a solver stands.
type Progress struct {
	Difficulty coin.Hashes
	Tried      uint64        // seals so far
	Rate       float64       // seals a second
	Expected   time.Duration // left on average; it does not shrink with what was tried
}

// Work returns what registration by proof of work takes on a subnet now.
func (c *Client) Work(ctx context.Context, netuid yuma.Netuid) (Work, error) {
	r, err := subnetv1.NewQueryClient(c.conn).Work(ctx, &subnetv1.QueryWorkRequest{Netuid: uint32(netuid)})
	if err != nil {
		return Work{}, failed(fmt.Sprintf("work on subnet %d", netuid), err)
	}
	return Work{
		Difficulty: coin.Hashes(r.Difficulty), After: coin.Hashes(r.After), Floor: coin.Hashes(r.Floor),
		HalfLife: yuma.Blocks(r.HalfLife), Quota: int(r.Quota), Height: height(r.Height), Hash: r.Hash,
	}, nil
}

// RegisterByWork works until a's account has a slot on a subnet, and returns
// it. The account needs no coins, and need not exist yet if a acts for itself.
func (c *Client) RegisterByWork(ctx context.Context, a Actor, netuid yuma.Netuid, o Toil) (yuma.UID, error) {
	account, err := wallet.ParseAddress(a.Account())
	if err != nil {
		return 0, err
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	meter := &meter{start: time.Now(), report: o.Report}
	for {
		w, err := c.Work(ctx, netuid)
		if err != nil {
			return 0, err
		}
		if w.Quota == 0 || len(w.Hash) == 0 {
			return 0, fmt.Errorf("subnet %d takes no registration by work; register by burning: plexus query subnet price %d", netuid, netuid)
		}
		nonce, found, err := solve(ctx, account, netuid, w, o.Threads, meter)
		if err != nil {
			return 0, err
		}
		if !found {
			continue
		}
		uid, err := c.sendWork(ctx, a, &subnetv1.MsgRegisterByWork{
			Account: a.Account(), Netuid: uint32(netuid), Height: int64(w.Height), Nonce: nonce,
		})
		if !overtaken(err) {
			return uid, acted(err, "register on subnet %d by work", netuid)
		}
	}
}

// overtaken tells whether work was good when it was done, but another came
// before it.
func overtaken(err error) bool {
	var refused *TxError
	return errors.As(err, &refused) && (strings.Contains(refused.Log, "does not meet the difficulty") ||
		strings.Contains(refused.Log, "this one is full") || strings.Contains(refused.Log, "bind it to one of"))
}

// A meter counts seals and reports how it goes.
type meter struct {
	start  time.Time
	report func(Progress)
	tried  atomic.Uint64
}

// show reports progress towards a difficulty.
func (m *meter) show(d coin.Hashes) {
	spent := time.Since(m.start).Seconds()
	if m.report == nil || spent <= 0 {
		return
	}
	p := Progress{Difficulty: d, Tried: m.tried.Load()}
	if p.Rate = float64(p.Tried) / spent; p.Rate > 0 {
		p.Expected = time.Duration(float64(d) / p.Rate * float64(time.Second))
	}
	m.report(p)
}

// solve looks for a nonce that meets the difficulty of w, on several threads
// and for one round.
func solve(ctx context.Context, account []byte, netuid yuma.Netuid, w Work, threads int, m *meter) (nonce uint64, found bool, err error) {
	round, stop := context.WithTimeout(ctx, workRound)
	defer stop()
	var best atomic.Pointer[uint64]
	var group errgroup.Group
	for t := range threads {
		group.Go(func() error {
			for n := uint64(t); round.Err() == nil; n += uint64(threads) {
				good := w.Difficulty.Meets(coin.Seal(account, uint32(netuid), w.Hash, n))
				m.tried.Add(1)
				if good {
					best.CompareAndSwap(nil, &n)
					stop()
					return nil
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		for pause(round, time.Second) {
			m.show(w.Difficulty)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return 0, false, err
	}
	if p := best.Load(); p != nil {
		return *p, true, nil
	}
	return 0, false, ctx.Err()
}

// sendWork sends a registration by work, of an account that may not exist yet.
func (c *Client) sendWork(ctx context.Context, a Actor, msg *subnetv1.MsgRegisterByWork) (yuma.UID, error) {
	r, err := c.Submit(ctx, a, msg)
	if errors.Is(err, ErrNotFound) && a.For == "" {
		r, err = c.introduce(ctx, a, msg)
	}
	if err != nil {
		return 0, err
	}
	var resp subnetv1.MsgRegisterByWorkResponse
	err = r.Decode(0, &resp)
	return yuma.UID(u16(resp.Uid)), err
}

// introduce sends the first transaction of an account, which makes it: signed
// for account number 0 and sequence 0, without a fee.
func (c *Client) introduce(ctx context.Context, a Actor, msg *subnetv1.MsgRegisterByWork) (Result, error) {
	body, err := wrap(a, []sdk.Msg{msg})
	if err != nil {
		return Result{}, err
	}
	chainID, err := c.ChainID(ctx)
	if err != nil {
		return Result{}, err
	}
	until := time.Now().Add(c.opt.Timeout)
	raw, err := draft{key: a.Key, body: body, chainID: chainID, gas: workGas}.sign()
	if err != nil {
		return Result{}, err
	}
	hash, err := c.broadcast(ctx, raw)
	if err != nil {
		return Result{}, err
	}
	return c.await(ctx, hash, until)
}
