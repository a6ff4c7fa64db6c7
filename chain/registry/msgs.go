package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"cosmossdk.io/collections"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"

	registryv1 "github.com/plexus-network/plexus/api/plexus/registry/v1"
)

// Bounds of what is kept.
const (
	maxManifest  = 16 << 10 // bytes
	maxManifests = 64       // of one account
	maxRoots     = 1024     // of one account on one subnet
	maxReceipts  = 1 << 32  // below a root
)

// msgs serves the module's messages.
type msgs struct{ *Keeper }

// RegisterManifest declares a model.
func (m msgs) RegisterManifest(ctx context.Context, msg *registryv1.MsgRegisterManifest) (*registryv1.MsgRegisterManifestResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if err := checkManifest(msg.Body); err != nil {
		return nil, err
	}
	hash := sha256.Sum256(msg.Body)
	resp := &registryv1.MsgRegisterManifestResponse{Hash: hash[:]}
	known, err := m.manifests.Has(ctx, hash[:])
	if err != nil || known {
		return resp, err
	}
	if err := m.declare(ctx, account); err != nil {
		return nil, err
	}
	return resp, errors.Join(
		m.manifests.Set(ctx, hash[:], registryv1.Manifest{Hash: hash[:], Body: msg.Body, Account: msg.Account, Height: height(ctx)}),
		emit(ctx, &registryv1.EventManifestRegistered{Hash: hex.EncodeToString(hash[:]), Account: msg.Account, Size_: uint64(len(msg.Body))}),
	)
}

// declare counts one more manifest of an account.
func (k *Keeper) declare(ctx context.Context, account sdk.AccAddress) error {
	n, err := k.declared.Get(ctx, account)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return err
	}
	if n >= maxManifests {
		return sdkerrors.ErrInvalidRequest.Wrapf("this account has registered %d manifests already, as many as it may", n)
	}
	return k.declared.Set(ctx, account, n+1)
}

// checkManifest tells what is wrong with a manifest's form. Its meaning is for
// those who use it.
func checkManifest(body []byte) error {
	if len(body) == 0 || len(body) > maxManifest {
		return sdkerrors.ErrInvalidRequest.Wrapf("a manifest of %d bytes; it must have 1 to %d", len(body), maxManifest)
	}
	if !utf8.Valid(body) {
		return sdkerrors.ErrInvalidRequest.Wrap("the manifest is not UTF-8")
	}
	if body[0] != '{' || !json.Valid(body) {
		return sdkerrors.ErrInvalidRequest.Wrap("the manifest is not one JSON object that begins with its brace")
	}
	return nil
}

// PublishRoot keeps the root of an epoch's receipts.
func (m msgs) PublishRoot(ctx context.Context, msg *registryv1.MsgPublishRoot) (*registryv1.MsgPublishRootResponse, error) {
	account, err := m.bytes(msg.Account)
	if err != nil {
		return nil, err
	}
	if err := sized("root", msg.Root, sha256.Size); err != nil {
		return nil, err
	}
	if msg.Count == 0 || msg.Count > maxReceipts {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("a root of %d receipts; it must have 1 to %d", msg.Count, uint64(maxReceipts))
	}
	if _, _, err := m.subnets.Seat(ctx, msg.Netuid, account); err != nil {
		return nil, err
	}
	c, err := m.conduct(ctx, msg.Netuid, account)
	if err != nil {
		return nil, err
	}
	if c.Roots > 0 && msg.Epoch <= c.LatestRoot {
		return nil, sdkerrors.ErrInvalidRequest.Wrapf("a root of epoch %d, but that of epoch %d is published already: roots do not change, and come in order", msg.Epoch, c.LatestRoot)
	}
	if c.Roots >= maxRoots {
		if err := m.dropRoot(ctx, msg.Netuid, account); err != nil {
			return nil, err
		}
		c.Roots--
	}
	c.Roots, c.LatestRoot = c.Roots+1, msg.Epoch
	return &registryv1.MsgPublishRootResponse{}, errors.Join(
		m.conducts.Set(ctx, collections.Join(msg.Netuid, []byte(account)), c),
		m.roots.Set(ctx, collections.Join3(msg.Netuid, []byte(account), msg.Epoch), registryv1.Root{
			Netuid: msg.Netuid, Account: msg.Account, Epoch: msg.Epoch, Root: msg.Root, Count: msg.Count, Height: height(ctx),
		}),
	)
}

// dropRoot forgets an account's oldest root on a subnet.
func (k *Keeper) dropRoot(ctx context.Context, netuid uint32, account sdk.AccAddress) error {
	var oldest *term
	err := k.roots.Walk(ctx, collections.NewSuperPrefixedTripleRange[uint32, []byte, uint64](netuid, account),
		func(at term, _ registryv1.Root) (bool, error) {
			oldest = &at
			return true, nil
		})
	if err != nil || oldest == nil {
		return err
	}
	return k.roots.Remove(ctx, *oldest)
}

// UpdateParams replaces the module's parameters.
func (m msgs) UpdateParams(ctx context.Context, msg *registryv1.MsgUpdateParams) (*registryv1.MsgUpdateParamsResponse, error) {
	if msg.Authority != m.authority {
		return nil, govtypes.ErrInvalidSigner.Wrapf("only %s may change these parameters, not %s", m.authority, msg.Authority)
	}
	if err := validateParams(msg.Params); err != nil {
		return nil, sdkerrors.ErrInvalidRequest.Wrap(err.Error())
	}
	return &registryv1.MsgUpdateParamsResponse{}, m.params.Set(ctx, msg.Params)
}

// same tells whether a seed is the one that a hash commits to:
// SHA-256( "plexus/text/audit/v1/commit" ‖ seed ), as AuditHash of package
// subnet/text.
func same(seed, hash []byte) bool {
	sum := sha256.Sum256(append([]byte("plexus/text/audit/v1/commit"), seed...))
	return bytes.Equal(sum[:], hash)
}
