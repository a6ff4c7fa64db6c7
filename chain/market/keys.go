package market

import (
	"encoding/binary"

	"cosmossdk.io/collections"

	marketv1 "github.com/plexus-network/plexus/api/plexus/market/v1"
	"github.com/plexus-network/plexus/market"
)

// Keys of the market's objects are the owner's address behind its length, then
// dseq in 8 bytes, gseq in 4, oseq in 4, and the provider's address. So the key
// of what something belongs to begins its own, and lists are in order.

// ownerKey begins the keys of all that an owner has.
func ownerKey(owner []byte) []byte {
	return append([]byte{byte(len(owner))}, owner...)
}

func deploymentKey(owner []byte, dseq uint64) []byte {
	return binary.BigEndian.AppendUint64(ownerKey(owner), dseq)
}

// below returns the key of number n of what has the key of.
func below(of []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(nil), of...), n)
}

func groupKey(owner []byte, dseq uint64, gseq uint32) []byte {
	return below(deploymentKey(owner, dseq), gseq)
}

func orderKey(owner []byte, dseq uint64, gseq, oseq uint32) []byte {
	return below(groupKey(owner, dseq, gseq), oseq)
}

// bidKey returns the key of a provider's bid on an order, and of its lease.
func bidKey(order, provider []byte) []byte {
	return append(append([]byte(nil), order...), provider...)
}

// Sizes of keys, without the owner.
const (
	deploymentSize = 8
	groupSize      = deploymentSize + 4
	orderSize      = groupSize + 4
)

// cut returns the key of what the object of a longer key belongs to, size
// being one of the above.
func cut(key []byte, size int) []byte { return key[: 1+int(key[0])+size : 1+int(key[0])+size] }

// isDeployment tells whether key is that of a deployment.
func isDeployment(key []byte) bool { return len(key) == 1+int(key[0])+deploymentSize }

// byProvider returns the key of a bid or lease in the index of a provider:
// those that are running come first.
func byProvider(provider []byte, ended bool, key []byte) []byte {
	return append(byProviderState(provider, ended), key...)
}

// byProviderState begins the keys of a provider's running or ended objects.
func byProviderState(provider []byte, ended bool) []byte {
	index := ownerKey(provider)
	if ended {
		return append(index, 1)
	}
	return append(index, 0)
}

// indexed returns the key of the object in a key of [byProvider].
func indexed(index []byte) []byte { return index[2+int(index[0]):] }

// number returns the key of a numbered thing in a queue.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// starting returns the range of keys that begin with prefix.
func starting(prefix []byte) collections.Ranger[[]byte] {
	return new(collections.Range[[]byte]).StartInclusive(prefix).EndExclusive(after(prefix))
}

// after returns the first key that does not begin with prefix, whose first byte
// is a length and so below 255.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; ; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
}

// deployment returns the key of a deployment.
func (k *Keeper) deploymentKey(id marketv1.DeploymentID) ([]byte, error) {
	owner, err := k.bytes(id.Owner)
	return deploymentKey(owner, id.Dseq), err
}

// groupKey returns the key of a group.
func (k *Keeper) groupKey(id marketv1.GroupID) ([]byte, error) {
	owner, err := k.bytes(id.Owner)
	return groupKey(owner, id.Dseq, id.Gseq), err
}

// orderKey returns the key of an order.
func (k *Keeper) orderKey(id marketv1.OrderID) ([]byte, error) {
	owner, err := k.bytes(id.Owner)
	return orderKey(owner, id.Dseq, id.Gseq, id.Oseq), err
}

// bidKey returns the key of a bid, and of its lease.
func (k *Keeper) bidKey(id marketv1.BidID) ([]byte, error) {
	order, err := k.orderKey(orderOf(id))
	if err != nil {
		return nil, err
	}
	provider, err := k.bytes(id.Provider)
	return bidKey(order, provider), err
}

// orderOf returns the order of a bid.
func orderOf(id marketv1.BidID) marketv1.OrderID {
	return marketv1.OrderID{Owner: id.Owner, Dseq: id.Dseq, Gseq: id.Gseq, Oseq: id.Oseq}
}

// later returns the height of a number of blocks from now on.
func later(from market.Height, blocks uint64) int64 { return int64(uint64(from) + blocks) }
