package subnet

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
)

// Bounds of a subnet's identity, in bytes.
const (
	maxDescription = 1024
	maxURL         = 256
	maxContact     = 128
	maxMetadata    = 2 << 10
)

// owned returns a subnet and the parameters if an account may change the
// subnet now: as its owner, not too soon after the last change, or as
// governance.
func (m msgs) owned(ctx context.Context, netuid uint32, authority string) (subnetv1.Subnet, subnetv1.Params, error) {
	s, err := m.subnet(ctx, netuid)
	if err != nil {
		return s, subnetv1.Params{}, err
	}
	params, err := m.params.Get(ctx)
	if err != nil || authority == m.authority {
		return s, params, err
	}
	if authority != s.Owner {
		return s, params, sdkerrors.ErrUnauthorized.Wrapf("only the owner %s or governance may change subnet %d", s.Owner, s.Netuid)
	}
	if s.UpdatedAt == 0 {
		return s, params, nil
	}
	return s, params, tooSoon("changes of a subnet", s.UpdatedAt, params.UpdateInterval, now(ctx))
}

// thawed returns an error if the next epoch of s is so near that what it
// depends on cannot change.
func thawed(s *subnetv1.Subnet, p subnetv1.Params, now int64) error {
	freeze := int64(min(p.Freeze, s.Hyperparameters.Tempo/2))
	if left := s.NextEpoch - now; freeze > 0 && left <= freeze {
		return sdkerrors.ErrInvalidRequest.Wrapf("hyperparameters are frozen for the last %s before an epoch: wait %s",
			blocks(freeze), blocks(max(left, 0)+1))
	}
	return nil
}

// SetIdentity replaces a subnet's identity.
func (m msgs) SetIdentity(ctx context.Context, msg *subnetv1.MsgSetIdentity) (*subnetv1.MsgSetIdentityResponse, error) {
	s, _, err := m.owned(ctx, msg.Netuid, msg.Authority)
	if err != nil {
		return nil, err
	}
	if err := checkIdentity(msg.Identity); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	s.Identity, s.UpdatedAt = msg.Identity, height(ctx)
	return &subnetv1.MsgSetIdentityResponse{}, m.subnets.Set(ctx, s.Netuid, s)
}

// checkIdentity tells what is wrong with an identity, if anything.
func checkIdentity(id subnetv1.Identity) error {
	for _, t := range []struct {
		what, text string
		max        int
		lines      bool // whether it may have line breaks and tabs
	}{
		{"description", id.Description, maxDescription, true},
		{"url", id.Url, maxURL, false},
		{"contact", id.Contact, maxContact, false},
		{"metadata", id.Metadata, maxMetadata, true},
	} {
		if len(t.text) > t.max {
			return fmt.Errorf("%s has %d bytes; at most %d", t.what, len(t.text), t.max)
		}
		if !utf8.ValidString(t.text) {
			return fmt.Errorf("%s is not UTF-8", t.what)
		}
		if i := strings.IndexFunc(t.text, func(r rune) bool {
			return (r < ' ' || r == 0x7f) && (!t.lines || r != '\n' && r != '\t')
		}); i >= 0 {
			return fmt.Errorf("%s has an unprintable character at byte %d", t.what, i)
		}
	}
	if id.Url == "" {
		return nil
	}
	u, err := url.Parse(id.Url)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fmt.Errorf("url %q is not of the form https://host/path", id.Url)
	}
	return nil
}

// OfferSubnet offers a subnet to a new owner. It changes hands when the heir
// accepts: what an owner's neuron mines is not paid, so nobody may be made an
// owner against its will.
func (m msgs) OfferSubnet(ctx context.Context, msg *subnetv1.MsgOfferSubnet) (*subnetv1.MsgOfferSubnetResponse, error) {
	s, _, err := m.owned(ctx, msg.Netuid, msg.Authority)
	if err != nil {
		return nil, err
	}
	if s.Netuid == Root {
		return nil, sdkerrors.ErrInvalidRequest.Wrap("the root belongs to governance")
	}
	if msg.Heir != "" {
		if _, err := m.bytes(msg.Heir); err != nil {
			return nil, err
		}
	}
	if msg.Heir == s.Owner {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("%s owns subnet %d already", msg.Heir, s.Netuid)
	}
	s.Heir, s.UpdatedAt = msg.Heir, height(ctx)
	return &subnetv1.MsgOfferSubnetResponse{}, m.subnets.Set(ctx, s.Netuid, s)
}

// AcceptSubnet makes the heir of a subnet its owner.
func (m msgs) AcceptSubnet(ctx context.Context, msg *subnetv1.MsgAcceptSubnet) (*subnetv1.MsgAcceptSubnetResponse, error) {
	s, err := m.subnet(ctx, msg.Netuid)
	if err != nil {
		return nil, err
	}
	if s.Heir == "" || s.Heir != msg.Account {
		return nil, sdkerrors.ErrUnauthorized.Wrapf("subnet %d is not offered to %s: its owner %s has to offer it first", s.Netuid, msg.Account, s.Owner)
	}
	previous := s.Owner
	s.Owner, s.Heir = s.Heir, ""
	if err := m.subnets.Set(ctx, s.Netuid, s); err != nil {
		return nil, err
	}
	return &subnetv1.MsgAcceptSubnetResponse{}, emit(ctx, &subnetv1.EventSubnetOwned{Netuid: s.Netuid, Owner: s.Owner, Previous: previous})
}
