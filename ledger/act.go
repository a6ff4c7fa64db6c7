package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/bech32"

	subnetv1 "github.com/plexus-network/plexus/api/plexus/subnet/v1"
	"github.com/plexus-network/plexus/coin"
	"github.com/plexus-network/plexus/wallet"
	"github.com/plexus-network/plexus/yuma"
)

// CommitHash returns the hash that hides weights: SHA-256 over the account's
// bytes, mechanism and netuid (big-endian uint16 each), the row as the chain
// would store it ([yuma.NewWeights], [yuma.AppendRow]), version (big-endian
// uint64) and the salt.
func CommitHash(account string, netuid yuma.Netuid, mechanism uint16, row yuma.Row, version uint64, salt []byte) ([32]byte, error) {
	b, err := wallet.ParseAddress(account)
	if err != nil {
		return [32]byte{}, err
	}
	uids, values := make([]yuma.UID, len(row)), make([]uint16, len(row))
	for i, e := range row {
		uids[i], values[i] = e.UID, e.Value
	}
	stored, err := yuma.NewWeights(0, uids, values, yuma.MaxNeurons, 0)
	if err != nil {
		return [32]byte{}, err
	}
	b = binary.BigEndian.AppendUint16(b, mechanism)
	b = binary.BigEndian.AppendUint16(b, uint16(netuid))
	b = yuma.AppendRow(b, stored)
	b = binary.BigEndian.AppendUint64(b, version)
	return sha256.Sum256(append(b, salt...)), nil
}

// UpdateAxon binds a peer id to an account's neuron. sign signs with the
// peer's key, to prove that it is the account's.
func (c *Client) UpdateAxon(ctx context.Context, a Actor, netuid yuma.Netuid, peerID string, protocols []string,
	sign func(claim []byte) ([]byte, error),
) error {
	chainID, err := c.ChainID(ctx)
	if err != nil {
		return err
	}
	claim, err := AxonClaim(chainID, netuid, a.Account())
	if err != nil {
		return err
	}
	proof, err := sign(claim)
	if err != nil {
		return fmt.Errorf("sign with the key of peer %s: %w", peerID, err)
	}
	_, err = c.Submit(ctx, a, &subnetv1.MsgUpdateAxon{
		Account:   a.Account(),
		Netuid:    uint32(netuid),
		PeerId:    peerID,
		Protocols: protocols,
		Proof:     proof,
	})
	return acted(err, "update axon on subnet %d", netuid)
}

// AxonClaim returns what a peer's key signs to be bound to an account's
// neuron: "plexus/axon/v1", the chain's id, netuid (big-endian uint32) and the
// account's bytes.
func AxonClaim(chainID string, netuid yuma.Netuid, account string) ([]byte, error) {
	addr, err := wallet.ParseAddress(account)
	if err != nil {
		return nil, err
	}
	b := append([]byte("plexus/axon/v1"), chainID...)
	b = binary.BigEndian.AppendUint32(b, uint32(netuid))
	return append(b, addr...), nil
}

// RegisterNeuron takes a slot on a subnet and returns it with what was burned
// for it, at most limit.
func (c *Client) RegisterNeuron(ctx context.Context, a Actor, netuid yuma.Netuid, limit coin.Amount) (yuma.UID, coin.Amount, error) {
	r, err := c.Submit(ctx, a, &subnetv1.MsgRegisterNeuron{Account: a.Account(), Netuid: uint32(netuid), MaxPrice: nplx(limit)})
	var resp subnetv1.MsgRegisterNeuronResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	return yuma.UID(resp.Uid), amount(resp.Burned.Amount), acted(err, "register on subnet %d", netuid)
}

// RegisterSubnet makes a subnet of a kind, and returns its netuid with what was
// burned for it, at most limit.
func (c *Client) RegisterSubnet(ctx context.Context, a Actor, kind, name string, params []byte, limit coin.Amount) (yuma.Netuid, coin.Amount, error) {
	r, err := c.Submit(ctx, a, &subnetv1.MsgRegisterSubnet{
		Owner:      a.Account(),
		Kind:       kind,
		Name:       name,
		KindParams: params,
		MaxPrice:   nplx(limit),
	})
	var resp subnetv1.MsgRegisterSubnetResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	return yuma.Netuid(resp.Netuid), amount(resp.Burned.Amount), acted(err, "register a subnet of kind %s", kind)
}

// UpdateSubnet changes a subnet as its owner. hyperparameters is a JSON object
// with the fields to change; what is empty stays.
func (c *Client) UpdateSubnet(ctx context.Context, a Actor, netuid yuma.Netuid, hyperparameters, name string, params []byte) error {
	_, err := c.Submit(ctx, a, &subnetv1.MsgUpdateSubnet{
		Authority:       a.Account(),
		Netuid:          uint32(netuid),
		Hyperparameters: hyperparameters,
		Name:            name,
		KindParams:      params,
	})
	return acted(err, "update subnet %d", netuid)
}

// Claim pays out what the account earned as a miner or an owner, and returns
// how much that was.
func (c *Client) Claim(ctx context.Context, a Actor) (coin.Amount, error) {
	r, err := c.Submit(ctx, a, &subnetv1.MsgClaim{Account: a.Account()})
	var resp subnetv1.MsgClaimResponse
	if err == nil {
		err = r.Decode(0, &resp)
	}
	return amount(resp.Paid.Amount), acted(err, "claim for %s", a.Account())
}

// acted says what was tried if it failed.
func acted(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// columns returns a row as the wire has it.
func columns(row yuma.Row) (uids, values []uint32) {
	for _, e := range row {
		uids = append(uids, uint32(e.UID))
		values = append(values, uint32(e.Value))
	}
	return uids, values
}

// nplx returns a as coins of the SDK.
func nplx(a coin.Amount) sdk.Coin {
	return sdk.NewCoin(coin.Denom, math.NewIntFromUint64(uint64(a)))
}

// operatorAccount returns the account that runs a validator.
func operatorAccount(operator string) (string, error) {
	hrp, b, err := bech32.DecodeAndConvert(operator)
	if err != nil {
		return "", fmt.Errorf("validator %q: %w", operator, err)
	}
	if hrp != wallet.Prefix+"valoper" {
		return "", fmt.Errorf("validator %q begins with %q, not %q", operator, hrp, wallet.Prefix+"valoper")
	}
	return wallet.FormatAddress(b), nil
}
