package text

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/plexus-network/plexus/engine"
	"github.com/plexus-network/plexus/subnet"
)

// seedDomain keeps these hashes apart from all others.
const seedDomain = "plexus/text/seed/v1"

// Seed is the luck of the answer to t, the same for whoever computes it:
//
//	SHA-256( "plexus/text/seed/v1" ‖ netuid ‖ height ‖ block hash
//	         ‖ len ‖ validator's peer id ‖ len ‖ miner's peer id
//	         ‖ task id ‖ len ‖ user's seed )
//
// with netuid as a big-endian uint16, height as a uint64, every len as a
// uint32, and peer ids in text form. The block makes it unknown beforehand,
// the two peers make a text made for another pair worthless, and the task's
// id makes it new each time. The user's seed may be empty.
func Seed(t subnet.Task, user []byte) engine.Seed {
	b := []byte(seedDomain)
	b = binary.BigEndian.AppendUint16(b, uint16(t.Netuid))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Height))
	b = append(b, t.BlockHash[:]...)
	b = appendLong(b, []byte(t.Validator.PeerID))
	b = appendLong(b, []byte(t.Miner.PeerID))
	b = append(b, t.ID[:]...)
	b = appendLong(b, user)
	return sha256.Sum256(b)
}

func appendLong(b, field []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
}
