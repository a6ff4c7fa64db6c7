package p2p

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Sizes of what travels. A method that needs more splits it into pieces.
const (
	// MaxBody is the longest request body in bytes.
	MaxBody = 4 << 20
	// MaxPiece is the longest piece of an answer in bytes.
	MaxPiece = 1 << 20
	// MaxAnswer is the most that Call accepts as the sum of all pieces.
	MaxAnswer = 64 << 20

	maxEnvelope = 4 << 10 // everything in a message but its body
	maxMethod   = 64
	maxMessage  = 512
	maxRecord   = 4 << 10
)

// Times within which a peer must behave.
const (
	// requestLifetime is how long a request of ours may wait to be accepted.
	requestLifetime = 30 * time.Second
	// maxLifetime is the longest lifetime that we accept, which bounds how
	// long a nonce is remembered.
	maxLifetime = 2 * time.Minute
	// clockSkew is how far apart two peers' clocks may stand.
	clockSkew = 10 * time.Second
	// requestTimeout is how long a caller may take to send its request.
	requestTimeout = 20 * time.Second
	// pieceTimeout is how long a caller may take to accept one piece.
	pieceTimeout = 20 * time.Second
	// recordTimeout bounds the exchange of a record over one stream.
	recordTimeout = 5 * time.Second
	// maxRetryAfter caps a refusal's hint, which a peer chooses freely.
	maxRetryAfter = time.Hour
)

// What this host passes on between two others that reach each other through
// it: enough for many answers, until they get through directly.
const (
	relayData = 4 << 20 // bytes in each direction
	relayTime = 10 * time.Minute
	// relaySearch is how long a hidden host compares relays before it takes
	// what there is.
	relaySearch = 30 * time.Second
)

// Streams that peers may hold open at this host's axon. Strangers, of whom no
// request was ever admitted, share half of them: keys cost nothing, and a crowd
// of new ones must not keep those out who have business here.
const (
	streamsPerPeer   = 64
	streamsInAll     = 1024
	streamsStrangers = streamsInAll / 2
	maxAcquaintances = 4096
)

// newResources returns the limits on connections, streams and memory. The
// network's own limits stand a little above ours, so that a caller meets a
// signed refusal first and a bare reset only if it ignores that.
func newResources(reach Reach) (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	scaling.AddProtocolLimit(axonProtocol, rcmgr.BaseLimit{
		StreamsInbound: 2 * streamsInAll, StreamsOutbound: 2 * streamsInAll, Streams: 4 * streamsInAll, Memory: 256 << 20,
	}, rcmgr.BaseLimitIncrease{})
	scaling.AddProtocolPeerLimit(axonProtocol, rcmgr.BaseLimit{
		StreamsInbound: 2 * streamsPerPeer, StreamsOutbound: 4 * streamsPerPeer, Streams: 6 * streamsPerPeer, Memory: 64 << 20,
	}, rcmgr.BaseLimitIncrease{})
	scaling.AddProtocolLimit(recordProtocol, rcmgr.BaseLimit{
		StreamsInbound: 64, StreamsOutbound: 64, Streams: 128, Memory: 4 << 20,
	}, rcmgr.BaseLimitIncrease{})
	scaling.AddProtocolPeerLimit(recordProtocol, rcmgr.BaseLimit{
		StreamsInbound: 2, StreamsOutbound: 2, Streams: 4, Memory: 1 << 20,
	}, rcmgr.BaseLimitIncrease{})

	limits := scaling.AutoScale()
	if reach == Local {
		limits = scaling.Scale(512<<20, 512) // one of many hosts in the process
	}
	v4, v6, pace := connectionsPerAddress(reach)
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(v4, v6),
		rcmgr.WithConnRateLimiters(pace),
	)
}

// connectionsPerAddress bounds how many connections one address may hold and
// how fast it may make them. On the Internet that is room for a rack of miners
// behind one address, and not for a flood; loopback is free.
func connectionsPerAddress(reach Reach) (v4, v6 []rcmgr.ConnLimitPerSubnet, pace *rate.Limiter) {
	most := 64
	if reach != Public {
		most = 1024
	}
	v4 = []rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: most}}
	v6 = []rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: most}, {PrefixLength: 48, ConnCount: 4 * most}}
	pace = &rate.Limiter{NetworkPrefixLimits: []rate.PrefixLimit{
		{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("::1/128")},
	}}
	if reach == Public {
		pace.SubnetRateLimiter = rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 1, Burst: most}}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 1, Burst: most}}},
			GracePeriod:      time.Minute,
		}
	}
	return v4, v6, pace
}
