package subnet

import (
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// A field of a neuron's state that a query can leave out.
type field struct {
	name string
	drop func(*subnetv1.NeuronState)
}

// fields lists all fields by their name on the wire.
var fields = []field{
	{"neuron", func(s *subnetv1.NeuronState) { s.Neuron = subnetv1.Neuron{Uid: s.Neuron.Uid} }},
	{"stake", func(s *subnetv1.NeuronState) { s.Stake = 0 }},
	{"active", func(s *subnetv1.NeuronState) { s.Active = false }},
	{"permit", func(s *subnetv1.NeuronState) { s.Permit = false }},
	{"rank", func(s *subnetv1.NeuronState) { s.Rank = 0 }},
	{"trust", func(s *subnetv1.NeuronState) { s.Trust = 0 }},
	{"consensus", func(s *subnetv1.NeuronState) { s.Consensus = 0 }},
	{"incentive", func(s *subnetv1.NeuronState) { s.Incentive = 0 }},
	{"dividends", func(s *subnetv1.NeuronState) { s.Dividends = 0 }},
	{"validator_trust", func(s *subnetv1.NeuronState) { s.ValidatorTrust = 0 }},
	{"server_emission", func(s *subnetv1.NeuronState) { s.ServerEmission = 0 }},
	{"validator_emission", func(s *subnetv1.NeuronState) { s.ValidatorEmission = 0 }},
	{"claimable", func(s *subnetv1.NeuronState) { s.Claimable = 0 }},
}

// selection returns what a query makes of a neuron's state: it keeps the named
// fields, or all where none is named.
func selection(names []string) (func(subnetv1.NeuronState) subnetv1.NeuronState, error) {
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, status.Errorf(codes.InvalidArgument, "no field %.32q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return func(s subnetv1.NeuronState) subnetv1.NeuronState {
		for _, f := range fields {
			if len(names) > 0 && !slices.Contains(names, f.name) {
				f.drop(&s)
			}
		}
		return s
	}, nil
}
