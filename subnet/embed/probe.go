package embed

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/plexus-network/plexus/subnet"
)

// probeDomain keeps these hashes apart from all others.
const probeDomain = "plexus/embed/probe/v1"

const (
	probeWords = 12  // six bits each
	probeText  = 256 // most bytes of the request that the probe takes along
)

// probe is the text that the answer to t must embed beside those that it was
// asked for: twelve words drawn by
//
//	SHA-256( "plexus/embed/probe/v1" ‖ netuid ‖ height ‖ block hash
//	         ‖ len ‖ validator's peer id ‖ len ‖ miner's peer id
//	         ‖ task id ‖ SHA-256(body) )
//
// and the beginning of one of the texts. The block and the task make it new
// each time, the peers make an answer worthless to everyone else, and the text
// ties it to the request.
func probe(t subnet.Task, texts []string) string {
	b := []byte(probeDomain)
	b = binary.BigEndian.AppendUint16(b, uint16(t.Netuid))
	b = binary.BigEndian.AppendUint64(b, uint64(t.Height))
	b = append(b, t.BlockHash[:]...)
	b = appendLong(b, t.Validator.PeerID)
	b = appendLong(b, t.Miner.PeerID)
	b = append(b, t.ID[:]...)
	body := sha256.Sum256(t.Body)
	seed := sha256.Sum256(append(b, body[:]...))

	var said strings.Builder
	for _, c := range seed[:probeWords] {
		said.WriteString(vocabulary[c%64])
		said.WriteByte(' ')
	}
	pick := binary.BigEndian.Uint64(seed[24:]) % uint64(len(texts))
	said.WriteString(beginning(texts[pick], probeText))
	return said.String()
}

func appendLong(b []byte, field string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
}

// beginning returns at most n bytes of s, whole characters.
func beginning(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// vocabulary is what probes are made of: words apart in meaning and spelling.
var vocabulary = [64]string{
	"apple", "bridge", "candle", "desert", "engine", "forest", "garden", "hammer",
	"island", "jacket", "kitchen", "ladder", "mirror", "needle", "orange", "pencil",
	"queen", "river", "silver", "tiger", "umbrella", "violin", "window", "yellow",
	"zebra", "anchor", "butter", "castle", "doctor", "eagle", "feather", "guitar",
	"honey", "iron", "jungle", "king", "lemon", "market", "north", "ocean",
	"paper", "quiet", "rabbit", "school", "thunder", "uncle", "valley", "winter",
	"youth", "zero", "arrow", "bottle", "circle", "dragon", "evening", "flower",
	"glass", "harbour", "ink", "justice", "knife", "letter", "music", "number",
}
