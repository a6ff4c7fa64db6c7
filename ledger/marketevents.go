package ledger

import (
	"context"
	"errors"
	"iter"
	"strings"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	gogoproto "github.com/cosmos/gogoproto/proto"

	"github.com/plexus-network/plexus/yuma"
)

// A Happening is what happened on the market in a block: messages of
// api/plexus/market/v1/events.proto, in their order, those of transactions
// before those of the block's end, at which leases end with their money. Most
// blocks have none.
type Happening struct {
	Head
	Events []gogoproto.Message
}

// Follow tells what happens on the market in every block from a height on;
// from 0 means from the next block. It skips none: while no node answers, or
// there is no next block yet, it waits. It ends when ctx does, or with an error
// when the node does not have the next block any more: look at the whole market
// then, and follow again from the head that you looked at.
func (m Market) Follow(ctx context.Context, from yuma.Height) iter.Seq2[Happening, error] {
	return func(yield func(Happening, error) bool) {
		next := from
		for head := range m.c.Heads(ctx) {
			if next == 0 {
				next = head.Height + 1
			}
			for next <= head.Height {
				b, err := m.c.Block(ctx, next)
				switch {
				case ctx.Err() != nil:
					return
				case errors.Is(err, ErrNotFound) && next < head.Height:
					yield(Happening{}, err)
					return
				case err != nil: // the newest has no results for an instant, or the node is away
					if !pause(ctx, m.c.opt.Poll) {
						return
					}
					continue
				}
				if !yield(happening(b), nil) {
					return
				}
				next++
			}
		}
	}
}

// happening picks the market's events of a block.
func happening(b *Block) Happening {
	h := Happening{Head: b.Head}
	for _, tx := range b.Txs {
		if tx.Code == 0 {
			h.add(tx.Events)
		}
	}
	h.add(b.Events)
	return h
}

// marketEvents begins the types of the market's events.
const marketEvents = "plexus.market.v1."

// add appends the market's events of a list. What is malformed is left out: a
// newer chain may say more than this software knows.
func (h *Happening) add(events []abci.Event) {
	for _, e := range events {
		if !strings.HasPrefix(e.Type, marketEvents) {
			continue
		}
		bare := abci.Event{Type: e.Type}
		for _, a := range e.Attributes {
			if a.Key != "mode" && a.Key != "msg_index" { // which the state machine adds
				bare.Attributes = append(bare.Attributes, a)
			}
		}
		if m, err := sdk.ParseTypedEvent(bare); err == nil {
			h.Events = append(h.Events, m)
		}
	}
}
